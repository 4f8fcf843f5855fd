"""Class names from files, each with the id that its data set gives it."""

from pathlib import Path

import pytest

from export.labels import LabelsError, read_labels


def ids_and_names(name_or_path: str) -> list[tuple[int, str]]:
    return [(label.id, label.name) for label in read_labels(name_or_path)]


def test_imagenet_has_a_thousand_classes_from_zero() -> None:
    labels = ids_and_names("imagenet1k")
    assert len(labels) == 1000
    assert (labels[0], labels[999]) == ((0, "tench"), (999, "toilet tissue"))


def test_coco_has_the_data_sets_own_ids() -> None:
    labels = ids_and_names("coco")
    assert [i for i, _ in labels] == list(range(1, 91))
    assert [labels[i - 1][1] for i in (1, 17, 44, 90)] == ["person", "cat", "bottle", "toothbrush"]


def test_torchvisions_coco_has_a_background_first() -> None:
    """So that an output's index is its id."""
    labels = ids_and_names("coco91")
    assert labels[0] == (0, "background")
    assert labels[1:] == ids_and_names("coco")
    assert all(index == id_ for index, (id_, _) in enumerate(labels))


def test_a_file_of_ones_own_counts_from_zero(tmp_path: Path) -> None:
    path = tmp_path / "pets.txt"
    path.write_text("cat\nguinea pig\nKätzchen\n", encoding="utf-8")
    assert ids_and_names(str(path)) == [(0, "cat"), (1, "guinea pig"), (2, "Kätzchen")]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "known sets are imagenet1k, coco, coco80, coco91"),
        ("cat\ndog\n".encode("utf-16"), "is no text in UTF-8; save it as that"),
        (b"", "needs one name a line"),
        (b"cat\n\ndog\n", "class 1 has no name; no line may be empty"),
        ("cat\n\u00a0\ndog\n".encode(), "class 1 has no name"),
        (b'["cat", ', "holds neither a list of names nor names by number"),
        (b'{"cat": {}}', "holds neither a list of names nor names by number"),
        (b'{"0": ["n01440764", "tench"]}', r"'tench'\] is no name; write it as text, in quotes"),
        (b'["cat", null]', "None is no name"),
    ],
    ids=[
        "missing",
        "not UTF-8",
        "empty",
        "an empty line",
        "a line of blanks",
        "cut JSON",
        "other JSON",
        "two names of a class",
        "no name",
    ],
)
def test_a_file_that_is_no_list_of_names_is_refused(
    tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "labels.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LabelsError, match=words) as caught:
        read_labels(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("bom.txt", "\ufeffcat\ndog\n"),
        ("crlf.txt", "cat\r\ndog"),
        ("spaces.txt", " cat \ndog\t\n\n"),
        ("numbered.txt", "0 cat\n1 dog\n"),
        ("list.json", '["cat", "dog"]'),
        ("classes.json", '{"1": "dog", "0": "cat"}'),
        ("class_to_idx.json", '{"dog": 1, "cat": 0}'),
        ("config.json", '{"architectures": ["x"], "id2label": {"0": "cat", "1": "dog"}}'),
        ("timm.json", '{"num_classes": 2, "label_names": ["cat", "dog"]}'),
        ("data.yaml", "train: images\nnc: 2\nnames: [cat, dog]\n"),
        ("data.yml", "path: ..\nnames:\n  0: cat\n  1: dog\n"),
    ],
)
def test_names_are_read_as_tools_write_them(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    assert ids_and_names(str(path)) == [(0, "cat"), (1, "dog")]


def test_what_yaml_reads_as_true_or_false_is_no_name(tmp_path: Path) -> None:
    path = tmp_path / "data.yaml"
    path.write_text("names: [no, yes]\n")
    with pytest.raises(LabelsError, match="False is no name; write it as text, in quotes"):
        read_labels(str(path))


def test_cocos_categories_keep_their_ids(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text(
        '{"images": [], "categories": [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]}'
    )
    assert ids_and_names(str(path)) == [(17, "cat"), (18, "dog")]


def test_coco80_is_coco_without_the_ids_that_have_no_objects() -> None:
    labels = ids_and_names("coco80")
    assert len(labels) == 80
    assert (labels[0], labels[11], labels[79]) == (
        (1, "person"),
        (13, "stop sign"),
        (90, "toothbrush"),
    )
