import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.mover.document import OrderError
from weighbridge.mover.order import Order, parse_order

FINGERPRINT = "sha256:" + "0123456789ab" + "c" * 52
ORDER: dict[str, Any] = {
    "schema": 1,
    "model_id": "org/tiny",
    "sub_path": "org/tiny/0123456789ab",
    "fingerprint": FINGERPRINT,
    "route": "fetch",
    "source": {
        "kind": "s3",
        "endpoint": "https://s3.example.com",
        "region": "eu-de",
        "bucket": "models",
        "prefix": "tiny/",
    },
    "files": [
        {"path": "tokenizer.json", "size": 2, "etag": "a"},
        {"path": "config.json", "size": 2, "etag": '"b"'},
        {"path": "model.safetensors", "size": 10, "etag": "c-2", "sha256": "0" * 64},
    ],
    "limits": {"workers": 4, "stall_seconds": 2.5},
    "proxy": {"https": "http://proxy:3128", "no_proxy": [".svc"]},
    "expect_set_digest": "sha256:" + "1" * 64,
}


def test_an_order_is_read_whole() -> None:
    order = parse_order(copy.deepcopy(ORDER))
    assert [file.path for file in order.files] == ["config.json", "model.safetensors", "tokenizer.json"]
    assert (order.files[0].etag, order.files[1].sha256, order.total_bytes) == ("b", "0" * 64, 14)
    assert (order.limits.workers, order.limits.stall_seconds, order.limits.chunk_bytes) == (4, 2.5, 64 << 20)
    assert (order.proxy.https, order.proxy.http, order.proxy.no_proxy) == (
        "http://proxy:3128",
        None,
        (".svc",),
    )


def test_what_may_be_left_out() -> None:
    order = parse_order(
        {key: ORDER[key] for key in ("schema", "model_id", "sub_path", "fingerprint", "route", "files")}
    )
    assert (order.source, order.expect_set_digest, order.limits.check_etag) == (None, None, "auto")


def test_no_files_are_fine_only_where_their_digest_is_known() -> None:
    assert parse_order(changed("files", [])).files == ()
    document = changed("files", [])
    del document["expect_set_digest"]
    with pytest.raises(OrderError, match="at least one file"):
        parse_order(document)


def changed(path: str, value: object) -> dict[str, Any]:
    document = copy.deepcopy(ORDER)
    *above, last = path.split(".")
    target: Any = document
    for key in above:
        target = target[int(key) if key.isdigit() else key]
    target[int(last) if last.isdigit() else last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("schema", 2, "schema"),
        ("model_id", "../x", "model_id"),
        ("sub_path", "org/tiny/ffffffffffff", "sub_path"),
        ("fingerprint", "md5:1", "fingerprint"),
        ("route", "copy", "route"),
        ("surprise", 1, "surprise"),
        ("source.kind", "ftp", "source.kind"),
        ("source.endpoint", "s3.example.com", "source.endpoint"),
        ("source.endpoint", "https://u:p@s3.example.com", "source.endpoint"),
        ("source.endpoint", "https://s3.example.com/path", "source.endpoint"),
        ("source.endpoint", "https://s3.example.com:99999", "source.endpoint"),
        ("source.bucket", "a/b", "source.bucket"),
        ("source.prefix", "a\nb", "source.prefix"),
        ("source.surprise", 1, "source.surprise"),
        ("files", {}, "files"),
        ("files.0.path", "/etc/passwd", "absolute"),
        ("files.0.path", "config.json", "twice"),
        ("files.0.path", "config.json/x", "lies inside"),
        ("files.0.path", "x.pkl", "may run code"),
        ("files.0.path", "other.json", "lacks"),
        ("files.0.size", -1, r"files\[0\].size"),
        ("files.0.size", True, r"files\[0\].size"),
        ("files.0.etag", None, r"files\[0\].etag"),
        ("files.2.sha256", "00", r"files\[2\].sha256"),
        ("limits.workers", 0, "limits.workers"),
        ("limits.chunk_bytes", 1, "limits.chunk_bytes"),
        ("limits.stall_seconds", 0, "limits.stall_seconds"),
        ("limits.check_etag", "maybe", "limits.check_etag"),
        ("limits.worker", 1, "limits.worker"),
        ("proxy.no_proxy", "x", "proxy.no_proxy"),
        ("expect_set_digest", "x", "expect_set_digest"),
    ],
)
def test_what_is_wrong_is_named(path: str, value: object, told: str) -> None:
    with pytest.raises(OrderError, match=told):
        parse_order(changed(path, value))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=5,
)
KEYS = st.sampled_from(
    [
        *ORDER,
        "source.endpoint",
        "source.prefix",
        "files.0",
        "files.1.path",
        "limits.workers",
        "limits.deadline_seconds",
        "proxy.http",
    ]
)


@given(KEYS, JSON)
def test_whatever_stands_there_it_is_an_order_or_an_order_error(path: str, value: object) -> None:
    try:
        assert isinstance(parse_order(changed(path, value)), Order)
    except OrderError:
        assert OrderError.exit_code == 3
