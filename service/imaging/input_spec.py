"""How a photo becomes a graph's input: a part of the manifest, and all that pre-processing reads.

Training, the export and the service read it, so that one code makes the same pixels for all.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypeAliasType

Channel = Annotated[int, Field(ge=0, le=255)]
Spread = Annotated[float, Field(gt=0)]
# Pixels. No network reads more, and a photo that is made larger takes the memory of a machine.
Side = Annotated[int, Field(gt=0, le=8192)]


class Part(BaseModel):
    """A part of the manifest: typed, without unknown fields, not changed once read."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Input(Part):
    """How a photo becomes the graph's input, uint8 [N, height, width, 3].

    What the network reads of it is made inside the graph, and stated for readers: the channels in
    ``channel_order``, of each (pixel * ``scale`` - ``mean``) / ``std``.
    """

    height: Side
    width: Side
    resize: Literal["letterbox", "shorter_side", "stretch", "centre_crop"]
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[Spread, Spread, Spread]
    channel_order: Literal["rgb", "bgr"] = Field(
        "rgb",
        description="In which the network inside the graph reads; so are mean and std. The graph's"
        " input is RGB.",
    )
    scale: float = Field(1 / 255, gt=0, description="Of pixel values, before mean is subtracted.")

    @property
    def unit(self) -> float:
        """The pixel value that is scaled to 1."""
        return 1 / self.scale

    @property
    def varies(self) -> bool:
        """Whether inputs differ in size; ``height`` and ``width`` are then upper bounds."""
        return self.resize == "shorter_side"


class _WholeInput(_Input):
    """An input that shows the whole photo."""

    antialias: bool = Field(True, description="Whether a photo that is made smaller is smoothed.")

    @model_validator(mode="after")
    def _can_be_resized(self) -> Self:
        if not self.antialias and self.interpolation != "bilinear":
            raise ValueError("only a bilinear resize can do without antialias")
        return self


class Stretch(_WholeInput):
    """The whole photo, each side scaled by itself, so that it fills the input."""

    resize: Literal["stretch"] = "stretch"


class _FilledInput(_WholeInput):
    """An input of which the photo leaves a part empty."""

    fill: tuple[Channel, Channel, Channel] = Field(
        (128, 128, 128), description="RGB of the part that the photo leaves empty."
    )


class Letterbox(_FilledInput):
    """The whole photo, scaled to fit into the input."""

    resize: Literal["letterbox"] = "letterbox"
    anchor: Literal["top_left", "centre"] = Field(
        "top_left", description="Where on the input the photo lies."
    )


class ShorterSide(_FilledInput):
    """The whole photo in the top left corner, one side scaled and both filled up to a multiple of
    ``divisor``."""

    resize: Literal["shorter_side"] = "shorter_side"
    shorter_side: Side = Field(description="Pixels of the shorter side after scaling.")
    longer_side: Side = Field(
        description="Pixels that the longer side may have after scaling at most."
    )
    divisor: Side = Field(description="Of the sides of the input.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        longest = -(-self.longer_side // self.divisor) * self.divisor
        if not self.shorter_side <= self.longer_side <= longest <= max(self.height, self.width):
            raise ValueError(
                "shorter_side, longer_side, that as a multiple of divisor, and the input's longest"
                " must ascend"
            )
        return self


class CentreCrop(_Input):
    """The middle of the photo, after its shorter side is scaled."""

    resize: Literal["centre_crop"] = "centre_crop"
    shorter_side: Side = Field(
        description="Pixels of the shorter side after scaling, before the crop."
    )

    @model_validator(mode="after")
    def _fills_the_crop(self) -> Self:
        if self.shorter_side < max(self.height, self.width):
            raise ValueError("shorter_side is less than the crop's")
        return self


WholeInput = Letterbox | ShorterSide | Stretch
InputSpec = TypeAliasType(
    "InputSpec",
    Annotated[
        Letterbox | ShorterSide | Stretch | CentreCrop,
        Field(discriminator="resize", description="How a photo becomes the graph's input."),
    ],
)
