"""One object that a detector found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxport_client._boxes import Box, Contour
from boxport_client._classifications import Classification, read_classes
from boxport_client._crops import crop, outline_mask, rgb_picture

if TYPE_CHECKING:
    from PIL import Image

    from boxport_client._photos import Photo


@dataclass(frozen=True)
class Detection:
    """One object. ``score`` is in 0..1; ``label_id`` is the data set's own id of the label.

    classifications: what a second model says of the part in the box, best first, if one was asked
        (``then``).
    contour: its outline, a closed polygon of x, y in pixels of the upright photo; None of a model
        that finds boxes alone, or if it was not asked for.
    """

    box: Box
    score: float
    label: str
    label_id: int
    classifications: tuple[Classification, ...] = ()
    contour: Contour | None = None

    def crop(self, photo: Photo, margin: float = 0.0) -> Image.Image:
        """The part of ``photo`` inside the box, upright and in RGB.

        margin: what to add on each side, as a share of the box's width or height; the photo's
            border ends it.

        Raises PhotoError if the photo cannot be read, and ValueError for a box outside it.
        """
        return crop(rgb_picture(photo), self.box, margin)

    def mask(self, size: tuple[int, int] | None = None) -> Image.Image:
        """The pixels inside the contour and on its edge: 255 in a picture of mode "L", others 0.

        size: (width, height) of the photo, as `DetectionResult` has them; if not given, the mask is
            of the box alone, as large as `crop` cuts it out without a margin.

        Raises ValueError for a detection without a contour.
        """
        if self.contour is None:
            raise ValueError("this detection has no contour: ask a model that finds outlines")
        return outline_mask(self.contour, self.box, size)

    def to_dict(self) -> dict[str, Any]:
        """The detection as in the service's JSON."""
        content: dict[str, Any] = {
            "box": list(self.box),
            "score": self.score,
            "label": self.label,
            "label_id": self.label_id,
        }
        if self.contour is not None:
            content["contour"] = [list(vertex) for vertex in self.contour]
        if self.classifications:
            content["classifications"] = [one.to_dict() for one in self.classifications]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Detection:
        """Read what `to_dict` gave."""
        classes = read_classes(content.get("classifications", ()))
        box, contour = Box(*content["box"]), content.get("contour")
        outline = None if contour is None else tuple((x, y) for x, y in contour)
        return cls(box, content["score"], content["label"], content["label_id"], classes, outline)
