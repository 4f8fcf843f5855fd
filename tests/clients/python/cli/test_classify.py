"""`boxport classify` against the real service."""

import csv
import io
import json
from pathlib import Path


def test_classes_into_a_pipe_and_as_csv(asking, album: Path) -> None:
    done = asking("classify", "album/coffee.jpg", "--top-k", 2)
    line = json.loads(done.stdout)
    assert line["photo"] == "album/coffee.jpg"
    assert [item["label"] for item in line["classifications"]] == ["espresso", "cup"]
    rows = list(
        csv.DictReader(
            io.StringIO(
                asking(
                    "classify", "album", "--csv", "-", "--top-k", 1, "--max-side", 300
                ).stdout.decode()
            )
        )
    )
    assert [(row["photo"], row["rank"]) for row in rows] == [
        ("album/astronaut.jpg", "1"),
        ("album/cats/cat.jpg", "1"),
        ("album/coffee.jpg", "1"),
    ]
    assert rows[2]["label"] == "espresso"
    assert rows[2]["width"] == "600"


def test_a_terminal_gets_a_table(asking, album: Path) -> None:
    status, shown = asking.in_terminal("classify", "album/coffee.jpg", "--top-k", 2)
    assert status == 0
    assert "espresso" in shown
    assert "1 photo answered; 1 espresso; " in shown
    assert "photos" not in shown.split("answered")[0]  # one photo has no bar


def test_regions_of_each_photo(asking, album: Path) -> None:
    regions = ("--region", "95,30,440,330", "--region", "0,0,100,100.5")
    words = ("classify", "album/coffee.jpg", *regions, "--region-resize", "warp", "--top-k", 2)
    line = json.loads(asking(*words).stdout)
    assert [one["box"] for one in line["regions"]] == [[95, 30, 440, 330], [0, 0, 100, 100.5]]
    assert line["regions"][0]["classifications"][0]["label"] == "espresso"
    rows = list(csv.DictReader(io.StringIO(asking(*words, "--csv", "-").stdout.decode())))
    assert [(row["region"], row["rank"]) for row in rows] == [
        *(("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")),
    ]
    assert (rows[0]["label"], rows[0]["left"], rows[2]["bottom"]) == ("espresso", "95.0", "100.5")
    status, shown = asking.in_terminal(*words)
    assert status == 0
    assert "440" in shown.split("espresso")[1]


def test_a_region_outside_one_photo_is_that_photos_error(asking, album: Path) -> None:
    done = asking("classify", "album/cats", "album/coffee.jpg", "--region", "500,10,590,90")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line.get("error", {}).get("code") for line in lines] == ["region_outside", None]
    assert done.returncode == 1


def test_what_is_no_region_is_wrong_usage(asking, album: Path) -> None:
    for text in ("1,2,3", "1,2,3,x", "1,2,3,nan"):
        done = asking("classify", "album/coffee.jpg", "--region", text)
        assert done.returncode == 2
        assert b"left" in done.stderr
    done = asking("classify", "album/coffee.jpg", "--region-padding", 0.1)
    assert done.returncode == 2
    assert b"without regions" in done.stderr


def test_a_journal_of_another_task_is_refused(asking, album: Path) -> None:
    asking("detect", "album/coffee.jpg", "--journal", "j")
    done = asking("classify", "album/coffee.jpg", "--journal", "j")
    assert done.returncode == 2
    assert b"of a run with other parameters" in done.stderr
