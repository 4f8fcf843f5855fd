"""One object that a detector found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxport_client._boxes import Box
from boxport_client._classifications import Classification, read_classes
from boxport_client._crops import crop, rgb_picture

if TYPE_CHECKING:
    from PIL import Image

    from boxport_client._photos import Photo


@dataclass(frozen=True)
class Detection:
    """One object. ``score`` is in 0..1; ``label_id`` is the data set's own id of the label.

    classifications: what a second model says of the part in the box, best first, if one was asked
        (``then``).
    """

    box: Box
    score: float
    label: str
    label_id: int
    classifications: tuple[Classification, ...] = ()

    def crop(self, photo: Photo, margin: float = 0.0) -> Image.Image:
        """The part of ``photo`` inside the box, upright and in RGB.

        margin: what to add on each side, as a share of the box's width or height; the photo's
            border ends it.

        Raises PhotoError if the photo cannot be read, and ValueError for a box outside it.
        """
        return crop(rgb_picture(photo), self.box, margin)

    def to_dict(self) -> dict[str, Any]:
        """The detection as in the service's JSON."""
        content: dict[str, Any] = {
            "box": list(self.box),
            "score": self.score,
            "label": self.label,
            "label_id": self.label_id,
        }
        if self.classifications:
            content["classifications"] = [one.to_dict() for one in self.classifications]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Detection:
        """Read what `to_dict` gave."""
        classes = read_classes(content.get("classifications", ()))
        box = Box(*content["box"])
        return cls(box, content["score"], content["label"], content["label_id"], classes)
