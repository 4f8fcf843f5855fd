"""`boxport bench` against the real service, and against one that refuses."""

import json
from pathlib import Path

from boxport_client.cli._load import Level, Target, measure

from tests.clients.python.scripted import answers, refuses, says


def test_figures_of_the_real_service(asking, photos: Path) -> None:
    words = ("--concurrency", "1,3", "--seconds", 1, "--photos", photos)
    done = asking("bench", *words)
    assert (done.returncode, done.stderr) == (0, b"passed over 1 file: 1 .md\n")
    report = json.loads(done.stdout)
    assert report["model"] == "retinanet_lite0_voc/1"
    assert (report["photos"], report["made_photo"], report["same_machine"]) == (7, False, True)
    assert report["notes"][0].startswith("Client and service share this machine")
    one, three = report["levels"]
    assert (one["concurrency"], three["concurrency"]) == (1, 3)
    assert one["answers"] == round(one["requests_per_second"] * one["seconds"])
    assert 0 < one["p50_ms"] <= one["p95_ms"] <= one["p99_ms"] <= 1000 * one["seconds"]
    # one connection that always waits for its answer: half of them cannot take twice the mean
    assert 0.1 < one["answers"] * one["p50_ms"] / 1000 / one["seconds"] <= 2


def test_in_a_terminal(asking) -> None:
    words = ("--task", "classify", "--concurrency", "1", "--seconds", "0.5")
    status, shown = asking.in_terminal("bench", *words)
    assert status == 0
    assert "classify at http" in shown
    assert "The photo was made for this" in shown
    assert "share this machine" in shown
    assert "p99 ms" in shown
    assert "\N{FULL BLOCK}" * 26 in shown


def test_refusals_are_counted_and_not_tried_again(boxport, scripted) -> None:
    scripted.script = [answers()]
    scripted.then = refuses(429, "rate_limited", retryable=True, Retry_After="5")
    done = boxport("bench", scripted.url, "--concurrency", "2", "--seconds", "0.3")
    assert done.returncode == 3
    (level,) = json.loads(done.stdout)["levels"]
    assert level["answers"] == 0
    assert level["p99_ms"] is None
    assert level["errors"]["rate_limited"] > 2


def test_some_refusals(scripted) -> None:
    scripted.script = [answers()] + [says(502, b"bad gateway"), answers()] * 5
    target = Target(f"{scripted.url}/v1/detect", {"x": "y"}, [b"a", b"b"], 10)
    level = measure(target, 1, 0.3)
    assert level.errors["status 502"] <= 5
    assert level.milliseconds == sorted(level.milliseconds)
    assert {asked.body for asked in scripted.asked} == {b"a", b"b"}
    assert len(scripted.asked) > len(level.milliseconds) + sum(level.errors.values())  # the warm-up
    assert scripted.asked[0].headers["x"] == "y"


def test_what_is_sent(boxport, scripted) -> None:
    words = ("--concurrency", "1", "--seconds", "0.1", "--model", "a/2", "--api-key", "k")
    assert boxport("bench", "--url", scripted.url, *words).returncode == 0
    assert {asked.path for asked in scripted.asked} == {"/v1/detect?model=a%2F2"}
    assert {asked.headers["authorization"] for asked in scripted.asked} == {"Bearer k"}
    assert scripted.asked[-1].body.startswith(b"\xff\xd8")  # a JPEG


def test_percentiles_are_by_nearest_rank() -> None:
    level = Level(1, 2.0, [float(number) for number in range(1, 201)])
    assert [level.percentile(percent) for percent in (50, 95, 99, 100)] == [100, 190, 198, 200]
    assert level.per_second == 100
    assert Level(1, 1.0, [7.0]).percentile(50) == 7
    assert Level(1).percentile(99) is None
    assert Level(1).per_second == 0


def test_interrupted_it_shows_what_it_has(asking) -> None:
    status, shown = asking.in_terminal(
        "bench", "--concurrency", "1,2", "--seconds", "3", until=lambda text: "2 at a time" in text
    )
    assert status == 130
    assert "1 of 2 levels were measured" in shown
    assert "requests/s" in shown


def test_wrong_usage(boxport, scripted) -> None:
    for words, line in (
        (["--concurrency", "1,x"], "must be numbers from 1 to 1024"),
        (["--photos", "http://a/b.jpg"], "name a folder, a glob or a file"),
        ([scripted.url, "--url", scripted.url], "give the address once"),
    ):
        done = boxport("bench", *words)
        assert done.returncode == 2, words
        (told,) = done.stderr.decode().splitlines()
        assert line in told
    assert scripted.asked == []
    assert boxport("bench", "http://127.0.0.1:9").returncode == 3
