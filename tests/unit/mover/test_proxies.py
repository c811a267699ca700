import pytest

from weighbridge.mover.errors import RefusedError
from weighbridge.mover.proxies import ProxySettings, proxy_for

NONE = ProxySettings()
ENV = {
    "HTTPS_PROXY": "http://envproxy:3128",
    "http_proxy": "envproxy:8080",
    "NO_PROXY": ".svc,10.0.0.0/8,host.example.com,.cluster.local",
}


def test_the_orders_proxy_comes_first_then_the_environment() -> None:
    assert str(proxy_for("https", "s3.example.com", ProxySettings(https="http://p:1"), ENV)) == "Proxy(p:1)"
    assert str(proxy_for("https", "s3.example.com", NONE, ENV)) == "Proxy(envproxy:3128)"
    assert str(proxy_for("http", "s3.example.com", NONE, ENV)) == "Proxy(envproxy:8080)"
    assert proxy_for("https", "s3.example.com", NONE, {}) is None


@pytest.mark.parametrize(
    ("host", "direct"),
    [
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("a.svc", True),
        ("HOST.example.com", True),
        ("ahost.example.com", False),
        ("x.host.example.com", True),
    ],
)
def test_no_proxy_knows_names_suffixes_and_ranges(host: str, direct: bool) -> None:
    assert (proxy_for("https", host, NONE, ENV) is None) is direct


def test_the_orders_exceptions_replace_the_environments() -> None:
    assert proxy_for("https", "10.1.2.3", ProxySettings(no_proxy=("example.com",)), ENV) is not None
    assert proxy_for("https", "any", ProxySettings(no_proxy=("*",)), ENV) is None


def test_credentials_of_a_proxy_are_used_and_hidden() -> None:
    proxy = proxy_for("https", "h", ProxySettings(https="http://us%40er:pass@p:1"), {})
    assert proxy is not None
    assert proxy.authorization == "Basic dXNAZXI6cGFzcw=="
    assert "dXN" not in repr(proxy)


@pytest.mark.parametrize("url", ["socks5://p:1", "https://p:1", "http://", "http://p:x"])
def test_a_proxy_that_cannot_be_used_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(RefusedError, match="not usable"):
        proxy_for("https", "h", ProxySettings(https=url), {})
