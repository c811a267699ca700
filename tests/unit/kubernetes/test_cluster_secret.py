"""A Secret of the cluster, as the movers that mount it read it."""

import base64
from pathlib import Path
from typing import Any, cast

import pytest

from weighbridge.environment.secrets import Secrets
from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.client import Kube
from weighbridge.kubernetes.cluster import ClusterFacts
from weighbridge.sources.interface import SourceSecrets

WANTED = SourceSecrets(existing="keys", required=("ACCESS", "SECRET"))


class OneSecret:
    def __init__(self, **data: bytes) -> None:
        self.data = {key: base64.b64encode(value).decode() for key, value in data.items()}

    def get(self, *_: object) -> dict[str, Any]:
        return {"data": self.data}


def resolved(**data: bytes) -> dict[str, str]:
    facts = ClusterFacts(cast("Kube", OneSecret(**data)), "cpd-instance")
    return Secrets(Path(), kube_reader=facts.secret, environ={}).of_source(WANTED)


def test_one_key_that_is_no_text_does_not_hide_the_others() -> None:
    found = resolved(ACCESS=b"a", SECRET=b"s", keystore=b"\xfe\xed\xfe\xed\x00")
    assert found == {"ACCESS": "a", "SECRET": "s"}


def test_white_space_around_a_value_is_trimmed_as_the_mover_does() -> None:
    assert resolved(ACCESS=b" a\r\n", SECRET=b"s\n") == {"ACCESS": "a", "SECRET": "s"}


def test_a_needed_key_that_is_no_text_is_named_and_not_shown() -> None:
    with pytest.raises(
        PreconditionError, match="SECRET of Kubernetes Secret keys holds bytes that are no UTF-8 text"
    ) as refused:
        resolved(ACCESS=b"a", SECRET=b"\xff\xfe")
    assert "xff" not in refused.value.what
