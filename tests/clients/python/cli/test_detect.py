"""`boxport detect` against the real service, as a person and as a program use it."""

import csv
import io
import json
from pathlib import Path

import pytest
from boxport_client import Client
from PIL import Image


def lines(done) -> list[dict]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_into_a_pipe_goes_what_the_service_says(asking, album: Path, url: str) -> None:
    done = asking("detect", "album")
    assert (done.returncode, done.stderr) == (0, b"passed over 1 file: 1 .txt\n")
    names = ["album/astronaut.jpg", "album/cats/cat.jpg", "album/coffee.jpg"]
    assert [line["photo"] for line in lines(done)] == names
    with Client(url) as client:
        expected = client.detect(album / "cats" / "cat.jpg").to_dict()
    line = lines(done)[1]
    for key in ("width", "height", "detections", "model"):
        assert line[key] == expected[key]


def test_what_is_asked(asking, album: Path) -> None:
    one = ("detect", "album/astronaut.jpg")
    found = lines(asking(*one, "--score-threshold", 0.05))[0]["detections"]
    assert len({item["label"] for item in found}) > 2
    few = lines(asking(*one, "--score-threshold", 0.05, "--label", "person", "--label", "bicycle"))[
        0
    ]["detections"]
    assert {item["label"] for item in few} == {"person", "bicycle"}
    assert (
        len(lines(asking(*one, "--score-threshold", 0.05, "--max-detections", 2))[0]["detections"])
        == 2
    )
    other = lines(asking(*one, "--model", "retinanet_lite0_voc"))[0]
    assert other["model"]["name"] == "retinanet_lite0_voc"
    loose = lines(asking(*one, "--score-threshold", 0.05, "--iou-threshold", 1))[0]["detections"]
    strict = lines(
        asking(*one, "--score-threshold", 0.05, "--iou-threshold", 0, "--class-agnostic")
    )
    assert len(strict[0]["detections"]) < len(found) < len(loose)
    small = lines(asking(*one, "--max-side", 64))[0]
    assert (small["width"], small["height"]) == (512, 512)
    assert small["detections"] != lines(asking(*one))[0]["detections"]


def test_where_to_look_is_for_a_model_that_must_be_told(asking, album: Path) -> None:
    done = asking("detect", "album/coffee.jpg", "--region", "0,0,90,90.5", "--region", "1,2,3,4")
    assert done.returncode == 2
    assert b"regions: retinanet_lite0_voc looks everywhere" in done.stderr
    done = asking("detect", "album/coffee.jpg", "--region", "1,2,3")
    assert done.returncode == 2
    assert b"regions: [1.0, 2.0, 3.0] is not left, top, right, bottom" in done.stderr


def test_standard_input_and_globs(asking, album: Path) -> None:
    photo = (album / "cats" / "cat.jpg").read_bytes()
    done = asking("detect", "-", "album/**/c*.jpg", stdin=photo)
    assert [line["photo"] for line in lines(done)] == [
        "-",
        "album/cats/cat.jpg",
        "album/coffee.jpg",
    ]
    assert lines(done)[0]["detections"] == lines(done)[1]["detections"]


def test_a_bad_photo_is_an_object_and_a_line(asking, album: Path) -> None:
    done = asking("detect", "album/notes.txt", "album/cats/cat.jpg", "missing.jpg")
    assert done.returncode == 1
    bad, good, missing = lines(done)
    assert bad["error"]["code"] == "invalid_image"
    assert good["detections"][0]["label"] == "cat"
    assert missing["error"]["detail"] == "missing.jpg: No such file or directory"
    told = done.stderr.decode().splitlines()
    assert len(told) == 2
    assert told[0].startswith("error: album/notes.txt: 422 invalid_image: ")
    assert told[1] == "error: missing.jpg: No such file or directory"


def test_csv(asking, album: Path) -> None:
    done = asking("detect", "album", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    cat = next(row for row in rows if row["label"] == "cat")
    assert cat["photo"] == "album/cats/cat.jpg"
    assert cat["model"] == "retinanet_lite0_voc/1"
    assert float(cat["right"]) - float(cat["left"]) > 300
    filed = asking("detect", "album", "--csv", "found.csv")
    assert len(lines(filed)) == 3
    assert (asking.folder / "found.csv").read_bytes() == done.stdout
    assert sorted(path.name for path in asking.folder.iterdir()) == ["album", "found.csv"]


def test_coco_is_read_by_pycocotools(asking, album: Path, capfd: pytest.CaptureFixture) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    done = asking("detect", "album", "--coco", "found.json", "--score-threshold", 0.05)
    read = coco.COCO(asking.folder / "found.json")
    capfd.readouterr()
    assert {image["file_name"] for image in read.imgs.values()} == {
        "astronaut.jpg",
        "cats/cat.jpg",
        "coffee.jpg",
    }
    assert len(read.cats) == 20  # those that were not found as well
    assert len(read.anns) == sum(len(line["detections"]) for line in lines(done))
    several = asking("detect", "album/cats", "album/coffee.jpg", "--coco", "found.json")
    assert several.returncode == 0
    names = [
        image["file_name"]
        for image in json.loads((asking.folder / "found.json").read_text())["images"]
    ]
    assert names == ["album/cats/cat.jpg", "album/coffee.jpg"]


def test_save_draws_beside_the_photos_and_never_on_them(asking, album: Path) -> None:
    before = {path: path.read_bytes() for path in album.rglob("*.*")}
    done = asking("detect", "album", "--save", "album/drawn")
    again = asking("detect", "album", "--save", "album/drawn")
    assert len(lines(done)) == len(lines(again)) == 3  # what was drawn is no photo
    drawn = album / "drawn"
    assert sorted(str(path.relative_to(drawn)) for path in drawn.rglob("*.*")) == [
        "astronaut.jpg",
        "cats/cat.jpg",
        "coffee.jpg",
    ]
    with (
        Image.open(drawn / "cats" / "cat.jpg") as picture,
        Image.open(album / "cats" / "cat.jpg") as photo,
    ):
        assert picture.size == photo.size
        left = round(lines(done)[1]["detections"][0]["box"][0])
        assert picture.getpixel((left + 1, 150)) != photo.getpixel((left + 1, 150))
    for folder in ("album", "album/../album"):
        refused = asking("detect", "album", "--save", folder)
        assert refused.returncode == 2
        assert b"is one of the photos; name another folder" in refused.stderr
    assert {path: path.read_bytes() for path in before} == before


def test_a_journal_goes_on_where_it_ended(asking, album: Path, url: str) -> None:
    first = asking("detect", "album/cats", "album/coffee.jpg", "--journal", "j")
    # whoever is asked about what the journal has would fail now
    closed = asking(
        "detect",
        "album/cats",
        "album/coffee.jpg",
        "--journal",
        "j",
        BOXPORT_URL="http://127.0.0.1:9",
    )
    assert closed.returncode == 0
    assert closed.stdout == first.stdout
    other = asking("detect", "album", "--journal", "j", "--score-threshold", 0.5)
    assert other.returncode == 2
    assert b"of a run with other parameters" in other.stderr


def test_a_terminal_gets_a_table(asking, album: Path) -> None:
    model = ("--model", "efficientdet_lite0_voc")  # which finds nothing in the coffee
    status, shown = asking.in_terminal("detect", "album", "nosuch.jpg", *model)
    assert status == 1
    assert "\x1b[" in shown
    assert "4/4" in shown  # the bar
    assert "album/cats/cat.jpg" in shown
    assert "\N{BLACK SQUARE}" in shown
    assert "nothing found" in shown
    assert "error:" in shown
    assert "3 photos answered; 1 failed; " in shown
    assert '"photo"' not in shown


@pytest.mark.parametrize("encoding", ["ascii", "shift_jis"])
def test_a_terminal_that_lacks_letters_gets_the_answers(asking, album: Path, encoding: str) -> None:
    (album / "coffee.jpg").rename(album / "café ☕.jpg")
    status, shown = asking.in_terminal("detect", "album", "nosuch☕.jpg", PYTHONIOENCODING=encoding)
    assert status == 1
    assert "album/cats/cat.jpg" in shown
    assert "caf" in shown
    assert "3 photos answered; 1 failed; " in shown
    assert "Traceback" not in shown


def test_a_terminal_gets_json_if_it_is_asked_for(asking, album: Path) -> None:
    status, shown = asking.in_terminal("detect", "album", "--json")
    assert status == 0
    told = [line for line in shown.splitlines() if line.startswith("{")]
    assert [json.loads(line)["photo"] for line in told] == [
        "album/astronaut.jpg",
        "album/cats/cat.jpg",
        "album/coffee.jpg",
    ]
    assert "\N{BOX DRAWINGS HEAVY HORIZONTAL}" not in shown


def test_names_do_not_steer_the_terminal(asking, album: Path) -> None:
    (album / "coffee.jpg").rename(album / "\x1b[31mred\n.jpg")
    _, shown = asking.in_terminal("detect", "album")
    assert "\x1b[31mred" not in shown
    done = asking("detect", "album")
    assert lines(done)[0]["photo"] == "album/\x1b[31mred\n.jpg"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--save", "d", "http://a/b.jpg"], "--save: http://a/b.jpg is fetched by the service"),
        (["empty"], "empty: has no photo"),
        (["--csv", "album/coffee.jpg", "album"], "--csv album/coffee.jpg: is a photo"),
        (["--csv", "nowhere/x.csv", "album"], "No such file or directory"),
        (["--csv", "-", "--json", "album"], "both write to standard output"),
        (["--label", "dragon", "album"], "has no label 'dragon'"),
        (["--model", "efficientnet_lite0_imagenet", "album"], "wrong_task"),
        (["--scor", "1", "album"], "see boxport detect --help"),
        (["--url", "ftp://x", "album"], "is not the URL of a service"),
        ([], "Missing argument"),
    ],
)
def test_wrong_usage_is_one_line(asking, album: Path, words: list[str], line: str) -> None:
    (asking.folder / "empty").mkdir()
    done = asking("detect", *words)
    told = [
        text
        for text in done.stderr.decode().splitlines()
        if not text.startswith(("error: gave up", "passed over"))
    ]
    assert done.returncode == 2
    assert len(told) == 1
    assert told[0].startswith("error: ")
    assert line in told[0]
    assert sorted(path.name for path in asking.folder.iterdir()) == ["album", "empty"]


def test_a_second_model_says_what_is_in_each_box(asking, album: Path) -> None:
    then = ("--then", "efficientnet_lite0_imagenet", "--top-k", 2)
    line = json.loads(asking("detect", "album/cats/cat.jpg", *then).stdout)
    (found,) = line["detections"]
    assert len(found["classifications"]) == 2
    assert line["then"]["name"] == "efficientnet_lite0_imagenet"
    done = asking("detect", "album/cats/cat.jpg", *then, "--csv", "-")
    (row,) = csv.DictReader(io.StringIO(done.stdout.decode()))
    assert (row["label"], row["class"]) == ("cat", found["classifications"][0]["label"])
    assert float(row["class_score"]) == found["classifications"][0]["score"]
    status, shown = asking.in_terminal("detect", "album/cats/cat.jpg", *then)
    assert status == 0
    assert found["classifications"][0]["label"].split()[0] in shown


def test_what_cannot_be_a_second_model_is_wrong_usage(asking, album: Path) -> None:
    done = asking("detect", "album/cats/cat.jpg", "--then", "nobody")
    assert (done.returncode, b"nobody" in done.stderr) == (2, True)
