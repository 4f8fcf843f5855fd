"""A video's frame and what is on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

if TYPE_CHECKING:
    from PIL import Image

    from boxport_client.results import DetectionResult

VideoSource = Union[str, "os.PathLike[str]", int]


@dataclass(frozen=True)
class VideoFrame:
    """One frame of a video that was asked about.

    index: its number among all frames of the video, from 0.
    seconds: when it is shown, from the video's begin.
    picture: the frame, upright and in RGB.
    """

    index: int
    seconds: float
    picture: Image.Image
    result: DetectionResult
