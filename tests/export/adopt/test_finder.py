"""Files that may be of two families, or of none, are refused with what decides."""

from dataclasses import replace
from pathlib import Path

import pytest

from export.adopt.decoders import DECODERS
from export.adopt.decoders.row import Given
from export.adopt.finder import propose, to_labels
from export.adopt.foreign import Foreign, read_foreign
from export.adopt.safety import ForeignError
from export.settings import Settings
from service.imaging.input_spec import CentreCrop
from tests.export.adopt.made import MADE
from tests.export.adopt.made_priors import plugin
from tests.export.adopt.maker import ULTRALYTICS, Made

BY_NAME = {made.name: made for made in MADE}


def read(made: Made, folder: Path) -> Foreign:
    return read_foreign(made.write(folder))


@pytest.mark.parametrize(
    ("name", "decoders"),
    [("yolov7_one_class", ("yolov5", "yolov7")), ("detr", ("detr", "detr_sigmoid"))],
)
def test_ambiguous_file_is_refused_with_both(
    name: str, decoders: tuple[str, str], tmp_path: Path
) -> None:
    file = read(replace(BY_NAME[name], metadata={}), tmp_path)
    with pytest.raises(ForeignError) as caught:
        propose(file, Given(), labels=None)
    for decoder in decoders:
        assert DECODERS[decoder].title in str(caught.value)
        assert f"--decoder {decoder}" in str(caught.value)


@pytest.mark.parametrize(("labels", "decoder"), [("abc", "detr"), ("abcd", "detr_sigmoid")])
def test_number_of_labels_tells_softmax_from_sigmoid(
    labels: str, decoder: str, tmp_path: Path
) -> None:
    file = read(replace(BY_NAME["detr"], metadata={}), tmp_path)
    assert propose(file, Given(), to_labels(enumerate(labels))).decoder.name == decoder


@pytest.mark.parametrize(("activation", "decoder"), [("softmax", "detr"), ("sigmoid", None)])
def test_activation_tells_before_labels_do(
    activation: str, decoder: str | None, tmp_path: Path
) -> None:
    file, given = read(BY_NAME["detr"], tmp_path), Given(settings={"activation": activation})
    if decoder is not None:
        assert propose(file, given).decoder.name == decoder
    else:  # four classes then, of which the metadata names three
        with pytest.raises(ForeignError, match="4 classes, and names of the metadata are 3"):
            propose(file, given)


def test_labels_that_fit_no_activation_are_refused(tmp_path: Path) -> None:
    file = read(replace(BY_NAME["detr"], metadata={}), tmp_path)
    with pytest.raises(ForeignError, match=r"4 classes \(sigmoid\), or 3 and no-object \(softmax"):
        propose(file, Given(), to_labels(enumerate("ab")))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "pass --box-format, one of xyxy"),
        ({"box_format": "xywh"}, "scores in what run from .* pass --activation softmax or"),
    ],
)
def test_generic_says_what_it_must_be_told(
    settings: dict[str, str], message: str, tmp_path: Path
) -> None:
    file = read(BY_NAME["logits_last"], tmp_path)
    with pytest.raises(ForeignError, match=message):
        propose(file, Given("generic", settings=settings))


def test_generic_asks_for_its_tensors(tmp_path: Path) -> None:
    file = read(BY_NAME["final_parts"], tmp_path)
    with pytest.raises(ForeignError, match="classes, found, rects, conf: name its tensors in this"):
        propose(file, Given("generic", settings={"box_format": "yxyx"}))


def test_generic_of_final_detections_takes_no_activation(tmp_path: Path) -> None:
    made = BY_NAME["final_parts"]
    file = read_foreign(made.write(tmp_path), outputs=made.outputs)
    settings = {"box_format": "yxyx", "activation": "sigmoid"}
    with pytest.raises(ForeignError, match="--activation says nothing of detections with labels"):
        propose(file, Given("generic", settings=settings))


@pytest.mark.parametrize("name", ["ultraface", "logits_last", "final_parts"])
def test_generic_is_never_guessed(name: str, tmp_path: Path) -> None:
    with pytest.raises(ForeignError, match="of no family that is known"):
        propose(read(BY_NAME[name], tmp_path), Given())


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"background_class": 1}, "has class 1 of 3 as background"),
        ({"background_class": 2}, "outputs have 2 classes, and names of the metadata are 3"),
    ],
)
def test_background_of_a_plugin(attributes: dict[str, int], message: str, tmp_path: Path) -> None:
    made = replace(BY_NAME["efficient_nms"], make=plugin("EfficientNMS_TRT", **attributes))
    cut = DECODERS["efficient_nms"].cuts
    with pytest.raises(ForeignError, match=message):
        propose(read_foreign(made.write(tmp_path), cut), Given())


def test_known_labels_of_a_family_are_its_own(tmp_path: Path) -> None:
    plan = propose(read(BY_NAME["retinaface"], tmp_path), Given())
    assert [label.name for label in plan.labels] == ["face"]


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "yolov8",
            {"background": "first"},
            "--background says nothing of a yolov8 file, .* no such",
        ),
        ("rf_detr", {"activation": "sigmoid"}, "--activation says nothing of a rf_detr file"),
        ("detr", {"box_format": "xyxy"}, "--box-format .* takes --activation"),
    ],
)
def test_option_that_decides_nothing_is_refused(
    name: str, settings: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ForeignError, match=message):
        propose(read(BY_NAME[name], tmp_path), Given(settings=settings))


def test_values_inside_the_file_can_be_its_outputs(tmp_path: Path) -> None:
    path = BY_NAME["efficient_nms_logits"].write(tmp_path)
    cut = DECODERS["efficient_nms"].cuts
    boxes, scores = read_foreign(path, cut).answers
    file = read_foreign(path, cut, outputs=(scores, boxes))
    assert [value.shape for value in file.answers.values()] == [(1, 84, 3), (1, 84, 4)]
    given = Given("generic", settings={"box_format": "cxcywh", "activation": "sigmoid"})
    with pytest.raises(ForeignError, match="--outputs BOXES --outputs SCORES"):
        propose(file, given)
    plan = propose(read_foreign(path, cut, outputs=(boxes, scores)), given)
    assert plan.match.settings["relative"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("detr", {"activation": "softmax", "background": "last", "relative": True}),
        ("transformers_rt_detr", {"activation": "sigmoid", "box_format": "cxcywh"}),
        ("rf_detr", {"activation": "sigmoid", "background": "first"}),
        ("retinanet", {"first": 0, "relative": False}),
        ("faster_rcnn", {"first": 1}),
        ("faster_rcnn_91", {"first": 0}),
        ("tf_detection", {"first": 1, "box_format": "yxyx", "relative": True}),
        ("tflite", {"box_format": "yxyx", "relative": True}),
        ("ssd_with_priors", {"activation": "softmax", "recipe": None}),
        ("retinaface", {"activation": None}),
        ("efficient_nms", {"box_format": "xyxy", "relative": False, "activation": None}),
        ("efficient_nms_logits", {"box_format": "cxcywh", "activation": "sigmoid"}),
        ("batched_nms", {"pairs": 84 * 3, "background": None}),
    ],
)
def test_what_graph_and_reference_are_told(
    name: str, settings: dict[str, object], tmp_path: Path
) -> None:
    """Parity cannot show these to be right, as both sides read them."""
    cut = DECODERS["efficient_nms"].cuts
    found = propose(read_foreign(BY_NAME[name].write(tmp_path), cut), Given()).match.settings
    assert {key: found[key] for key in settings} == settings


@pytest.mark.parametrize("background", ["first", "none"])
def test_background_of_final_labels_can_be_given(background: str, tmp_path: Path) -> None:
    file = read(BY_NAME["retinanet"], tmp_path)
    plan = propose(file, Given(settings={"background": background}))
    assert plan.match.settings["first"] == int(background == "first")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("{0: 'cat', 1: \"dog's\", 2: 'owl'}", [(0, "cat"), (1, "dog's"), (2, "owl")]),
        ('{"0": "cat", "1": "dog", "2": "\\u00fchu"}', [(0, "cat"), (1, "dog"), (2, "\u00fchu")]),
        ('{"10": "c", "2": "b", "1": "a"}', [(1, "a"), (2, "b"), (10, "c")]),
        ("{1: 'cat', 2: 'dog', 3: 'owl'}", [(1, "cat"), (2, "dog"), (3, "owl")]),
        ("('cat', 'dog', 'owl')", [(0, "cat"), (1, "dog"), (2, "owl")]),
    ],
)
def test_names_are_read_in_every_notation(
    names: str, expected: list[tuple[int, str]], tmp_path: Path
) -> None:
    """Numbers count, not the order of their texts."""
    made = replace(BY_NAME["yolov8"], metadata={**ULTRALYTICS, "names": names})
    labels = propose(read(made, tmp_path), Given()).labels
    assert [(label.id, label.name) for label in labels] == expected


@pytest.mark.parametrize(
    "names", ["{'cat': 0}", "{0: ''}", '{"Infinity": "cat"}', "{1e999: 'cat'}"]
)
def test_names_without_numbers_are_refused(names: str, tmp_path: Path) -> None:
    made = replace(BY_NAME["yolov8"], metadata={**ULTRALYTICS, "names": names})
    file = read(made, tmp_path)
    with pytest.raises(ForeignError, match="no names by number; pass --labels"):
        propose(file, Given())
    assert len(propose(file, Given(), to_labels(enumerate("abc"))).labels) == 3


@pytest.mark.parametrize("task", ["segment", "pose", "obb", "instance-segmentation"])
def test_networks_of_another_task_are_refused(task: str, tmp_path: Path) -> None:
    file = read(replace(BY_NAME["yolov8"], metadata={**ULTRALYTICS, "task": task}), tmp_path)
    with pytest.raises(ForeignError, match=f"task is '{task}'; packages detect or classify"):
        propose(file, Given())


def test_classifier_of_ultralytics_has_its_own_pre_processing(tmp_path: Path) -> None:
    metadata = {**BY_NAME["softmax"].metadata, "task": "classify"}
    plan = propose(read(replace(BY_NAME["softmax"], metadata=metadata), tmp_path), Given())
    assert isinstance(plan.input, CentreCrop)
    assert (plan.input.shorter_side, plan.input.mean, plan.input.std) == (64, (0,) * 3, (1,) * 3)
    assert plan.assumed == ("licence",)


@pytest.mark.parametrize("name", ["yolov8_of_8_bits", "yolov8_of_pixels"])
def test_file_that_normalises_gets_pixels_as_they_are(name: str, tmp_path: Path) -> None:
    plan = propose(read(BY_NAME[name], tmp_path), Given())
    assert "normalisation" not in plan.assumed
    assert (plan.input.scale, plan.input.mean, plan.input.std) == (1, (0,) * 3, (1,) * 3)


def test_normalisation_of_8_bits_is_refused(tmp_path: Path) -> None:
    file = read(BY_NAME["yolov8_of_8_bits"], tmp_path)
    with pytest.raises(ForeignError, match="--mean says nothing of images, which is uint8"):
        propose(file, Given(preprocessing=Settings(mean=(0.5, 0.5, 0.5))))


@pytest.mark.parametrize("imgsz", ["Infinity", "[64]", "{}", "big", "None"])
def test_size_that_nothing_states_is_asked_for(imgsz: str, tmp_path: Path) -> None:
    made = replace(BY_NAME["yolov8_any_size"], metadata={**ULTRALYTICS, "imgsz": imgsz})
    with pytest.raises(ForeignError, match="leaves the size open; pass --input-size"):
        read(made, tmp_path)
    file = read_foreign(made.write(tmp_path), size=(64, 64))
    assert (file.height, file.width) == (64, 64)
