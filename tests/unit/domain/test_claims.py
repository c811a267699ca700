"""Whether weights can be brought into a claim that somebody else made, told before a pod is."""

from typing import Any

import pytest

from support.world import World, environment
from weighbridge.domain.claims import ClaimFacts, claim_seen, holds_no_weights
from weighbridge.domain.quantity import MIB
from weighbridge.environment.types import Environment
from weighbridge.errors import PreconditionError


def seen(spec: dict[str, Any], status: dict[str, Any]) -> ClaimFacts:
    return claim_seen({"metadata": {"name": "theirs", "uid": "u"}, "spec": spec, "status": status})


def test_the_capacity_counts_where_there_is_a_volume_and_the_request_before() -> None:
    asked = {"resources": {"requests": {"storage": "10Mi"}}}
    assert seen(asked, {}).room_bytes == 10 * MIB
    assert seen(asked, {"capacity": {"storage": "1Gi"}}).room_bytes == 1024 * MIB
    assert (seen({}, {}).room_bytes, seen({}, {}).phase, seen({}, {}).volume_mode) == (
        0,
        "Pending",
        "Filesystem",
    )


@pytest.mark.parametrize(
    ("changes", "set_bytes", "code"),
    [
        ({}, 10 * MIB, None),
        ({}, None, None),
        ({}, 10 * MIB + 1, "claim-too-small"),
        ({"access_modes": ("ReadOnlyMany",)}, None, "claim-read-only"),
        ({"access_modes": ("ReadOnlyMany", "ReadWriteOnce")}, None, None),
        ({"access_modes": ("ReadWriteOncePod",)}, None, None),
        ({"volume_mode": "Block", "access_modes": ("ReadWriteMany",)}, None, "claim-block"),
    ],
)
def test_what_can_never_hold_weights(
    changes: dict[str, Any], set_bytes: int | None, code: str | None
) -> None:
    base: dict[str, Any] = {
        "name": "theirs",
        "uid": "u",
        "phase": "Bound",
        "requested_bytes": 10 * MIB,
        "storage_class": None,
    }
    why = holds_no_weights(ClaimFacts(**{**base, **changes}), set_bytes)
    assert (None if why is None else why[2]) == code
    assert why is None or "PersistentVolumeClaim theirs" in why[0]


def world(size_bytes: int) -> World:
    """One model of 1,030 bytes on a claim of somebody else."""
    raw = environment("one").model_dump(mode="json", exclude_none=True)
    raw["models"][0]["storage"] = {"existing_pvc": "theirs"}
    made = World(Environment.model_validate(raw, strict=False))
    made.claims["theirs"] = ClaimFacts(
        name="theirs", uid="u", phase="Bound", requested_bytes=size_bytes, storage_class=None
    )
    return made


def test_a_plan_refuses_a_claim_that_is_too_small_and_names_the_key() -> None:
    small = world(1029)
    with pytest.raises(
        PreconditionError, match=r"has 1\.00 KiB, and the files alone need 1\.01 KiB"
    ) as refused:
        small.session().plan()
    assert refused.value.place is not None
    assert refused.value.place.key == "models[0].storage.existing_pvc"
    assert small.calls == []


def test_a_claim_that_holds_this_set_alone_is_warned_of() -> None:
    (warning,) = world(1030).session().plan().warnings
    assert "a later version may not fit" in warning


def test_what_is_in_place_stays_so_however_small_its_claim_calls_itself() -> None:
    before = world(2**40)
    assert before.session().apply().complete
    claim = before.claims["theirs"]
    before.claims["theirs"] = ClaimFacts(
        name="theirs", uid=claim.uid, phase="Bound", requested_bytes=1, storage_class=None
    )
    assert not before.session().plan().pending
