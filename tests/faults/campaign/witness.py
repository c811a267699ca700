"""Looks at the custom resource all the time: nothing is registered before its bytes are there, and others stay untouched."""

import contextlib
import threading
from typing import Any, Self

from faults.campaign.ground import MODEL, Ground, hashes
from support.estate import CR
from weighbridge.errors import WeighbridgeError
from weighbridge.kubernetes.client import WATSONX_IFM

_LOOK_EVERY_SECONDS = 0.2


class Witness:
    """A context manager; ``seen_wrong`` holds what was wrong at some moment, in words."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._version = ""
        self.seen_wrong: list[str] = []
        self.looks = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _watch(self) -> None:
        while not self._stop.wait(_LOOK_EVERY_SECONDS):
            with contextlib.suppress(WeighbridgeError):  # the API server may be the one that was killed
                self._look()

    def _look(self) -> None:
        estate = self._ground.estate
        found = estate.kube.get(WATSONX_IFM, CR, estate.name)
        self.looks += 1
        if found is None:
            self._note("the custom resource is gone")
        elif found["metadata"]["resourceVersion"] != self._version:
            self._version = found["metadata"]["resourceVersion"]
            for wrong in wrong_with(self._ground, found["spec"]):
                self._note(wrong)

    def _note(self, wrong: str) -> None:
        if wrong not in self.seen_wrong:
            self.seen_wrong.append(wrong)


def wrong_with(ground: Ground, spec: dict[str, Any]) -> list[str]:
    """What must never be so, at no moment, in words."""
    entries = spec["custom_foundation_models"]
    ours = [entry for entry in entries if entry["model_id"] == MODEL]
    rest = {**spec, "custom_foundation_models": [entry for entry in entries if entry["model_id"] != MODEL]}
    wrong = []
    if rest != ground.theirs:
        wrong.append(f"others' part of the custom resource was changed: {rest}")
    if len(ours) > 1:
        wrong.append(f"our entry stands there {len(ours)} times")
    return wrong + [problem for entry in ours for problem in _unproven(ground, entry)]


def _unproven(ground: Ground, entry: dict[str, Any]) -> list[str]:
    volume, place = ground.volume(), str(entry["location"]["sub_path"])
    if volume is None:
        return [f"{place} is registered, and there is no volume"]
    receipt = volume / ".weighbridge/receipts" / MODEL / f"{place.rpartition('/')[2]}.json"
    if not receipt.is_file():
        return [f"{place} is registered without a receipt"]
    if hashes(volume / place) not in ground.versions:
        return [f"{place} is registered, and its files are no version that the source ever held"]
    return []
