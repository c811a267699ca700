"""What must hold when a trial is over: every sentence returned is something that was lost or left behind."""

import re
from pathlib import Path
from typing import Any

from faults.campaign.command import Command
from faults.campaign.ground import MODEL, Ground, hashes
from faults.campaign.processes import await_end
from faults.campaign.witness import wrong_with
from weighbridge.kubernetes.client import Kind

LEASE = Kind("coordination.k8s.io", "v1", "Lease", "leases")
FAILURES = frozenset({3, 4, 5, 130})
ORPHAN_SECONDS = 20
"""Within this time after the last run, whatever an earlier one had started has to be gone."""

SETTLED_SECONDS = 11
"""A private folder is left alone by other runs until it is so old (``processes/scratch.py``)."""

_NOISE = re.compile(r"Traceback \(most recent call last\)|Exception ignored|Fatal Python error|panic:")


def said_well(command: Command, code: int) -> list[str]:
    """How a run that was struck reported it: a known exit code, what happened, what to do, and no traceback."""
    problems = []
    if _NOISE.search(command.said):
        problems.append(f"a traceback was shown (exit {code})")
    if command.hung:
        problems.append("the run did not end by itself")
    if code == 1:
        problems.append(f"exit 1, a defect: {command.result or command.said[-600:]}")
    if code in FAILURES:
        errors = command.result.get("errors") or []
        if not errors:
            problems.append(f"exit {code} without an error in the result")
        problems += [f"an error without a remedy: {error}" for error in errors if not error.get("remedy")]
    return problems


def in_place(ground: Ground) -> list[str]:
    """The model is registered as wanted, with the bytes of the source as they are now."""
    entries = [entry for entry in ground.estate.entries() if entry["model_id"] == MODEL]
    if len(entries) != 1:
        return [f"our entry stands there {len(entries)} times"]
    default = next(item for item in entries[0]["parameters"] if item["name"] == "max_new_tokens")["default"]
    wanted = ground.model["parameters"]["max_new_tokens"]["default"]
    problems = [] if default == wanted else [f"max_new_tokens is {default} and not {wanted}"]
    volume = ground.volume()
    if volume is None:
        return [*problems, "there is no volume"]
    if hashes(volume / str(entries[0]["location"]["sub_path"])) != ground.versions[-1]:
        problems.append("the registered files are not the source's")
    status = ground.estate.cr()["status"]
    if status["watsonxaiifmStatus"] != "Completed":
        problems.append(f"the operator says {status['watsonxaiifmStatus']}")
    return problems


def gone(ground: Ground) -> list[str]:
    """After a destroy: ours is not registered."""
    return [f"{entry} is still registered" for entry in ground.estate.entries() if entry["model_id"] == MODEL]


def untouched(ground: Ground) -> list[str]:
    """What is others' in the custom resource."""
    spec: dict[str, Any] = ground.estate.cr()["spec"]
    return wrong_with(ground, spec)


def orphans(ground: Ground, commands: list[Command]) -> list[str]:
    """Objects, processes, private folders, locks and half-brought sets that nobody needs any more."""

    def objects() -> list[str]:
        return [*ground.estate.leftovers(), *_leases(ground)]

    def processes() -> list[str]:
        return [line for command in commands for line in command.family.describe()]

    return [
        *(f"left in the cluster: {one}" for one in await_end(objects, ORPHAN_SECONDS)),
        *(f"still running: {one}" for one in await_end(processes, ORPHAN_SECONDS)),
        *(f"left on this machine: {one}" for one in _files(ground, commands)),
        *(f"left in the state: {one}" for one in _state_locks(ground)),
        *(f"left on the volume: {one}" for one in _staging(ground)),
    ]


def _leases(ground: Ground) -> list[str]:
    found = ground.estate.kube.list(LEASE, ground.estate.name)
    return [
        f"lease {item['metadata']['name']}"
        for item in found
        if item["metadata"]["name"].startswith("weighbridge-")
    ]


def _files(ground: Ground, commands: list[Command]) -> list[str]:
    """What lies on tmpfs, in the temporary folder of a run, or in the spool."""
    private = {folder for command in commands for folder in command.family.folders}
    private |= {path for command in commands for path in _of_run(command)}
    left = [path for path in private if path.exists()]
    for command in commands:
        left += [path for path in (command.folder / "tmp").rglob("*") if path.is_file()]
    spool = ground.estate.folder / "var" / "spool"
    names = {".lock", "port-forward.log"}
    spooled = [path for path in spool.rglob("*") if path.is_file() and path.name not in names]
    left += [path for path in spooled if path.suffix != ".sent"]  # digests of what was sent, and no bytes
    return [str(path) for path in left]


def _of_run(command: Command) -> list[Path]:
    """Folders in memory that carry the number of the run's process."""
    return list(Path("/dev/shm").glob(f"weighbridge-*-{command.process.pid}-*"))


def forsaken(commands: list[Command]) -> list[Path]:
    """Private folders whose maker was killed before anybody could remove them: the next run has to do it."""
    return [path for command in commands if command.process.poll() is not None for path in _of_run(command)]


def _state_locks(ground: Ground) -> list[str]:
    found = ground.estate.s3.list_objects_v2(
        Bucket="weighbridge-state", Prefix=f"{ground.estate.name}/.pulumi/locks/"
    )
    return [item["Key"] for item in found.get("Contents", [])]


def _staging(ground: Ground) -> list[str]:
    """Sets in flight of the present version; another version's are the next run's to sweep."""
    volume = ground.volume()
    entry = next((one for one in ground.estate.entries() if one["model_id"] == MODEL), None)
    if volume is None or entry is None:
        return []
    staging = volume / ".weighbridge/staging" / str(entry["location"]["sub_path"])
    return [str(path) for path in staging.parent.glob(f"{staging.name}*")]
