"""`boxport models` and `boxport wait`, and what a service says that is away or refuses."""

import json
import ssl
from pathlib import Path

import pytest

from tests.clients.python.scripted import ScriptedServer, answers, drops, refuses, says


def test_models_into_a_pipe(asking) -> None:
    done = asking("models")
    models = [json.loads(line) for line in done.stdout.splitlines()]
    assert {model["task"] for model in models} == {"detection", "classification"}
    assert {model["labels"] for model in models} == {20, 1000}
    assert all(model["status"]["state"] == "ready" for model in models)
    assert max(len(line) for line in done.stdout.splitlines()) < 1500
    full = [json.loads(line) for line in asking("models", "--full").stdout.splitlines()]
    assert [len(model["labels"]) for model in full] == [model["labels"] for model in models]
    assert all("parity" in model for model in full)


def test_models_in_a_terminal(asking) -> None:
    status, shown = asking.in_terminal("models")
    assert status == 0
    row = next(line for line in shown.splitlines() if "efficientdet_lite0_voc/1" in line)
    assert row.split()[1:] == ["detection", "320", "x", "320", "fp32,", "cpu", "AP", "29.7"]
    best = next(line for line in shown.splitlines() if "retinanet_lite0_voc/1" in line)
    assert best.split()[1] == "*"
    assert "* answers requests that name no model" in shown
    assert "not measured" in next(line for line in shown.splitlines() if "imagenet/1" in line)


def test_wait(asking) -> None:
    done = asking("wait")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    done = asking("wait", "--timeout", 0.5, "--url", "http://127.0.0.1:9")
    assert done.returncode == 3
    words = "error: http://127.0.0.1:9 is not ready after 0.5 s: cannot reach http://127.0.0.1:9: "
    assert done.stderr.decode().startswith(words)


def test_an_untrusted_certificate(boxport, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    from tests.clients.python.certificates import self_signed

    certificate = self_signed(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    (boxport.folder / "photo.jpg").write_bytes(b"photo")
    with ScriptedServer(context) as server:
        given = ("--url", server.url)
        waited = boxport("wait", *given, "--timeout", 30)
        assert waited.returncode == 3
        assert b"is not trusted: self-signed certificate" in waited.stderr
        detected = boxport("detect", "photo.jpg", *given)
        assert (detected.returncode, b"tries" in detected.stderr) == (3, False)
        assert json.loads(detected.stdout)["error"]["retryable"] is False
        for command in (("wait",), ("detect", "photo.jpg"), ("bench", "--seconds", 0.1)):
            trusting = boxport(*command, *given, "--ca-file", certificate)
            assert trusting.returncode == 0, trusting.stderr
        missing = boxport("wait", *given, "--ca-file", "none.pem")
    assert missing.returncode == 2
    assert (
        missing.stderr
        == b"error: none.pem: is no file of certificates: No such file or directory\n"
    )


def test_a_service_that_is_away_is_not_asked_a_hundred_times(boxport, album: Path) -> None:
    (boxport.folder / "found.csv").write_text("of an earlier run")
    done = boxport("detect", "album", "--url", "http://127.0.0.1:9", "--csv", "found.csv")
    _, first, second = done.stderr.decode().splitlines()
    assert done.returncode == 3
    assert first.startswith("error: album/astronaut.jpg: cannot reach http://127.0.0.1:9: ")
    assert second == "error: gave up: 2 photos of 3 not sent"
    assert json.loads(done.stdout)["error"]["code"] == "connection_failed"
    assert (boxport.folder / "found.csv").read_text() == "of an earlier run"


def test_a_service_that_goes_away_is_given_up_after_a_while(boxport, album: Path, scripted) -> None:
    for number in range(20):
        (album / f"{number}.jpg").write_bytes(b"photo")
    scripted.script = [answers()]
    scripted.then = drops
    done = boxport("detect", "album", "--url", scripted.url, "--retries", 0, "--concurrency", 1)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 11
    assert done.stderr.decode().splitlines()[-1] == "error: gave up: 12 photos of 23 not sent"


def test_exit_statuses_of_refusals(boxport, album: Path, scripted) -> None:
    for status, code, expected, asked in (
        (401, "unauthenticated", 3, 1),
        (503, "overloaded", 3, 3),  # whoever comes next may be served
        (422, "invalid_parameter", 2, 1),
        (422, "invalid_image", 1, 3),
        (403, "url_not_allowed", 1, 3),
    ):
        scripted.then = refuses(status, code, retryable=False)
        words = ("--url", scripted.url, "--concurrency", 1)
        done = boxport("detect", "album", *words)
        assert done.returncode == expected, code
        assert len(done.stdout.splitlines()) == asked, code
        assert b"Traceback" not in done.stderr
    scripted.then = says(200, b"<html>welcome</html>")
    done = boxport("detect", "album", "--url", scripted.url)
    assert done.returncode == 3
    assert b"the reply is not that of a Boxport service: <html>welcome</html>" in done.stderr


def test_the_key_is_sent(boxport, album: Path, scripted) -> None:
    boxport("detect", "album/coffee.jpg", "--url", scripted.url, "--api-key", "k-1")
    boxport("detect", "album/coffee.jpg", "--url", scripted.url, BOXPORT_API_KEY="k-2")
    keys = [asked.headers["authorization"] for asked in scripted.asked]
    assert keys == ["Bearer k-1", "Bearer k-2"]


def test_retries_and_timeout(boxport, album: Path, scripted) -> None:
    scripted.then = refuses(503, "overloaded", retryable=True)
    words = ("detect", "album/coffee.jpg", "--url", scripted.url, "--timeout", 20)
    boxport(*words, "--retries", 1)
    assert len(scripted.asked) == 2
    assert int(scripted.asked[0].headers["x-request-timeout-ms"]) in range(15_000, 20_001)
