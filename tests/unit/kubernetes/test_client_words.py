"""What httpx says of a request is passed on only where it cannot hold the login."""

import httpx2 as httpx
import pytest

from weighbridge.errors import PreconditionError
from weighbridge.kubernetes.client import Kube


@pytest.mark.parametrize(
    "error",
    [
        httpx.LocalProtocolError("Illegal header value b'Bearer PLANTED\\n'"),
        UnicodeEncodeError("ascii", "Bearer PLANTED", 0, 1, "PLANTED"),
    ],
    ids=["illegal", "encoding"],
)
def test_a_token_that_no_header_carries_is_not_shown(error: Exception) -> None:
    kube = object.__new__(Kube)
    kube.where = "context stage"
    with (
        pytest.raises(PreconditionError, match="no HTTP header can carry") as refused,
        kube._translated("get"),
    ):
        raise error
    assert "PLANTED" not in str(refused.value)
    assert refused.value.code == "cluster-login"
