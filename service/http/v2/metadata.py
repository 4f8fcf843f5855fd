"""A model's metadata in the protocol, and its configuration in Triton's words: the tensors that it
takes and gives.

Every model has two inputs for images of which a request sends one: `ENCODED`, files, and the
graph's own `TENSORS`. The graph's other inputs, thresholds, may be sent as tensors of one value.

Any detector and any classifier are also an ensemble, a model called detector+classifier, which
classifies what it detects. It takes files alone: boxes are cut out of photos.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from service.http.v2.outputs import (
    JOINT,
    NOVELTY,
    ONLY_VERSION,
    OUTPUTS,
    ensemble_name,
    rows_of,
    vertices_of,
)
from service.http.v2.tensors import BYTES, InputTensor
from service.manifest import ModelManifest, Tensor
from service.problems import Problem, quoted
from service.repository.version import ModelVersion, State

ENCODED = "image"
TENSORS = "images"  # as in the manifest
PLATFORM, BACKEND = "onnxruntime_onnx", "onnxruntime"
ENSEMBLE = "ensemble"  # as Triton's platform is called
# ``version`` is that of the HTTP API: the service has no number of its own.
SERVER = {
    "name": "boxport",
    "version": "1",
    "extensions": ["binary_tensor_data", "model_configuration", "model_repository"],
}
DATATYPES = {"uint8": "UINT8", "float": "FP32", "int64": "INT64", "bool": "BOOL"}
SERVED = (State.READY, State.EVICTED)
ANY = -1


@dataclass(frozen=True)
class TensorSpec:
    """``shape`` has `ANY` where it varies."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}

    def to_config(self) -> dict[str, Any]:
        """As Triton's model configuration has it."""
        kind = "STRING" if self.datatype == BYTES else self.datatype
        return {"name": self.name, "data_type": f"TYPE_{kind}", "dims": list(self.shape)}

    def check(self, tensor: InputTensor) -> None:
        """Raise Problem if ``tensor`` states another datatype or shape."""
        if tensor.datatype != self.datatype:
            raise tensor.fault(
                f"its datatype is {quoted(tensor.datatype)}; it must be {self.datatype}"
            )
        shape = tensor.shape
        if len(self.shape) == 1 and shape[1:] == (1,):
            shape = shape[:1]  # MLServer's codecs write lists as columns
        fits = len(shape) == len(self.shape) and all(
            wanted in (ANY, side) for side, wanted in zip(shape, self.shape, strict=True)
        )
        if not fits and not (self.shape == (1,) and tensor.shape == ()):
            raise tensor.fault(f"its shape is {list(tensor.shape)}; it must be {list(self.shape)}")


def inputs_of(manifest: ModelManifest, then: ModelManifest | None = None) -> dict[str, TensorSpec]:
    """Every input, by name. then: of the classifier of an ensemble."""
    rows = [TensorSpec(ENCODED, BYTES, (ANY,)), *map(_from_graph, manifest.inputs)]
    return {row.name: row for row in rows if then is None or row.name != TENSORS}


def outputs_of(
    manifest: ModelManifest, then: ModelManifest | None = None, *, judged: bool = False
) -> dict[str, TensorSpec]:
    """Every output, by name. then: of the classifier of an ensemble. judged: whether the model has
    a companion, which gives `NOVELTY`."""
    sizes = {"C": len(manifest.labels), "V": vertices_of(manifest)}
    return {
        name: TensorSpec(
            name,
            row.datatype,
            tuple(sizes.get(side, ANY) if isinstance(side, str) else side for side in row.shape),
        )
        for name, row in rows_of(manifest, then).items()
        if judged or name != NOVELTY
    }


def describe(
    manifest: ModelManifest, versions: Iterable[str], *, judged: bool = False
) -> dict[str, Any]:
    """The model's metadata. judged: see `outputs_of`."""
    return {
        "name": manifest.name,
        "versions": list(versions),
        "platform": PLATFORM,
        "inputs": [row.to_json() for row in inputs_of(manifest).values()],
        "outputs": [row.to_json() for row in outputs_of(manifest, judged=judged).values()],
    }


def configure(manifest: ModelManifest, *, judged: bool = False) -> dict[str, Any]:
    """The model's configuration, as far as Triton's clients ask: perf_analyzer reads from it which
    inputs it may leave out. All are optional, as of `ENCODED` and `TENSORS` only one is sent.

    ``max_batch_size`` is 0, which means that shapes have the number of images in them. judged: see
    `outputs_of`.
    """
    return {
        "name": manifest.name,
        "platform": PLATFORM,
        "backend": BACKEND,
        "max_batch_size": 0,
        "input": [{**row.to_config(), "optional": True} for row in inputs_of(manifest).values()],
        "output": [row.to_config() for row in outputs_of(manifest, judged=judged).values()],
    }


def describe_ensemble(detector: ModelManifest, classifier: ModelManifest) -> dict[str, Any]:
    """The metadata of an ensemble."""
    return {
        "name": ensemble_name(detector, classifier),
        "versions": [ONLY_VERSION],
        "platform": ENSEMBLE,
        "inputs": [row.to_json() for row in inputs_of(detector, classifier).values()],
        "outputs": [row.to_json() for row in outputs_of(detector, classifier).values()],
    }


def configure_ensemble(detector: ModelManifest, classifier: ModelManifest) -> dict[str, Any]:
    """The configuration of an ensemble. Its steps are those of Triton's; between them boxes are cut
    out of the photo."""
    inputs, outputs = inputs_of(detector, classifier), outputs_of(detector, classifier)
    found = [name for name in outputs if name in OUTPUTS["detection"]]
    steps = [
        _step(detector, {name: name for name in inputs}, {name: name for name in found}),
        _step(
            classifier,
            {ENCODED: ENCODED},
            {name.removeprefix("class_"): name for name in outputs if name not in found},
        ),
    ]
    return {
        "name": ensemble_name(detector, classifier),
        "platform": ENSEMBLE,
        "max_batch_size": 0,
        "input": [{**row.to_config(), "optional": row.name != ENCODED} for row in inputs.values()],
        "output": [row.to_config() for row in outputs.values()],
        "ensemble_scheduling": {"step": steps},
    }


def split_ensemble(name: str) -> tuple[str, str] | None:
    """The names of the detector and of the classifier, if ``name`` is an ensemble's."""
    detector, joint, classifier = name.partition(JOINT)
    return (detector, classifier) if detector and joint and classifier else None


def _step(
    manifest: ModelManifest, inputs: dict[str, str], outputs: dict[str, str]
) -> dict[str, Any]:
    return {
        "model_name": manifest.name,
        "model_version": int(manifest.version),
        "input_map": inputs,
        "output_map": outputs,
    }


def served_versions(versions: Iterable[ModelVersion], name: str) -> list[str]:
    """The numbers of those of ``name`` that are served, the newest first."""
    return [one.reference[1] for one in versions if one.reference[0] == name and is_served(one)]


def is_served(version: ModelVersion) -> bool:
    return version.manifest is not None and version.state in SERVED


def find_spec(specs: dict[str, TensorSpec], name: str, kind: str) -> TensorSpec:
    """The one called ``name``; raises Problem if there is none."""
    if name not in specs:
        raise Problem(
            "malformed_body", f"There is no {kind} {quoted(name)}; there are {', '.join(specs)}."
        )
    return specs[name]


def _from_graph(tensor: Tensor) -> TensorSpec:
    """A scalar becomes a tensor of one value: many clients cannot write the shape []."""
    shape = tuple(side if isinstance(side, int) else ANY for side in tensor.shape) or (1,)
    return TensorSpec(tensor.name, DATATYPES[tensor.dtype], shape)
