"""The record of a campaign, and the table that is kept in ``docs/faults.md``."""

import json
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from faults.campaign.draw import Fault

WHOLE = 200
"""Trials of a whole campaign."""

FOUND = (
    "`destroy --weights` under the generated Roles waited ten minutes for each claim: Pulumi's Kubernetes provider sees a deletion by listing claims.",
    'ansible-playbook killed: exit 1, "a defect", without a word on what to do, and its pods left for the next run to remove.',
    "weighbridge and its guards killed in one moment: a private folder stayed in `/dev/shm` for ever.",
    "a plugin of Pulumi killed: the message told the user to report a bug.",
    "the API server away when the wait for the operator began: the run gave up at once instead of waiting.",
    "Ctrl-C while the program was still loading: a traceback.",
    "a cache of the Kubernetes client stayed in the folder for temporary files, under a name that everybody can guess.",
    "killed between the recording of a receipt and the removal of the Job: Job, pod and Secret stayed, because the next run had nothing to do for that model.",
    "a Job whose pod was removed in the moment after it was complete: the run waited for its result until the deadline.",
    "S3 breaking off the answer while a plan read a shard index: a traceback (exit 1), or a short answer that was taken for the whole file.",
    "the guard process between us and Pulumi killed while a plugin started: the plugin stayed, and nothing was said of a kill.",
    "the cleaning up after a killed push failed under the generated Roles, unnoticed: it asked for a Secret that only a fetch has.",
    "two threads that met a type of the cluster's API for the first time at once: the process crashed, by a library's fault.",
    "what a pod of another user had planted on the volume made every apply fail (trials 306 and 223, repeated since): it is put aside.",
)


@dataclass(frozen=True)
class Record:
    """One JSON line a trial; a trial that is repeated counts as it ended last, and is said to have been repeated."""

    path: Path

    def rows(self) -> dict[int, dict[str, Any]]:
        if not self.path.exists():
            return {}
        found: dict[int, dict[str, Any]] = {}
        for text in self.path.read_text().splitlines():
            row = json.loads(text)
            before = found.get(row["number"], {})
            row["lost_before"] = bool(before and (before["problems"] or before["lost_before"]))
            found[row["number"]] = row
        return found

    def add(self, row: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as stream:
            stream.write(json.dumps(row) + "\n")


def line(row: dict[str, Any], seed: int) -> str:
    """One trial in one line."""
    verdict = "LOST" if row["problems"] else "fine" if row["struck"] else "missed"
    exits = ",".join(map(str, row["exits"])) or "-"
    return (
        f"seed {seed} trial {row['number']:4d}  {verdict:<6} {' then '.join(row['faults'])}  [{row['moment']}]  "
        f"{row['change']} by {row['route']}  exit {exits}, {row['runs_after']} more  {row['seconds']:.0f} s"
    )


def document(rows: Sequence[dict[str, Any]], seed: int, catalogue: Iterable[Fault]) -> str:
    """``docs/faults.md``."""
    struck = [row for row in rows if row["struck"]]
    lost = [row for row in rows if row["problems"]]
    minutes = sum(row["seconds"] for row in rows) / 60
    twice = sum(len(row["exits"]) > 1 for row in struck)
    head = f"""\
# Faults: what was tried, and what was lost

Written by `make test-faults`; do not edit. Seed {seed}, {datetime.now(UTC):%d %B %Y}, {platform.system()} {platform.machine()}.

**{len(struck)} trials, {twice} of them struck twice in a row; {"nothing was lost" if not lost else f"{len(lost)} lost something"}.** {minutes:.0f} minutes of
trials on the sandbox: real API server, kubelet, S3 server, Pulumi, Ansible and rsync. Each trial changes something (a parameter, the files of the
source, everything from an absent volume, or a destroy), starts `weighbridge`, strikes at a moment that the seed decides, and runs the same command
again, undisturbed, until it succeeds. `make test-faults ARGS="--seed {seed} --only N"` repeats trial N; `make soak ARGS="--hours 8"` goes on
with other seeds.

Lost would be any of these; all are looked for after every trial, the first two at every moment of it as well:
- an entry of ours in the custom resource whose files on the volume are not, byte for byte, a version that the source held, with its receipt;
- an entry, the order or another key of others changed; ours twice;
- the same command does not succeed within three runs, or what it leaves is not what the environment file says;
- an orphan: pod, Job, Secret, ConfigMap, Lease, process, private folder, spooled file, lock in Pulumi's state, half-brought set;
- a run that hangs, ends with an exit code that does not fit, shows a traceback, or has an error without a word on what to do.

| fault | trials | the struck run ended with | runs until done, at most | lost |
|---|---|---|---|---|
"""
    if len(rows) < WHOLE:
        head = head.replace(
            "\n\nLost would be",
            f"\n\n*This is a part of a campaign: a whole one has {WHOLE} trials.*\n\nLost would be",
            1,
        )
    return head + "\n".join(_rows(struck, catalogue)) + "\n\n" + _tail(rows, lost)


def _rows(struck: Sequence[dict[str, Any]], catalogue: Iterable[Fault]) -> list[str]:
    table = []
    for fault in catalogue:
        mine = [row for row in struck if fault.name in row["faults"][: len(row["exits"])]]
        codes = Counter(
            code
            for row in mine
            for name, code in zip(row["faults"], row["exits"], strict=False)
            if name == fault.name
        )
        ended = ", ".join(f"{_word(code)} ({count})" for code, count in sorted(codes.items())) or "-"
        most = max((row["runs_after"] - (row["change"] == "destroy") for row in mine), default=0)
        lost = sum(bool(row["problems"]) for row in mine)
        table.append(
            f"| {fault.what} | {len(mine)} | {ended} | {most or '-'} | {lost or ('nothing' if mine else '-')} |"
        )
    return table


def _word(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit {code}"


def _tail(rows: Sequence[dict[str, Any]], lost: Sequence[dict[str, Any]]) -> str:
    missed = [row["number"] for row in rows if not row["struck"] and not row["problems"]]
    text = f"""\
A trial that is struck twice counts in the rows of both faults. Of {len(rows)} drawn trials {len(missed)} are left out: the run was over before
the strike fell, three times in a row.

Not covered: the loss of power of the node (the sandbox's etcd does not fsync), a clock that jumps on this machine (a clock
of S3 that is off by an hour is), and what only IBM's operator does.
"""
    text += "\nFound while the campaign was made and run, and mended since:\n" + "".join(
        f"- {one}\n" for one in FOUND
    )
    versions = Counter(str(row.get("version", "unknown")) for row in rows)
    if len(versions) > 1:
        text += f"\nTrials by version of the code: {', '.join(f'{name}: {count}' for name, count in versions.items())}.\n"
    if again := [str(row["number"]) for row in rows if row.get("lost_before")]:
        text += f"\nRepeated, because they had lost something when they were first run: trials {', '.join(again)}.\n"
    for row in lost:
        text += (
            f"\nTrial {row['number']} ({' then '.join(row['faults'])}): {'; '.join(row['problems'])[:500]}\n"
        )
    return text
