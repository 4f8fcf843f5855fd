"""Which proxy a service is reached through, and what is said where that fails."""

import importlib.util
import socket

import httpx
import pytest
from boxport_client import ApiError, BoxportError, ConnectionFailed, InvalidRequest, MissingExtra
from boxport_client._proxies import find_proxy

from tests.clients.python.scripted import Asked, ScriptedServer, hangs, says

PROXY = "http://proxy.test:3128"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("http", "https", "all", "no"):
        for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper()):
            monkeypatch.delenv(name, raising=False)


def found(url: str, **named: str) -> str | None:
    proxy = find_proxy(httpx.URL(url), named)
    return None if proxy is None else str(proxy)


def test_the_proxy_of_a_scheme_goes_before_that_of_all() -> None:
    named = {"http": PROXY, "all": "https://all.test"}
    assert found("http://a.test", **named) == f"{PROXY} (HTTP_PROXY)"
    assert found("https://a.test", **named) == "https://all.test (ALL_PROXY)"
    assert found("https://a.test", http=PROXY) is None
    assert found("http://a.test", http="proxy.test:3128") == f"{PROXY} (HTTP_PROXY)"
    assert found("http://a.test", http="http://user:secret@proxy.test:3128/") == (
        f"{PROXY} (HTTP_PROXY)"
    )


def of_client(proxy: ScriptedServer) -> list[Asked]:
    """What a client asked of ``proxy``: a library of this process, such as ONNX Runtime with its
    telemetry, may ask through it for something of its own."""
    return [asked for asked in proxy.asked if ".microsoft.com" not in asked.path]


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("http://a.test", "*"),
        ("http://a.test", "b.test, a.test"),
        ("http://a.test", "b.test a.test"),
        ("http://A.test.", "a.TEST"),
        ("http://a.test", ".a.test"),
        ("http://x.a.test", ".a.test"),
        ("http://x.a.test", "a.test"),
        ("http://x.a.test", "*.a.test"),
        ("http://a.test:3000", "a.test:3000"),
        ("http://a.test", "a.test:80"),
        ("https://a.test", "https://a.test/"),
        ("http://localhost:3000", "localhost,127.0.0.1,[::1]"),
        ("http://127.0.0.1", "127.0.0.0/8"),
        ("http://10.1.2.3:3000", "10.0.0.0/8"),
        ("http://10.1.2.3:3000", "10.1.2.3:3000"),
        ("http://[::1]:3000", "::1"),
        ("http://[::1]:3000", "[::1]"),
        ("http://[::1]:3000", "[::1]:3000"),
        ("http://[fd07:b51a:cc66:f0::5]", "localhost,fd07:b51a:cc66:f0::/64"),
        ("http://[fd07:b51a:cc66:f0::5]", "[fd07:b51a:cc66:f0::]/64"),
        ("http://[fd07::5]", "fd07:0:0::5"),
    ],
)
def test_entries_of_no_proxy(url: str, no_proxy: str) -> None:
    assert found(url, all=PROXY, no=no_proxy) is None


@pytest.mark.parametrize(
    ("url", "no_proxy"),
    [
        ("http://a.test", ""),
        ("http://a.test", ",, . :80"),
        ("http://aa.test", "a.test"),
        ("http://a.test.b", "a.test"),
        ("http://a.test:3000", "a.test:3001"),
        ("http://a.test:3000", "a.test:port"),
        ("http://a.test", "https://a.test"),
        ("http://127.0.0.1", "localhost,10.0.0.0/8,[::1],::1,1"),
        ("http://127.0.0.1", "0.0.1,27.0.0.1,300.0.0.0/8"),
        ("http://[::2]", "[::1],::1,fd07::/64,[::"),
        ("http://localhost", "127.0.0.1"),
    ],
)
def test_what_no_proxy_does_not_name(url: str, no_proxy: str) -> None:
    assert found(url, all=PROXY, no=no_proxy) == f"{PROXY} (ALL_PROXY)"


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://proxy.test:port", "HTTP_PROXY is not the URL of a proxy"),
        ("http://proxy.test:99999", "HTTP_PROXY is not the URL of a proxy"),
        ("http://", "HTTP_PROXY is not the URL of a proxy"),
        ("http://user:secret@a..b", "HTTP_PROXY is not the URL of a proxy"),
        ("socks4://proxy.test", r"socks4://proxy.test \(HTTP_PROXY\) is of none of the kinds http"),
        ("socks://user:secret@proxy.test", "socks://proxy.test .* none of the kinds"),
    ],
)
def test_what_is_no_proxy(make_client, monkeypatch, address: str, words: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", address)
    with pytest.raises(ConnectionFailed, match=words) as caught:
        make_client("http://a.test")
    assert "secret" not in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "a.test")
    make_client("http://a.test")


def test_socks(make_client, monkeypatch, scripted: ScriptedServer) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:9")
    if importlib.util.find_spec("socksio") is None:
        with pytest.raises(MissingExtra, match=r"pip install 'boxport-client\[socks\]'"):
            make_client(scripted.url)
    else:
        with pytest.raises(ConnectionFailed, match=r"through the proxy socks5h://127"):
            make_client(scripted.url, retries=0).detect(b"photo")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert make_client(scripted.url).detect(b"photo").width == 100


def test_a_request_through_a_proxy(make_client, monkeypatch, scripted: ScriptedServer) -> None:
    proxy = scripted.url.replace("//", "//user:p%40ss@")
    monkeypatch.setenv("http_proxy", proxy)
    assert make_client("http://service.test:3000/base").detect(b"photo").width == 100
    (asked,) = of_client(scripted)
    assert asked.path == "http://service.test:3000/base/v1/detect"
    assert asked.headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"


def test_a_proxy_that_does_not_listen(make_client, monkeypatch) -> None:
    with socket.socket() as taken:  # bound, so that nobody else listens there, either
        taken.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{taken.getsockname()[1]}"
        monkeypatch.setenv("HTTP_PROXY", proxy)
        client = make_client("http://service.test", retries=0)
        words = rf"cannot reach http://service.test through the proxy {proxy} \(HTTP_PROXY\): "
        with pytest.raises(ConnectionFailed, match=words):
            client.detect(b"photo")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(("status", "tries"), [(407, 1), (403, 1), (502, 3)])
@pytest.mark.usefixtures("hasty")
def test_a_proxy_that_refuses(
    make_client, monkeypatch, scripted: ScriptedServer, scheme: str, status: int, tries: int
) -> None:
    """In plain HTTP its reply looks like the service's; for TLS it is told apart."""
    scripted.then = says(status, b"Not through here")
    monkeypatch.setenv("ALL_PROXY", scripted.url)
    client = make_client(f"{scheme}://service.test", retries=2)
    with pytest.raises(BoxportError, match=rf"through the proxy {scripted.url} \(") as caught:
        client.detect(b"photo")
    kind = ConnectionFailed if scheme == "https" else ApiError
    assert isinstance(caught.value, kind)
    assert str(status) in str(caught.value)
    assert caught.value.retryable == (tries > 1)
    assert len(of_client(scripted)) == caught.value.tries == tries


def test_a_proxy_that_hangs(make_client, monkeypatch, scripted: ScriptedServer) -> None:
    scripted.then = hangs
    monkeypatch.setenv("ALL_PROXY", scripted.url)
    for scheme in ("http", "https"):
        client = make_client(f"{scheme}://service.test", timeout=0.3)
        with pytest.raises(BoxportError, match=rf"{scheme}://service.test through the proxy"):
            client.detect(b"photo")


def test_the_services_own_refusal_does_not_name_the_proxy(
    make_client, monkeypatch, scripted: ScriptedServer
) -> None:
    scripted.then = says(422, b'{"code": "invalid_image", "detail": "No.", "retryable": false}')
    monkeypatch.setenv("HTTP_PROXY", scripted.url)
    with pytest.raises(InvalidRequest) as caught:
        make_client("http://service.test").detect(b"photo")
    assert str(caught.value) == "422 invalid_image: No."
