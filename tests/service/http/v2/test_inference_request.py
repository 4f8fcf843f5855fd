"""What a request asks of a model, and what it may not."""

import asyncio
import base64
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.http.v2.body import InferBody
from service.http.v2.inference_request import InferenceRequest, to_inference_request
from service.http.v2.metadata import (
    configure_ensemble,
    describe,
    describe_ensemble,
    inputs_of,
    outputs_of,
    split_ensemble,
)
from service.http.v2.tensors import InputTensor
from service.imaging.resize import ModelInput, Placement
from service.manifest import MANIFEST, ModelManifest, read_manifest
from service.parameters import ClassifyParameters, DetectParameters
from service.problems import Problem

ENCODED = InputTensor("image", "BYTES", (1,), [base64.b64encode(b"a photo").decode()])


@pytest.fixture(scope="module")
def detector(store: Path) -> ModelManifest:
    return read_manifest(store / "efficientdet_lite0_voc" / "1" / "manifest.json")


@pytest.fixture(scope="module")
def classifier(store: Path) -> ModelManifest:
    return read_manifest(store / "efficientnet_lite0_imagenet" / "1" / "manifest.json")


@pytest.fixture(scope="module")
def varying(detector: ModelManifest) -> ModelManifest:
    """A detector whose input is as large as the photo makes it."""
    content = detector.to_json()
    del content["input"]["anchor"]
    content["input"] |= {
        "resize": "shorter_side",
        "shorter_side": 64,
        "longer_side": 128,
        "divisor": 32,
        "height": 128,
        "width": 128,
    }
    content["inputs"][0]["shape"] = ["N", "H", "W", 3]
    return MANIFEST.validate_python(content)


def ask(
    manifest: ModelManifest,
    *inputs: InputTensor,
    outputs: dict[str, bool] | None = None,
    binary: bool = False,
    **parameters: Any,
) -> InferenceRequest:
    given = {tensor.name: tensor for tensor in inputs or [ENCODED]}
    body = InferBody("", parameters, given, outputs or {}, binary)
    return asyncio.run(to_inference_request(body, manifest, max_images=4, max_timeout_ms=1000))


def pixels(*shape: int, datatype: str = "UINT8") -> InputTensor:
    size = int(np.prod([float(side) for side in shape])) if max(shape) < 2**20 else 1
    content = (np.arange(size) % 251).astype(np.uint8).tobytes()
    return InputTensor("images", datatype, shape, memoryview(content))


def scalar(name: str, datatype: str, *values: Any, shape: tuple[int, ...] = (1,)) -> InputTensor:
    return InputTensor(name, datatype, shape, list(values))


def test_encoded_images(detector: ModelManifest) -> None:
    asked = ask(detector)
    assert asked.contents == [b"a photo"]
    assert asked.parameters == DetectParameters(model="efficientdet_lite0_voc/1")
    assert asked.timeout is None


def test_lists_may_be_columns(detector: ModelManifest) -> None:
    """As MLServer's codecs write them."""
    encoded = InputTensor("image", "BYTES", (2, 1), ["YWJj", "YWJk"])
    asked = ask(detector, encoded, scalar("score_threshold", "FP32", 0.5, shape=(1, 1)))
    assert asked.contents == [b"abc", b"abd"]
    assert asked.parameters.score_threshold == 0.5


def test_tensors_are_the_graphs_own_input(detector: ModelManifest) -> None:
    sent = pixels(2, 320, 320, 3)
    first, second = ask(detector, sent).contents
    assert isinstance(first, ModelInput)
    assert isinstance(second, ModelInput)
    assert first.placement == Placement(320, 320, 1.0, 1.0)
    np.testing.assert_array_equal(np.stack([first.pixels, second.pixels]), sent.to_array())


def test_tensors_of_a_model_whose_input_varies(varying: ModelManifest) -> None:
    (image,) = ask(varying, pixels(1, 64, 128, 3)).contents
    assert isinstance(image, ModelInput)
    assert image.placement == Placement(128, 64, 1.0, 1.0)
    for shape in ((1, 160, 64, 3), (1, 64, 65, 3), (1, 0, 64, 3), (1, 64, 64, 4)):
        with pytest.raises(Problem, match="its shape is"):
            ask(varying, pixels(*shape))


def test_parameters_and_thresholds_as_tensors(detector: ModelManifest) -> None:
    expected = DetectParameters(
        model="efficientdet_lite0_voc/1",
        score_threshold=0.25,
        iou_threshold=0.75,
        max_detections=7,
        class_agnostic=True,
        labels=["cat", "dog"],
    )
    as_parameters = ask(
        detector,
        score_threshold=0.25,
        iou_threshold=0.75,
        max_detections=7,
        class_agnostic=True,
        labels="cat, dog",
    )
    as_tensors = ask(
        detector,
        ENCODED,
        InputTensor("score_threshold", "FP32", (1,), memoryview(struct.pack("<f", 0.25))),
        scalar("iou_threshold", "FP32", 0.75, shape=()),
        scalar("max_detections", "INT64", 7),
        scalar("class_agnostic", "BOOL", True),
        labels=["cat", "dog"],
    )
    assert as_parameters.parameters == as_tensors.parameters == expected


@pytest.mark.parametrize(
    ("inputs", "parameters", "code", "words"),
    [
        ([], {"threshold": 0.5}, "unknown_parameter", "'threshold'; there are score_threshold"),
        ([], {"model": "x"}, "unknown_parameter", "'model'"),
        ([], {"priority": 1}, "unknown_parameter", "'priority'"),
        ([], {"sequence_id": 1}, "unknown_parameter", "'sequence_id'"),
        ([], {"top_k": 1}, "unknown_parameter", "'top_k'"),
        ([], {"score_threshold": 2}, "invalid_parameter", "score_threshold"),
        ([], {"score_threshold": [0.5]}, "invalid_parameter", "score_threshold"),
        ([], {"labels": 7}, "invalid_parameter", "labels"),
        ([], {"labels": [7]}, "invalid_parameter", "labels"),
        ([], {"labels": []}, "invalid_parameter", "labels"),
        ([], {"timeout": -1}, "invalid_parameter", "microseconds"),
        ([], {"timeout": 1.5}, "invalid_parameter", "timeout"),
        ([], {"timeout": True}, "invalid_parameter", "timeout"),
        ([], {"timeout": "9"}, "invalid_parameter", "timeout"),
        ([scalar("score_threshold", "FP32", 7)], {}, "invalid_parameter", "score_threshold"),
        (
            [InputTensor("score_threshold", "FP32", (1,), memoryview(b"\x00\x00\xc0\x7f"))],
            {},
            "invalid_parameter",
            "score_threshold = nan",
        ),
        (
            [scalar("score_threshold", "FP32", 0.5)],
            {"score_threshold": 0.5},
            "invalid_parameter",
            "given twice",
        ),
        ([scalar("score_threshold", "FP64", 0.5)], {}, "malformed_body", "it must be FP32"),
        ([scalar("max_detections", "INT32", 5)], {}, "malformed_body", "it must be INT64"),
        ([scalar("max_detections", "INT64", 5, 5, shape=(2,))], {}, "malformed_body", "shape"),
        ([scalar("top_k", "INT64", 5)], {}, "malformed_body", "no input 'top_k'; there are image"),
    ],
)
def test_parameters_that_are_wrong(
    detector: ModelManifest, inputs: list, parameters: dict, code: str, words: str
) -> None:
    with pytest.raises(Problem, match=words) as caught:
        ask(detector, ENCODED, *inputs, **parameters)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("inputs", "code", "words"),
    [
        ([scalar("score_threshold", "FP32", 0.5)], "malformed_body", "one of the inputs image"),
        ([ENCODED, pixels(1, 320, 320, 3)], "malformed_body", "one of the inputs image"),
        ([pixels(1, 320, 321, 3)], "malformed_body", r"\[1, 320, 321, 3\]; it must be \[-1, 320"),
        ([pixels(320, 320, 3)], "malformed_body", "shape"),
        ([pixels(1, 3, 320, 320)], "malformed_body", "shape"),
        ([pixels(2**62, 320, 320, 3)], "too_many_images", "at most 4"),
        ([pixels(5, 320, 320, 3)], "too_many_images", "5 images; at most 4"),
        ([pixels(0, 320, 320, 3)], "empty_body", "no image"),
        ([pixels(1, 320, 320, 3, datatype="FP32")], "malformed_body", "'FP32'; it must be UINT8"),
        ([InputTensor("image", "BYTES", (0,), [])], "empty_body", "no image"),
        ([InputTensor("image", "BYTES", (), ["YWJj"])], "malformed_body", "shape"),
        ([InputTensor("image", "BYTES", (1, 1, 1), ["YWJj"])], "malformed_body", "shape"),
        ([InputTensor("image", "BYTES", (2**62,), ["YWJj"])], "too_many_images", "at most 4"),
        ([InputTensor("image", "UINT8", (3,), [1, 2, 3])], "malformed_body", "it must be BYTES"),
    ],
)
def test_images_that_are_wrong(
    detector: ModelManifest, inputs: list, code: str, words: str
) -> None:
    with pytest.raises(Problem, match=words) as caught:
        ask(detector, *inputs)
    assert caught.value.code == code


def test_timeout_is_in_microseconds_and_none_is_none(detector: ModelManifest) -> None:
    assert ask(detector, timeout=250_000).timeout == 0.25
    assert ask(detector, timeout=0).timeout is None
    assert ask(detector, timeout=10**12).timeout == 1, "the longest there is"


def test_outputs(detector: ModelManifest, classifier: ModelManifest) -> None:
    every = ["num_detections", "boxes", "scores", "labels", "sizes"]
    assert ask(detector).outputs == dict.fromkeys(every, False)
    assert ask(detector, binary=True).outputs == dict.fromkeys(every, True)
    assert ask(detector, outputs={"label_names": True}).outputs == {"label_names": True}
    assert list(ask(classifier).outputs) == ["labels", "scores"]
    with pytest.raises(Problem, match="no output 'probabilities'; there are num_detections"):
        ask(detector, outputs={"probabilities": True})


def test_probabilities_ask_for_every_class_and_leave_the_rest_as_it_was(
    classifier: ModelManifest,
) -> None:
    def rows(**parameters: Any) -> tuple[int | None, int | None]:
        asked = ask(classifier, outputs={"probabilities": True}, **parameters)
        assert isinstance(asked.parameters, ClassifyParameters)
        return asked.parameters.top_k, asked.max_rows

    assert rows() == (1000, 5)
    assert rows(top_k=3) == (1000, 3)
    assert rows(top_k=1001) == (1001, 1001)  # which the model refuses
    assert ask(classifier, top_k=3).max_rows is None


def test_metadata_has_the_graphs_own_tensors(
    detector: ModelManifest, classifier: ModelManifest, varying: ModelManifest
) -> None:
    metadata = describe(detector, ["2", "1"])
    assert metadata["versions"] == ["2", "1"]
    assert [(row["name"], row["datatype"], row["shape"]) for row in metadata["inputs"]] == [
        ("image", "BYTES", [-1]),
        ("images", "UINT8", [-1, 320, 320, 3]),
        ("score_threshold", "FP32", [1]),
        ("iou_threshold", "FP32", [1]),
        ("max_detections", "INT64", [1]),
        ("class_agnostic", "BOOL", [1]),
    ]
    assert outputs_of(detector)["boxes"].shape == (-1, -1, 4)
    assert outputs_of(classifier)["probabilities"].shape == (-1, 1000)
    assert inputs_of(varying)["images"].shape == (-1, -1, -1, 3)


def test_an_ensemble_takes_files_and_gives_classes_of_each_detection(
    detector: ModelManifest, classifier: ModelManifest
) -> None:
    metadata = describe_ensemble(detector, classifier)
    assert metadata["name"] == f"{detector.name}+{classifier.name}"
    assert (metadata["platform"], metadata["versions"]) == ("ensemble", ["1"])
    assert [row["name"] for row in metadata["inputs"]] == [
        *("image", "score_threshold", "iou_threshold", "max_detections", "class_agnostic"),
    ]
    shapes = {row["name"]: row["shape"] for row in metadata["outputs"]}
    assert shapes["boxes"] == [-1, -1, 4]
    assert shapes["class_labels"] == shapes["class_scores"] == [-1, -1, -1]
    config = configure_ensemble(detector, classifier)
    assert [one["name"] for one in config["input"] if not one["optional"]] == ["image"]
    first, second = config["ensemble_scheduling"]["step"]
    assert (first["model_name"], second["model_name"]) == (detector.name, classifier.name)
    mapped = [*first["output_map"].values(), *second["output_map"].values()]
    assert sorted(mapped) == sorted(shapes)
    assert second["output_map"].keys() <= outputs_of(classifier).keys()


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("cars+makes", ("cars", "makes")),
        ("cars", None),
        ("cars+", None),
        ("+makes", None),
        ("cars+makes+colours", ("cars", "makes+colours")),
    ],
)
def test_an_ensemble_is_called_after_its_models(name: str, names: tuple[str, str] | None) -> None:
    assert split_ensemble(name) == names


def test_parameters_of_the_second_stage_are_an_ensembles_alone(
    detector: ModelManifest, classifier: ModelManifest
) -> None:
    values = {"top_k": 2, "region_padding": 0.5, "region_resize": "warp"}
    body = InferBody("", values, {"image": ENCODED}, {}, False)
    asked = asyncio.run(to_inference_request(body, detector, 8, 1000, classifier))
    assert asked.parameters.then == f"{classifier.name}/{classifier.version}"
    assert (asked.parameters.top_k, asked.parameters.region_padding) == (2, 0.5)
    assert "class_scores" in asked.outputs
    assert "class_label_names" not in asked.outputs
    for manifest, name in [(detector, "then"), (detector, "top_k"), (classifier, "regions")]:
        body = InferBody("", {name: "x"}, {"image": ENCODED}, {}, False)
        with pytest.raises(Problem, match=f"There is no parameter '{name}'"):
            asyncio.run(to_inference_request(body, manifest, 8, 1000))
