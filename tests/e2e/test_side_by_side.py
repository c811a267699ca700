"""Two models on their way at once: Ctrl-C ends both and leaves nothing, the same command goes on, both are verified at once."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.estate import BIN, Estate
from weighbridge.kubernetes.client import JOB

pytestmark = pytest.mark.sandbox

TITLES = {"weights llama-fetch", "weights llama-push"}


def events(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def together(text: str, titles: set[str]) -> bool:
    """Whether all had begun before the first of them had ended."""
    begun: set[str] = set()
    for event in events(text):
        if event.get("title") in titles:
            if event["type"] == "step-ended":
                return begun == titles
            begun.add(event["title"])
    return begun == titles


def interrupted(estate: Estate, folder: Path) -> str:
    """An apply that is interrupted once its pods are on their way; what it said."""
    said = folder / "said"
    with said.open("w") as stream:
        process = subprocess.Popen(
            [BIN / "weighbridge", "apply", str(estate.written(transfers={"models": 2})), "--json"],
            cwd=estate.folder, env=os.environ, stdout=subprocess.DEVNULL, stderr=stream,
        )  # fmt: skip
        until = time.monotonic() + 240
        while not (together(said.read_text(), TITLES) and estate.kube.list(JOB, estate.name)):
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < until, said.read_text()
            time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(120) == 130, said.read_text()
    return said.read_text()


def test_an_interruption_ends_both_and_the_same_command_goes_on(estate: Estate, tmp_path: Path) -> None:
    ended = {
        event["title"]: event["outcome"]
        for event in events(interrupted(estate, tmp_path))
        if event["type"] == "step-ended" and event["title"] in TITLES
    }
    assert ended == dict.fromkeys(TITLES, "failed")
    assert estate.leftovers() == []

    went_on = estate.run("apply", "--json", transfers={"models": 2})
    assert went_on.code == 0, went_on.said
    assert together(went_on.err, TITLES)
    assert not estate.run("plan", "--expect-no-changes").code


def test_both_are_verified_at_once_and_told_in_their_order(estate: Estate) -> None:
    verified = estate.run("verify", "--json", transfers={"models": 2})
    assert verified.code == 0, verified.said
    assert [row["model"] for row in verified.json["models"]] == ["llama-fetch", "llama-push"]
    assert together(verified.err, {f"verify {model}" for model in ("llama-fetch", "llama-push")})
