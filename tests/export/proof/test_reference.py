"""An owner's function, asked in a process of its own."""

import sys
from pathlib import Path

import numpy as np
import pytest

from export.proof.answers import OwnerAnswers, ProofError
from export.proof.reference import Reference, ask_owner
from service.manifest import Label, Task

LABELS = (Label(id=1, name="cat"), Label(id=2, name="dog"))
BOX = '{"boxes": [[1, 2, 30, 40]], "scores": [0.5], "labels": ["dog"]}'


def ask(
    folder: Path, code: str, photos: list[Path], task: Task = "detection", function: str = ""
) -> OwnerAnswers:
    file = folder / "mine.py"
    file.write_text(code)
    named = f"{file}:{function}" if function else str(file)
    return ask_owner(Reference.parse(named, Path(sys.executable)), task, LABELS, photos)


def test_each_photo_has_its_answer_in_order(photos: Path, tmp_path: Path) -> None:
    asked = [photos / "cat.jpg", photos / "rocket.jpg"]
    code = (
        "print('loading')\n"
        "def predict(path):\n"
        "    print('prints do not disturb', path)\n"
        f"    return {BOX} if path.endswith('cat.jpg') else dict(boxes=[], scores=[], labels=[])\n"
    )
    owner = ask(tmp_path, code, asked)
    assert (owner.source, owner.name, owner.photos) == (
        "user_model",
        "mine.py:predict",
        tuple(asked),
    )
    first, second = owner.answers
    assert first.boxes.tolist() == [[1, 2, 30, 40]]
    assert (first.labels.tolist(), first.scores.tolist()) == ([2], [0.5])
    assert len(second) == 0


def test_a_function_may_take_the_photo_upright(photos: Path, tmp_path: Path) -> None:
    code = (
        "def look(image):\n"
        "    assert image.mode == 'RGB'\n"
        "    return {'boxes': [[0, 0, *image.size]], 'scores': [1], 'labels': [1]}\n"
    )
    [answer] = ask(tmp_path, code, [photos / "cat.jpg"], function="look").answers
    assert answer.boxes.tolist() == [[0, 0, 451, 300]]


def test_tensors_and_arrays_are_read_and_scores_sorted(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("SCORES = [0.25, 0.75]")
    code = (
        "import numpy as np, torch\n"
        "from beside import SCORES\n"
        "def predict(path):\n"
        "    return {'boxes': torch.tensor([[0, 0, 9, 9], [1, 1, 5, 5]], dtype=torch.bfloat16),\n"
        "            'scores': torch.tensor(SCORES, requires_grad=True),\n"
        "            'labels': np.array([1, 2])}\n"
    )
    [answer] = ask(tmp_path, code, [photos / "cat.jpg"]).answers
    assert answer.scores.tolist() == [0.75, 0.25]
    assert answer.labels.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("[0.25, 0.75]", [0.25, 0.75]),
        ("[[0.25, 0.75]]", [0.25, 0.75]),
        ("{'dog': 0.75}", [np.nan, 0.75]),
        ("{1: 0.5, 2: 0.25}", [0.5, 0.25]),
    ],
    ids=["in order", "a batch of one", "by name", "by id"],
)
def test_probabilities_come_in_order_or_by_label(
    photos: Path, tmp_path: Path, returned: str, expected: list[float]
) -> None:
    code = f"def predict(path): return {returned}"
    [answer] = ask(tmp_path, code, [photos / "cat.jpg"], "classification").answers
    np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def other(path): ...", "there is no function predict"),
        ("import nothing_of_the_kind", "line 1 raises ModuleNotFoundError"),
        ("def predict(path):\n    1 / 0", "line 2 raises on cat.jpg ZeroDivisionError"),
        ("import os\nprint('killed')\nos._exit(1)", "ended before cat.jpg; .* is 'killed'"),
        ("def predict(path): return 3", "a dictionary of boxes, scores, labels, .* a float"),
        (
            "def predict(path): return dict(boxes=[], scores=[1], labels=[])",
            "0 boxes, 1 scores and 0 labels",
        ),
        (
            "def predict(path): return dict(boxes=[[9, 9, 1, 1]], scores=[1], labels=[1])",
            "one ends before it begins",
        ),
        (
            "def predict(path): return dict(boxes=[[1, 1, 9, 9]], scores=[3.5], labels=[1])",
            "return them after the activation",
        ),
        (
            "def predict(path): return dict(boxes=[[1, 1, 9, 9]], scores=[1], labels=['cow'])",
            "'cow' is no label",
        ),
        (
            "def predict(path): return dict(boxes=[[1, 1, 9, 9]], scores=[1e999], labels=[1])",
            "is no number",
        ),
    ],
    ids=[
        "no function",
        "a missing module",
        "an exception",
        "an end",
        "a number",
        "lengths",
        "width and height",
        "logits",
        "an unknown class",
        "infinite",
    ],
)
def test_what_is_wrong_is_said_with_its_place(
    photos: Path, tmp_path: Path, code: str, words: str
) -> None:
    with pytest.raises(ProofError, match=words) as caught:
        ask(tmp_path, code, [photos / "cat.jpg"])
    assert "mine.py" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_python_that_is_none_is_named(photos: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("")
    reference = Reference(file, "predict", tmp_path / "bin" / "python")
    with pytest.raises(ProofError, match="bin/python: No such file"):
        ask_owner(reference, "detection", LABELS, [photos / "cat.jpg"])
