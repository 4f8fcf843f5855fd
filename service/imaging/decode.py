"""The bytes of an image file as the input of a model: all of decoding in one call."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from service.imaging.cost import decoding_bytes
from service.imaging.images import open_image, prepare
from service.imaging.input_spec import InputSpec
from service.imaging.resize import ModelInput

HoldMemory = Callable[[int], AbstractContextManager[None]]


@dataclass(frozen=True)
class DecodeOptions:
    """How a model's images are decoded; the fields are those of the settings.

    formats: as `enable_formats` gives them.
    """

    spec: InputSpec
    max_pixels: int
    max_frames: int
    formats: tuple[str, ...]
    reduce: bool
    exact: bool


def decode_input(content: bytes, options: DecodeOptions, hold_memory: HoldMemory) -> ModelInput:
    """What the model reads of an image.

    hold_memory: admits an image that takes so many bytes, for as long as it is decoded, or raises.

    Raises Problem if the image is damaged or too large, and what ``hold_memory`` raises.
    """
    with (
        open_image(content, options.max_pixels, options.max_frames, options.formats) as image,
        hold_memory(decoding_bytes(image, content, options.spec, reduce=options.reduce)),
    ):
        return prepare(image, options.spec, reduce=options.reduce, exact=options.exact)
