"""From the tensors and parameters of a body to a request of the engine."""

from dataclasses import dataclass
from typing import Any

from service.engine.answer import Content
from service.http.v2.body import InferBody
from service.http.v2.metadata import ENCODED, TENSORS, find_spec, inputs_of, outputs_of
from service.http.v2.outputs import NOVELTY, PROBABILITIES, rows_of
from service.http.v2.tensors import InputTensor
from service.imaging.input_spec import InputSpec, ShorterSide
from service.imaging.placement import Placement
from service.imaging.resize import ModelInput
from service.inference.model import PARAMETERS
from service.manifest import CONTOURS, ClassificationManifest, ModelManifest
from service.parameters import ClassifyParameters, RequestParameters, read_parameters
from service.problems import Problem, quoted

TIMEOUT = "timeout"  # microseconds, as Triton's clients send it


@dataclass(frozen=True)
class InferenceRequest:
    """What one model is asked.

    id: the caller's own, which the reply repeats.
    outputs: of each that is to be replied, whether as bytes.
    max_rows: of each image that are shown, None for all.
    timeout: seconds, if the body states one.
    """

    id: str
    contents: list[Content]
    parameters: RequestParameters
    outputs: dict[str, bool]
    max_rows: int | None
    timeout: float | None


async def to_inference_request(
    body: InferBody,
    manifest: ModelManifest,
    max_images: int,
    max_timeout_ms: int,
    then: ModelManifest | None = None,
    *,
    judged: bool = False,
) -> InferenceRequest:
    """What ``body`` asks of the version of a model that ``manifest`` is of.

    then: of the classifier, if it is asked of an ensemble. judged: whether it has a companion.

    Raises Problem if the model has no such tensor, output or parameter, or a value is wrong.
    """
    specs = inputs_of(manifest, then)
    for name, tensor in body.inputs.items():
        find_spec(specs, name, "input").check(tensor)
    outputs = _choose_outputs(body, manifest, then, judged=judged)
    contents = await _read_images(body.inputs, manifest.input, max_images)
    values = dict(body.parameters)
    timeout = _read_timeout(values.pop(TIMEOUT, 0), max_timeout_ms)
    for name in body.inputs.keys() - {ENCODED, TENSORS}:
        if name in values:
            raise Problem("invalid_parameter", f"{name} is given twice.")
        values[name] = body.inputs[name].to_array().item()
    parameters = _read_parameters(values, manifest, then, outlines=CONTOURS in outputs)
    if NOVELTY in outputs:
        parameters = parameters.model_copy(update={"novelty": True})
    max_rows = None
    if (
        PROBABILITIES in outputs
        and isinstance(parameters, ClassifyParameters)
        and isinstance(manifest, ClassificationManifest)
    ):
        parameters, max_rows = _ask_for_all(parameters, manifest)
    return InferenceRequest(body.id, contents, parameters, outputs, max_rows, timeout)


def _choose_outputs(
    body: InferBody, manifest: ModelManifest, then: ModelManifest | None, *, judged: bool
) -> dict[str, bool]:
    specs = outputs_of(manifest, then, judged=judged)
    for name in body.outputs:
        find_spec(specs, name, "output")
    rows = rows_of(manifest, then)
    return body.outputs or {name: body.binary for name, row in rows.items() if row.default}


async def _read_images(
    inputs: dict[str, InputTensor], spec: InputSpec, max_images: int
) -> list[Content]:
    given = [inputs[name] for name in (ENCODED, TENSORS) if name in inputs]
    if len(given) != 1:
        raise Problem("malformed_body", f"Send one of the inputs {ENCODED} and {TENSORS}.")
    tensor = given[0]
    number = tensor.shape[0]
    if number == 0:
        raise Problem("empty_body", "The request has no image.")
    if number > max_images:
        raise Problem("too_many_images", f"{number} images; at most {max_images} a request.")
    if tensor.name == ENCODED:
        return [*await tensor.to_items()]
    height, width = tensor.shape[1:3]
    _check_sides(tensor, spec)
    placement = Placement(width, height, 1.0, 1.0)
    return [ModelInput(pixels, placement) for pixels in tensor.to_array()]


def _check_sides(tensor: InputTensor, spec: InputSpec) -> None:
    """Of a model whose input varies; the others' have been compared with the shape."""
    if not isinstance(spec, ShorterSide):
        return
    longest, divisor = max(spec.height, spec.width), spec.divisor
    if any(not 0 < side <= longest or side % divisor for side in tensor.shape[1:3]):
        raise tensor.fault(
            f"its shape is {list(tensor.shape)}; sides go to {longest} in steps of {divisor}"
        )


def _read_parameters(
    values: dict[str, Any], manifest: ModelManifest, then: ModelManifest | None, outlines: bool
) -> RequestParameters:
    """outlines: whether these are among the outputs."""
    kind = PARAMETERS[manifest.task]
    # the path names the models, the outputs say what is wanted, and to send regions is to send
    # images
    left_out = {
        "model",
        "then",
        "regions",
        "contours",
        "novelty",
        *(kind.NEEDS if then is None else ()),
    }
    known = [name for name in kind.model_fields if name not in left_out]
    for name in values:
        if name not in known:
            others = ", ".join([*known, TIMEOUT, "binary_data_output"])
            raise Problem(
                "unknown_parameter", f"There is no parameter {quoted(name)}; there are {others}."
            )
    if isinstance(labels := values.get("labels"), str):  # the protocol has no lists here
        values["labels"] = [label.strip() for label in labels.split(",")]
    named: dict[str, Any] = {"model": f"{manifest.name}/{manifest.version}"}
    if manifest.task == "detection" and manifest.has_contours and not outlines:
        named["contours"] = False
    if then is not None:
        named["then"] = f"{then.name}/{then.version}"
    return read_parameters(kind, {**values, **named})


def _ask_for_all(
    parameters: ClassifyParameters, manifest: ClassificationManifest
) -> tuple[ClassifyParameters, int]:
    """``parameters`` that ask for every class, and how many were asked for before."""
    most = manifest.top_k(parameters.top_k)
    # more than there are stays wrong
    return parameters.model_copy(update={"top_k": max(len(manifest.labels), most)}), most


def _read_timeout(value: Any, max_timeout_ms: int) -> float | None:
    """Seconds; 0 means none was stated."""
    if type(value) is not int or value < 0:
        raise Problem(
            "invalid_parameter",
            f"{TIMEOUT} is not a whole number of microseconds.",
        )
    return min(value / 1e6, max_timeout_ms / 1e3) or None
