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


def test_a_journal_of_another_task_is_refused(asking, album: Path) -> None:
    asking("detect", "album/coffee.jpg", "--journal", "j")
    done = asking("classify", "album/coffee.jpg", "--journal", "j")
    assert done.returncode == 2
    assert b"of a run with other parameters" in done.stderr
