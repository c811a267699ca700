"""The programs the sandbox builds from pinned Go modules, and how it knows that one is already there."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from weighbridge_sandbox.commands import run
from weighbridge_sandbox.errors import CommandError
from weighbridge_sandbox.layout import Layout

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
    """

    product: str
    program: str
    package: str
    variables: Mapping[str, str]
    version_argv: tuple[str, ...]
    accepts: str
    links: tuple[str, ...] = ()
    embeds: Mapping[str, tuple[str, str, str | None]] | None = None

    @property
    def sources(self) -> Path:
        """The folder of the module."""
        return GO_SOURCES / self.product

    @property
    def linker_flags(self) -> str:
        """For `go build -ldflags`; without symbol tables, which halves the size."""
        return " ".join(["-s -w", *(f"-X {name}={value}" for name, value in sorted(self.variables.items()))])


_PROVIDER = "github.com/pulumi/pulumi-kubernetes/provider/v4"
_PROVIDER_MAIN = "cmd/pulumi-resource-kubernetes"

TOOLS = (
    Tool("etcd", "etcd", "go.etcd.io/etcd/server/v3", {}, ("--version",), r"etcd Version: 3\.[56]\."),
    Tool(
        "versitygw",
        "versitygw",
        "github.com/versity/versitygw/cmd/versitygw",
        {"main.Version": VERSITYGW},
        ("--version",),
        r"(?m)^Version\s*: v1\.(?:[89]|\d\d)\.",
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
        links=("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kubectl"),
    ),
    Tool(
        "pulumi",
        "pulumi",
        "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi",
        # Without it the Automation API raises InvalidVersionError.
        {"github.com/pulumi/pulumi/sdk/v3/go/common/version.Version": PULUMI},
        ("version",),
        rf"^{re.escape(PULUMI)}$",
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
    ),
)


def digest(tool: Tool) -> str:
    """What a build of this tool depends on: its module's files, the package and the flags (hexadecimal sha256)."""
    summary = hashlib.sha256()
    for name in sorted(
        path.name for path in tool.sources.iterdir() if path.suffix in {".go", ".mod", ".sum"}
    ):
        content = (tool.sources / name).read_bytes()
        summary.update(f"{name} {len(content)}\n".encode() + content)
    summary.update(json.dumps([tool.package, tool.linker_flags, sorted(tool.embeds or {})]).encode())
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
    names = (tool.program, *tool.links)
    return bool(noted.get("digest") == digest(tool)) and all(
        os.access(layout.bin / n, os.X_OK) for n in names
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


def install(layout: Layout, tool: Tool, program: Path, seconds: float, origin: str) -> None:
    """Put a program in place in one step, with its links and then its stamp, so that a stop in between shows.

    `program` lies in `bin` under a name that begins with a dot, or elsewhere, in which case it is linked to.
    """
    target = layout.bin / tool.program
    if program.parent == layout.bin:
        program.replace(target)
    else:
        _link(target, str(program))
    for name in tool.links:
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
