"""Inputs and outputs as Triton's client has them."""

import base64

import numpy as np
import tritonclient.http as triton

DETECTOR, CLASSIFIER = "efficientdet_lite0_voc", "efficientnet_lite0_imagenet"


def encoded(files: list[bytes], *, binary: bool = True) -> triton.InferInput:
    """The input `image`; without ``binary`` in JSON, which has no bytes but base64."""
    tensor = triton.InferInput("image", [len(files)], "BYTES")
    content = files if binary else [base64.b64encode(file) for file in files]
    return tensor.set_data_from_numpy(np.array(content, dtype=object), binary_data=binary)


def array(name: str, values: np.ndarray, datatype: str, *, binary: bool) -> triton.InferInput:
    tensor = triton.InferInput(name, list(values.shape), datatype)
    return tensor.set_data_from_numpy(values, binary_data=binary)


def wanted(*names: str, binary: bool = True) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name, binary_data=binary) for name in names]
