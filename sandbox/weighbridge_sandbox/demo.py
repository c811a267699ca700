"""``python -m weighbridge_sandbox.demo [--size 8GiB]``: the main job from nothing to proof, with what it did and took.

Brings the sandbox up, puts models into its S3 server, plays the administrator who applies what ``weighbridge rbac`` writes, and
runs the installed ``weighbridge`` under it as anybody would: apply, apply again (which must find nothing to do), verify, status.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from weighbridge.domain.human import duration, rate, short, size
from weighbridge.domain.quantity import parse_bytes
from weighbridge.domain.sizing import needed_bytes
from weighbridge_sandbox import cli
from weighbridge_sandbox.commands import DIES_WITH_US
from weighbridge_sandbox.errors import SandboxError
from weighbridge_sandbox.feed import Fed, Feeder, pieces_of_folder, pieces_of_synthetic
from weighbridge_sandbox.grants import DEFAULT
from weighbridge_sandbox.layout import CONTEXT, OPERANDS, S3_ENDPOINT, SILENCE, Layout
from weighbridge_sandbox.models import Synthetic, unpack_minilm, write_small_llama
from weighbridge_sandbox.provisioner.loopfiles import LoopFiles
from weighbridge_sandbox.witness import look

CHECKOUT = Path(__file__).resolve().parents[2]
SYNTHETIC = "synthetic"
GIB = 1 << 30
FAILED = 4
INTERRUPTED = 130
STEP_SECONDS = 3600


class DemoError(SandboxError):
    """A part of the demonstration failed; `code` is the exit code."""

    def __init__(self, what: str, advice: str = "", code: int = FAILED) -> None:
        super().__init__(what, advice)
        self.exit_code = code


@dataclass(frozen=True, slots=True)
class Timed:
    """One part of the run."""

    name: str
    seconds: float
    note: str = ""


@dataclass
class Demo:
    """Collects what was done while it is done; prints as it goes and a summary at the end."""

    layout: Layout
    console: Console
    parts: list[Timed] = field(default_factory=list)
    fed: list[Fed] = field(default_factory=list)
    proven: bool = False
    """Whether the cluster holds, by its own account, the digests of what was fed."""

    def run(self, synthetic_bytes: int | None) -> None:
        """The whole demonstration. Raises SandboxError for the first part that fails."""
        self._up()
        started = time.monotonic()
        if synthetic_bytes is None:
            environment = "sandbox"
            self._feed_real()
        else:
            environment = str(self._feed_synthetic(synthetic_bytes))
        self._note("models into S3", started, self._moved())
        self._grant(DEFAULT if synthetic_bytes is None else Path(environment))
        total = sum(one.total_bytes for one in self.fed)
        at_first = look(self.layout)
        seconds = self._weighbridge("apply", environment)
        moved = f"{size(total)} brought in, {rate(total / seconds)} with everything around it"
        before = look(self.layout)
        note = moved if before.scheduled - at_first.scheduled else "it was in place from an earlier run"
        self.parts[-1] = Timed("apply", seconds, note)
        seconds = self._weighbridge("apply", environment, "apply again")
        if differences := before.differences(look(self.layout)):
            raise DemoError(f"The second apply was not to change anything, and {'; '.join(differences)}.")
        self.parts[-1] = Timed("apply again", seconds, "no pod started; CR and claims not written")
        self._weighbridge("verify", environment, note=f"{size(total)} read again in the cluster")
        self._weighbridge("status", environment)
        if wrong := not_arrived(self._status(environment), self.fed):
            raise DemoError("; ".join(wrong), "The bytes in the cluster are not those that were fed.", code=5)
        self.proven = True

    def summary(self) -> None:
        """Two tables: the models, and where the time went."""
        if self.fed:
            models = Table(title="Models", title_justify="left", title_style="bold")
            for column in ("model", "files", "size", "set digest in S3", "in the cluster"):
                models.add_column(column, justify="right" if column in {"files", "size"} else "left")
            for one in self.fed:
                row = (
                    one.model_id,
                    str(one.files),
                    size(one.total_bytes),
                    f"sha256:{short(one.set_digest)}…",
                )
                models.add_row(*row, "the same" if self.proven else "not proven")
            self.console.print()
            self.console.print(models)
        times = Table(title="Time", title_justify="left", title_style="bold", show_footer=True)
        times.add_column("part", footer="in all")
        times.add_column("took", justify="right", footer=duration(sum(part.seconds for part in self.parts)))
        times.add_column("")
        for part in self.parts:
            times.add_row(part.name, duration(part.seconds), part.note)
        self.console.print()
        self.console.print(times)

    def _up(self) -> None:
        self._headline("weighbridge-sandbox up")
        started = time.monotonic()
        code = cli.call(["up"])
        self._note("sandbox up", started)
        if code:
            raise DemoError("The sandbox did not come up.", "The lines above say why.", code)

    def _grant(self, file: Path) -> None:
        """The platform administrator's part: from here on everything runs under what `weighbridge rbac` writes."""
        self._headline(f"weighbridge-sandbox grant {file.name}")
        started = time.monotonic()
        code = cli.call(["grant", str(file)])
        self._note("Roles, policy, login", started, "the administrator's part; the rest runs under them")
        if code:
            raise DemoError(f"Roles and policy of {file.name} could not be applied.", "See above.", code)

    def _feed_real(self) -> None:
        """The two models of environments/sandbox.yaml."""
        self._headline("models into S3")
        models = self.layout.home / "demo" / "models"
        for folder in (models / "tiny-llama", models / "all-minilm-l6-v2"):
            shutil.rmtree(folder, ignore_errors=True)
        write_small_llama(models / "tiny-llama")
        unpack_minilm(models / "all-minilm-l6-v2", self.layout.home)
        feeder = Feeder(self.layout)
        for folder in (models / "tiny-llama", models / "all-minilm-l6-v2"):
            self._fed(feeder.feed(folder.name, pieces_of_folder(folder), "", self._moving))

    def _feed_synthetic(self, size_bytes: int) -> Path:
        """One synthetic model, and an environment file for it, whose path is returned."""
        self._headline("a synthetic model into S3")
        model = Synthetic(size_bytes)
        feeder = Feeder(self.layout)
        volumes = LoopFiles(self.layout.volumes)
        check_disk(
            free=volumes.free(),
            source=feeder.missing_bytes(SYNTHETIC, model.shards()),
            spool=model.shards()[0][1],
            volume=needed_bytes(size_bytes, keep=1),
            volumes=[image.stat().st_size for image in self.layout.volumes.glob("*/volume.img")],
        )
        work = self.layout.home / "demo"
        shutil.rmtree(work / "models" / SYNTHETIC, ignore_errors=True)
        pieces = pieces_of_synthetic(model, work / "models" / SYNTHETIC)
        self._fed(feeder.feed(SYNTHETIC, pieces, f"{model.seed}/{size_bytes}", self._moving))
        target = work / "sandbox-synthetic.yaml"
        sandbox = yaml.safe_load((CHECKOUT / "environments" / "sandbox.yaml").read_text())
        target.write_text(yaml.safe_dump(synthetic_environment(sandbox), sort_keys=False))
        return target

    def _fed(self, one: Fed) -> None:
        self.fed.append(one)
        how = "already there" if one.moved_bytes == 0 else f"{size(one.moved_bytes)} moved"
        self.console.print(f"  {one.model_id}: {one.files} files, {size(one.total_bytes)} ({how})")

    def _moved(self) -> str:
        moved = sum(one.moved_bytes for one in self.fed)
        return f"{size(moved)} moved" if moved else "they were there already"

    def _moving(self, path: str) -> None:
        self.console.print(f"    {path}", style="dim")

    def _weighbridge(self, verb: str, environment: str, name: str = "", note: str = "") -> float:
        """Run the installed console script with the sandbox's environment; returns its seconds."""
        self._headline(f"weighbridge {verb} {Path(environment).name}")
        started = time.monotonic()
        try:
            done = subprocess.run(
                [*DIES_WITH_US, str(program()), verb, environment],
                cwd=CHECKOUT,
                env=client_environment(self.layout, os.environ),
                check=False,
                timeout=STEP_SECONDS,
            )
        except FileNotFoundError as error:
            raise DemoError(f"{program()} is not there.", "Run `make setup`.") from error
        except subprocess.TimeoutExpired as error:
            raise DemoError(f"weighbridge {verb} did not end within {duration(STEP_SECONDS)}.") from error
        self._note(name or verb, started, note if done.returncode == 0 else f"exit code {done.returncode}")
        if done.returncode:
            raise DemoError(
                f"weighbridge {verb} {Path(environment).name} ended with exit code {done.returncode}.",
                "Its last lines above say what to do.",
                code=done.returncode if done.returncode > 0 else FAILED,
            )
        return self.parts[-1].seconds

    def _status(self, environment: str) -> Mapping[str, Any]:
        """The same status once more, for a program to read."""
        done = subprocess.run(
            [*DIES_WITH_US, str(program()), "status", environment, "--json"],
            cwd=CHECKOUT,
            env=client_environment(self.layout, os.environ),
            check=False,
            timeout=STEP_SECONDS,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in reversed(done.stdout.splitlines()):
            found = json.loads(line)
            if isinstance(found, dict) and found.get("type") == "status":
                return found
        raise DemoError(f"weighbridge status {environment} --json printed no status.")

    def _headline(self, text: str) -> None:
        self.console.print()
        self.console.rule(f"[bold]{text}", align="left")

    def _note(self, name: str, started: float, note: str = "") -> None:
        self.parts.append(Timed(name, time.monotonic() - started, note))


def program() -> Path:
    """The console script that was installed next to this Python."""
    return Path(sys.executable).with_name("weighbridge")


def not_arrived(status: Mapping[str, Any], fed: Sequence[Fed]) -> list[str]:
    """Compare what weighbridge says of the cluster with what was put into S3; one sentence for each model that differs."""
    models = {model["model"]: model for model in status["models"]}
    wrong = []
    for one in fed:
        model = models.get(one.model_id, {})
        receipt = model.get("receipt") or {}
        if (found := receipt.get("set_digest")) != one.set_digest:
            wrong.append(f"{one.model_id} is {found or 'absent'} in the cluster and {one.set_digest} in S3")
        elif not model.get("registered"):
            wrong.append(f"{one.model_id} is not registered")
    return wrong


def client_environment(layout: Layout, base: Mapping[str, str]) -> dict[str, str]:
    """What `weighbridge-sandbox env` exports, on top of ``base``; credentials live in the child's environment only."""
    return {
        **base,
        "KUBECONFIG": str(layout.kubeconfig),
        "PATH": f"{layout.bin}:{Path(sys.executable).parent}:{base.get('PATH', os.defpath)}",
        "SANDBOX_S3_ENDPOINT": S3_ENDPOINT,
        "SANDBOX_S3_ACCESS_KEY": layout.s3_access_key.read_text().strip(),
        "SANDBOX_S3_SECRET_KEY": layout.s3_secret_key.read_text().strip(),
        "SANDBOX_PULUMI_PASSPHRASE": layout.passphrase.read_text().strip(),
        **SILENCE,
    }


def check_disk(*, free: int, source: int, spool: int, volume: int, volumes: Sequence[int]) -> None:
    """Raise DemoError unless ``free`` bytes hold what is still to come, and 1 GiB to spare.

    That is the rest of the source in S3, one shard on its way there, and the claim's volume unless one of ``volumes``
    (sizes of those that exist) is already as large. All in bytes.
    """
    new_volume = 0 if any(there >= volume for there in volumes) else volume
    needed = source + (spool if source else 0) + new_volume + GIB
    if needed > free:
        raise DemoError(
            f"This takes {size(needed)} of disk: {size(source)} in S3, {size(spool)} on the way, "
            f"{size(new_volume)} for the volume, 1 GiB to spare. {size(max(free, 0))} are free.",
            "Free some space, choose a smaller --size, or move the sandbox by WEIGHBRIDGE_SANDBOX_HOME.",
            code=3,
        )


def synthetic_environment(sandbox: Mapping[str, object]) -> dict[str, object]:
    """environments/sandbox.yaml with the synthetic model instead of its own, under another name."""
    models = sandbox["models"]
    if not isinstance(models, list) or not models:
        raise DemoError("environments/sandbox.yaml declares no model.")
    source = dict(models[0]["source"]["s3"]) | {"prefix": f"{SYNTHETIC}/"}
    model = {
        "id": SYNTHETIC,
        "source": {"s3": source},
        "storage": models[0]["storage"],
        "routes": ["fetch"],
        "tags": ["sandbox", SYNTHETIC],
    }
    cluster = {"context": f"{CONTEXT}-{SYNTHETIC}", "namespace": OPERANDS}
    return {**sandbox, "name": "sandbox-synthetic", "cluster": cluster, "models": [model]}


def size_argument(text: str) -> int:
    """``8GiB``, ``8Gi`` or ``8589934592`` as bytes."""
    try:
        return parse_bytes(text.removesuffix("B"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size; write 8GiB, for example") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 if every part succeeded, else the code of the first that did not."""
    parser = argparse.ArgumentParser(prog="weighbridge_sandbox.demo", description=__doc__, allow_abbrev=False)
    parser.add_argument("--size", type=size_argument, help="use synthetic weights of this size, such as 8GiB")
    chosen = parser.parse_args(argv)
    demo = Demo(Layout.from_environment(), Console(highlight=False))
    code = 0
    try:
        demo.run(chosen.size)
    except SandboxError as error:
        demo.console.print(
            f"\n{error}\n{error.advice}".rstrip(), markup=False, style="bold red", soft_wrap=True
        )
        code = error.exit_code
    except KeyboardInterrupt:
        code = INTERRUPTED
    if demo.parts:
        demo.summary()
    if code == 0:
        demo.console.print("\nEverything held. The sandbox stays up: `weighbridge-sandbox down` stops it.")
    return code


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
