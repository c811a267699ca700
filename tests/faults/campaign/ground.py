"""Where trials take place: an operands namespace, a source behind a proxy that misbehaves, and what its files ever were."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from faults.campaign.command import Command
from faults.campaign.draw import SPANS
from support.estate import Estate
from support.s3_fault_proxy import S3FaultProxy, s3_fault_proxy
from weighbridge.kubernetes.client import CLAIM
from weighbridge_sandbox.layout import GATEWAY, S3_ENDPOINT, Layout
from weighbridge_sandbox.models import TINY, write_small_llama
from weighbridge_sandbox.tenancy import create_operands, delete_operands

MODEL = "llama"
ACCESS, SECRET = "FAULTS_ACCESS_KEY", "FAULTS_SECRET_KEY"
RECONCILE_SECONDS = 120
_CLEANED_EVERY = 8
"""Versions; the volume's inodes, not its bytes, run out first."""

_NONE: Mapping[str, str] = MappingProxyType({})

Files = dict[str, str]
"""Path in the set → sha256."""


@dataclass
class Ground:
    """One tenant with one model, that trials follow each other on."""

    estate: Estate
    proxy: S3FaultProxy
    route: str
    folder: Path
    versions: list[Files] = field(default_factory=list)
    """What the source held, the last entry now."""
    theirs: dict[str, Any] = field(default_factory=dict)
    runs: int = 0
    key: str = ""
    spans: dict[str, float] = field(default_factory=lambda: dict(SPANS))
    """Seconds that each phase took the last time that it was done undisturbed: machines differ, and so does their load."""

    # -- what is changed ---------------------------------------------------------------------------------------------

    def new_version(self) -> None:
        """Other weights under the same names."""
        source = self.folder / "source"
        shutil.rmtree(source, ignore_errors=True)
        number = len(self.versions) + 1
        write_small_llama(source, seed=number, shape=TINY)
        (source / "nested").mkdir()
        (source / "nested" / "notes.txt").write_text(f"version {number}\n")
        self.versions.append(hashes(source))
        self.estate.upload(source, MODEL)
        if number % _CLEANED_EVERY == 0:
            self._make_room()

    def new_parameter(self) -> None:
        """Another default of a parameter."""
        parameter = self.model["parameters"]["max_new_tokens"]
        parameter["default"] = 20 + (parameter["default"] + 7) % 1000

    def new_keys(self) -> None:
        """Only the keys made now are valid from now on; runs that start later know them."""
        number = int(self.key.removeprefix("faults-") or 0) + 1
        self.key = f"faults-{number}"
        self.proxy.keys = {self.key: (f"secret-of-{self.key}", None)}

    @property
    def model(self) -> dict[str, Any]:
        found: dict[str, Any] = self.estate.environment["models"][0]
        return found

    @property
    def claim(self) -> str:
        return f"{self.estate.name}-{MODEL}-weights"

    # -- what is run -------------------------------------------------------------------------------------------------

    def start(
        self, verb: str, *arguments: str, variables: Mapping[str, str] = _NONE, **changes: Any
    ) -> Command:
        """Start the command line; ``changes`` apply to the top level of the environment file."""
        self.runs += 1
        return Command(
            verb,
            self.estate.written(**changes),
            *arguments,
            folder=self.folder / "runs" / f"{self.runs:04d}-{verb}",
            cwd=self.estate.folder,
            variables={ACCESS: self.key, SECRET: self.proxy.keys[self.key][0], **variables},
        )

    def run(self, verb: str, *arguments: str) -> tuple[int, Command]:
        """The same, to its end."""
        command = self.start(verb, *arguments)
        try:
            code = command.wait()
            if code == 0:
                self.spans |= command.spans() if verb == "apply" else {}
            return code, command
        finally:
            command.close()

    # -- what is there -----------------------------------------------------------------------------------------------

    def volume(self) -> Path | None:
        """The folder of the model's volume on this machine; ``None`` while there is none."""
        claim = self.estate.kube.get(CLAIM, self.claim, self.estate.name)
        if claim is None or not claim["spec"].get("volumeName"):
            return None
        return self.estate.volume(MODEL)

    def _make_room(self) -> None:
        """Nothing removes old sets by itself: keep the newest ones."""
        volume = self.volume()
        sets = sorted((volume / MODEL).iterdir(), key=lambda one: one.stat().st_mtime) if volume else []
        for old in sets[:-2]:
            shutil.rmtree(old)
            (old.parents[1] / ".weighbridge/receipts" / MODEL / f"{old.name}.json").unlink(missing_ok=True)
            (old.parents[1] / ".weighbridge/locks" / f"{MODEL}.{old.name}").unlink(missing_ok=True)


def hashes(folder: Path) -> Files:
    """Every file below ``folder`` by its content; links and other things would be missing."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


@contextlib.contextmanager
def prepared(name: str, route: str, folder: Path, layout: Layout) -> Iterator[Ground]:
    """A tenant whose model is registered already; it goes afterwards. ``AssertionError`` if the first apply fails."""
    folder.mkdir(parents=True, exist_ok=True)
    home = folder / "home"
    home.mkdir(exist_ok=True)
    upstream = (os.environ["SANDBOX_S3_ACCESS_KEY"], os.environ["SANDBOX_S3_SECRET_KEY"])
    create_operands(name)
    estate = Estate(name=name, layout=layout, folder=home)
    try:
        with s3_fault_proxy(S3_ENDPOINT, upstream, {}, host=GATEWAY) as proxy:
            ground = Ground(estate=estate, proxy=proxy, route=route, folder=folder)
            ground.new_keys()
            _describe(ground)
            ground.theirs = estate.theirs()
            ground.new_version()
            for _ in range(3):  # somebody else may be hurting the sandbox
                code, command = ground.run("apply")
                if code == 0:
                    break
            assert code == 0, command.said
            yield ground
    finally:
        estate.empty()
        estate.kube.close()
        estate.s3.close()
        delete_operands(name)


def _describe(ground: Ground) -> None:
    model = ground.estate.model(MODEL, ground.route, prefix=MODEL)
    source = model["source"]["s3"]
    source["endpoint"] = ground.proxy.endpoint
    source["credentials"] = {"access_key": {"env": ACCESS}, "secret_key": {"env": SECRET}}
    ground.estate.environment["models"] = [model]
    ground.estate.environment["platform"]["reconcile_seconds"] = RECONCILE_SECONDS
