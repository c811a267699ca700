"""The two container images, made from Debian packages without a registry or a daemon."""

import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from weighbridge_sandbox.commands import DIES_WITH_US, run
from weighbridge_sandbox.errors import BuildError, CommandError
from weighbridge_sandbox.layout import MOVER_IMAGE, PAUSE_IMAGE, Layout

MOVER_PACKAGES = ("python3", "rsync")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
PAUSE_PROGRAM = Path("/usr/bin/catatonit")  # statically linked; with -P it only waits and reaps


def docker_archive(target: Path, name: str, layer: Path, settings: Mapping[str, object]) -> None:
    """Write an image of one uncompressed layer as `docker save` would: manifest.json, the config, the layer.

    Shape: Docker Image Specification v1.2, "Combined Image JSON + Filesystem Changeset Format".
    """
    with layer.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": dict(settings),
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "history": [{"created_by": "weighbridge-sandbox"}],
        },
        sort_keys=True,
    ).encode()
    config_name = hashlib.sha256(config).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(target, "w") as archive:
        for member, content in ((config_name, config), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        archive.add(layer, "layer.tar")


def release(os_release: str) -> str:
    """The Debian release images are made of: this machine's own if it is Debian, else bookworm."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    values = {key: value.strip('"') for key, value in fields.items()}
    return values.get("VERSION_CODENAME", "bookworm") if values.get("ID") == "debian" else "bookworm"


def mover_recipe(suite: str) -> tuple[str, ...]:
    """The words of mmdebstrap for the mover's root file system, without its target."""
    return (
        "mmdebstrap",
        "--variant=minbase",
        f"--include={','.join(MOVER_PACKAGES)}",
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
        '--aptopt=Apt::Install-Recommends "false"',
        suite,
    )


def build_mover(layout: Layout, suite: str) -> None:
    """Make the mover's image: Debian's smallest base, Python and rsync, nobody's user; about a minute."""
    work = layout.images / "mover.work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    root = work / "root.tar"
    try:
        run([*DIES_WITH_US, *mover_recipe(suite), root], timeout_s=1200)
    except CommandError as error:
        raise BuildError(
            f"The mover's image could not be built: {error}",
            "mmdebstrap needs a Debian mirror; behind a proxy set http_proxy, then run `up` again.",
        ) from error
    settings = {
        "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8"],
        "Cmd": ["python3"],
        "User": "65534",
    }
    docker_archive(work / "image.tar", MOVER_IMAGE, root, settings)
    (work / "image.tar").replace(layout.images / "mover.tar")
    _note(layout, "mover").write_text(_recipe_digest(mover_recipe(suite)) + "\n")
    shutil.rmtree(work)


def build_pause(layout: Layout) -> None:
    """Make the image that holds a pod's namespaces open: one static program."""
    layout.images.mkdir(parents=True, exist_ok=True)
    layer = layout.images / "pause.layer.tar"
    with tarfile.open(layer, "w") as archive:
        entry = archive.gettarinfo(PAUSE_PROGRAM.resolve(), "pause")
        entry.uid = entry.gid = 0
        with PAUSE_PROGRAM.open("rb") as stream:
            archive.addfile(entry, stream)
    unfinished = layout.images / "pause.new.tar"
    docker_archive(unfinished, PAUSE_IMAGE, layer, {"Entrypoint": ["/pause", "-P"], "User": "65535:65535"})
    unfinished.replace(layout.images / "pause.tar")
    layer.unlink()


def mover_is_current(layout: Layout, suite: str) -> bool:
    """Whether the mover's archive is there and was made by today's recipe."""
    try:
        noted = _note(layout, "mover").read_text().strip()
    except FileNotFoundError:
        return False
    return noted == _recipe_digest(mover_recipe(suite)) and (layout.images / "mover.tar").exists()


def load_missing(layout: Layout) -> tuple[str, ...]:
    """Import into the kubelet's containerd the archives that it does not hold yet; returns the names of images."""
    held = _ctr(layout, "images", "list", "--quiet").split()
    loaded = []
    for archive, name in (("pause", PAUSE_IMAGE), ("mover", MOVER_IMAGE)):
        tarball = layout.images / f"{archive}.tar"
        facts = tarball.stat()
        origin = f"{facts.st_size} {facts.st_mtime_ns}\n"
        note = layout.containerd / f"{archive}.loaded"
        if name in held and note.exists() and note.read_text() == origin:
            continue
        _ctr(layout, "images", "import", "--snapshotter", "overlayfs", str(tarball))
        note.write_text(origin)
        loaded.append(name)
    return tuple(loaded)


def _note(layout: Layout, archive: str) -> Path:
    return layout.stamps / f"{archive}.image"


def _recipe_digest(recipe: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(recipe)).encode()).hexdigest()


def _ctr(layout: Layout, *words: str) -> str:
    own = ("--address", str(layout.containerd_socket), "--namespace", "k8s.io")
    return run(["ctr", *own, *words], timeout_s=300).stdout
