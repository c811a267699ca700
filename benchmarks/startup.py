"""What a verb costs before it does anything: CPU seconds, user and system, of the whole process with its children.

    python benchmarks/startup.py [--rounds 20] [--environment sandbox]

CPU seconds and not wall time, because they hardly depend on what else the machine does. ``status`` and ``plan`` ask the cluster:
where it does not answer they are left out, and that is said. Of ``plan``, which must find nothing to do, the wall time stands
beside that of bare previews: its own stacks by the same CLI, side by side, in a process that has done everything else before.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("weighbridge")
BESIDE = {
    "python": [sys.executable, "-c", "pass"],
    "pydantic": [sys.executable, "-c", "from pydantic import BaseModel"],
    "ansible": [str(PROGRAM.with_name("ansible")), "--version"],
    "pulumi": ["pulumi", "version"],
}
"""What others cost before they do anything, in the same run."""
AIMS = {"--help": 0.15, "check": 0.4, "status": 0.8}
"""CPU seconds."""
PLAN_AIM = 2.0
"""Times the bare previews."""


def cost(argv: list[str]) -> tuple[float, float]:
    """CPU seconds and wall seconds of one run. ``SystemExit`` where it fails."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)} failed: {done.returncode}\n{done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def show(name: str, seconds: list[float], unit: str, aim: float | None = None) -> None:
    told = f"{statistics.median(seconds):6.2f} {unit} ({min(seconds):.2f} to {max(seconds):.2f})"
    print(f"{name:16} {told}{'' if aim is None else f', aim {aim:g}'}")


def bare_previews(environment: str) -> float:
    """Wall seconds of a preview of each stack that ``environment`` declares, side by side, with all else done before."""
    from weighbridge.core.declared import SPEC  # noqa: PLC0415 - slow to import, and nothing of it is measured above
    from weighbridge.core.step import Request  # noqa: PLC0415
    from weighbridge.steps import STEPS  # noqa: PLC0415
    from weighbridge.wiring import opened  # noqa: PLC0415

    with (
        Path(os.devnull).open("w") as nowhere,
        opened(environment, nowhere, as_json=True, verbose=False) as it,
    ):
        facts = it.session.plan(Request()).facts
        names = [step.stack.name for step in STEPS if step.stack is not None]
        specs = [spec for name in names if (spec := facts.one(SPEC, name)) is not None]
        began = time.monotonic()
        with ThreadPoolExecutor(len(specs)) as pool:
            list(pool.map(it.stacks.preview, specs))
        return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--environment", default="sandbox")
    arguments = parser.parse_args()
    environment = arguments.environment
    program, rounds = str(PROGRAM), range(arguments.rounds)
    beside = {name: argv for name, argv in BESIDE.items() if shutil.which(argv[0])}
    verbs = {**beside, "--help": [program, "--help"], "check": [program, "check", environment]}
    answers = (
        subprocess.run([program, "status", environment], capture_output=True, check=False).returncode == 0
    )
    if answers:
        verbs["status"] = [program, "status", environment]
    else:
        print("the cluster does not answer: status and plan are left out", file=sys.stderr)
    for argv in verbs.values():
        cost(argv)  # the first run compiles and warms the caches
    # in turns: machines are noisy
    turns = [{name: cost(argv)[0] for name, argv in verbs.items()} for _ in rounds]
    for name in verbs:
        show(name, [turn[name] for turn in turns], "CPU s", AIMS.get(name))
    if answers:
        plan = [program, "plan", environment, "--expect-no-changes"]
        cost(plan)
        pairs = [(*cost(plan), bare_previews(environment)) for _ in rounds]
        show("plan", [cpu for cpu, _, _ in pairs], "CPU s")
        show("plan", [wall for _, wall, _ in pairs], "s")
        show("bare previews", [bare for _, _, bare in pairs], "s")
        show("plan / bare", [wall / bare for _, wall, bare in pairs], "times", PLAN_AIM)


if __name__ == "__main__":
    main()
