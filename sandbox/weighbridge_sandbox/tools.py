"""The programs the sandbox builds from pinned Go modules, and how it knows that one is already there."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from weighbridge_sandbox.commands import run
from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.releases import Archive

_HERE = Path(__file__).resolve().parent
GO_SOURCES = next(
    folder for folder in (_HERE / "go", _HERE.parent / "go") if folder.is_dir() or folder != _HERE / "go"
)
KUBERNETES = "v1.34.4"
VERSITYGW = "v1.8.0"
PULUMI = "v3.255.0"
PULUMI_KUBERNETES = "4.26.0"
_K8S_VERSION = "k8s.io/component-base/version"


@dataclass(frozen=True)
class Tool:
    """One program from one Go module of ours.

    `package` is what `go build` builds; `variables` are set by the linker; `links` are further names of the program;
    `version_argv` and `accepts` (a pattern over its output) tell whether a program already on PATH serves as well;
    `embeds` maps a file beside our main to (module, file in it, value of "version" to set or None).
    `patched` maps a folder beside our main to the module that it patches: the module is copied there, what lies in our
    folder goes over it, and the build takes the module from there. `archive` is the official release, if its digest is known.
    """

    product: str
    program: str
    package: str
    variables: Mapping[str, str]
    version_argv: tuple[str, ...]
    accepts: str
    links: tuple[str, ...] = ()
    embeds: Mapping[str, tuple[str, str, str | None]] = field(default_factory=dict)
    patched: Mapping[str, str] = field(default_factory=dict)
    archive: Archive | None = None

    @property
    def sources(self) -> Path:
        """The folder of the module."""
        return GO_SOURCES / self.product

    @property
    def names(self) -> tuple[str, ...]:
        """What others call it by."""
        return self.links or (self.program,)

    @property
    def linker_flags(self) -> str:
        """For `go build -ldflags`; without symbol tables, which halves the size."""
        return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in sorted(self.variables.items()))])


_GITHUB = "https://github.com"
_KUBERNETES_PROGRAMS = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl")
_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_PROVIDER_MAIN = "cmd/pulumi-resource-kubernetes"

TOOLS = (
    Tool(
        "etcd",
        "etcd",
        "go.etcd.io/etcd/server/v3",
        {},
        ("--version",),
        r"etcd Version: 3\.[56]\.",
        archive=Archive(
            f"{_GITHUB}/etcd-io/etcd/releases/download/v3.6.5/etcd-v3.6.5-linux-amd64.tar.gz",
            "sha256",  # of kubespray's checksums.yml
            "66bad39ed920f6fc15fd74adcb8bfd38ba9a6412f8c7852d09eb11670e88cac3",
            ("etcd",),
        ),
    ),
    Tool(
        "versitygw",
        "versitygw",
        "github.com/versity/versitygw/cmd/versitygw",
        {"main.Version": VERSITYGW},
        ("--version",),
        r"(?m)^Version\s*: v1\.(?:[89]|\d\d)\.",
        archive=Archive(
            f"{_GITHUB}/versity/versitygw/releases/download/{VERSITYGW}/versitygw_{VERSITYGW}_Linux_x86_64.tar.gz",
            "sha256",  # of the release's checksums.txt, as two other projects hold it
            "2ba2c734d10d2c4e651d03182cb4b246656bc735a2f282db7b0b73fba6073467",
            ("versitygw",),
        ),
    ),
    Tool(
        "kubernetes",
        "kubernetes",
        ".",
        {
            f"{_K8S_VERSION}.gitVersion": KUBERNETES,
            f"{_K8S_VERSION}.gitMajor": "1",
            f"{_K8S_VERSION}.gitMinor": "34",
            f"{_K8S_VERSION}.gitTreeState": "clean",
        },
        (),
        r"(?!)",  # nobody else has this program
        links=_KUBERNETES_PROGRAMS,
        archive=Archive(
            f"https://dl.k8s.io/{KUBERNETES}/kubernetes-server-linux-amd64.tar.gz",
            "sha512",  # of Kubernetes' CHANGELOG-1.34.md
            "65c75e81e3ea488f6d42b493cad64d7577ddfa1e5372037a1c841ac069039997"
            "d359b5b2f2d44e7665bf04c48ed0065cf9d4c9801b1e63bb6a1b099ef00d4863",
            _KUBERNETES_PROGRAMS,
        ),
    ),
    Tool(
        "pulumi",
        "pulumi",
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        # Without it the Automation API raises InvalidVersionError.
        {"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": PULUMI},
        ("version",),
        rf"^{re.escape(PULUMI)}$",
        archive=Archive(
            f"{_GITHUB}/pulumi/pulumi/releases/download/{PULUMI}/pulumi-{PULUMI}-linux-x64.tar.gz",
            "sha256",  # as one other project holds it
            "cf559568e2c32f7fae56ea3de8ae5fa48973ba8c5aa9dd2b3dc0c8898fe50dba",
            ("pulumi",),
        ),
    ),
    Tool(
        "pulumi-kubernetes",
        "pulumi-resource-kubernetes",
        ".",
        {f"{_PROVIDER}/pkg/version.Version": PULUMI_KUBERNETES},
        (),
        r"(?!)",  # it does not tell its version
        embeds={
            "schema-embed.json": (_PROVIDER, f"{_PROVIDER_MAIN}/schema.json", PULUMI_KUBERNETES),
            "terraform-mapping-embed.json": (_PROVIDER, f"{_PROVIDER_MAIN}/terraform-mapping.json", None),
        },
        patched={"sdk": "github.com/pulumi/pulumi-kubernetes/sdk/v4"},
    ),
)


def digest(tool: Tool) -> str:
    """What a build of this tool depends on: its module's files, the package and the flags (hexadecimal sha256)."""
    summary = hashlib.sha256()
    for path in sorted(path for path in tool.sources.rglob("*") if path.suffix in {".go", ".mod", ".sum"}):
        content = path.read_bytes()
        summary.update(f"{path.relative_to(tool.sources).as_posix()} {len(content)}\n".encode() + content)
    summary.update(json.dumps([tool.package, tool.linker_flags, sorted(tool.embeds)]).encode())
    return summary.hexdigest()


def stamp(layout: Layout, tool: Tool) -> Path:
    """The file that says what the program in `bin` was built from."""
    return layout.stamps / f"{tool.product}.json"


def is_current(layout: Layout, tool: Tool) -> bool:
    """Whether the program and its other names are there and were made from just these sources and flags."""
    try:
        noted = json.loads(stamp(layout, tool).read_text())
    except (FileNotFoundError, ValueError):
        return False
    return bool(noted.get("digest") == digest(tool)) and all(
        os.access(layout.bin / name, os.X_OK) for name in tool.names
    )


def on_path(layout: Layout, tool: Tool, path: str) -> Path | None:
    """A program of that name on `path`, ours left out, whose version fits; None if there is none."""
    folders = [
        folder
        for folder in path.split(os.pathsep)
        if folder and Path(folder).resolve() != layout.bin.resolve()
    ]
    found = shutil.which(tool.program, path=os.pathsep.join(folders)) if tool.version_argv else None
    if not found:
        return None
    try:
        said = run([found, *tool.version_argv], timeout_s=20, check=False).stdout.strip()
    except CommandError:
        return None
    return Path(found).resolve() if re.search(tool.accepts, said) else None


def install(layout: Layout, tool: Tool, programs: Mapping[str, Path], seconds: float, origin: str) -> None:
    """Put programs (name -> file) in place, with the tool's other names and then its stamp, so that a stop in between shows.

    A file in `bin`, whose name begins with a dot, is moved; one that lies elsewhere is linked to.
    """
    for name, program in programs.items():
        if program.parent == layout.bin:
            program.replace(layout.bin / name)
        else:
            _link(layout.bin / name, str(program))
    for name in set(tool.links) - set(programs):
        _link(layout.bin / name, tool.program)
    layout.stamps.mkdir(parents=True, exist_ok=True)
    unfinished = layout.stamps / f".{tool.product}.new"
    unfinished.write_text(
        json.dumps({"digest": digest(tool), "seconds": round(seconds, 1), "origin": origin}) + "\n"
    )
    unfinished.replace(stamp(layout, tool))


def _link(name: Path, target: str) -> None:
    unfinished = name.with_name(f".{name.name}.link")
    unfinished.unlink(missing_ok=True)
    unfinished.symlink_to(target)
    unfinished.replace(name)
