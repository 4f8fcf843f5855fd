"""Where a model package comes from, what it was compared with, and what it was measured to be.

These are the parts of its manifest that no graph shows.
"""

from typing import Annotated, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from service.imaging.input_spec import Part

ParityReference = Literal[
    "user_model", "user_results", "foreign_onnx", "boxport_network", "float32_package"
]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


class Conversion(Part):
    """The float32 package that a package in lower precision was made from, and how."""

    package: str = Field(description="Its name and version.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="Of its graph.")
    calibration: str | None = Field(None, description="How 8 bits' ranges were found.")
    photos: int | None = Field(None, gt=0, description="How many photos they were found on.")
    in_float: tuple[str, ...] = Field((), description="Modules that were left in float32.")
    fidelity: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Of a detector: AP with the float32 package's detections as the truth. Of a"
        " classifier: the share of the probabilities that both give to the same classes.",
    )


class Adoption(Part):
    """How a package was made of an ONNX file that another tool exported."""

    decoder: str = Field(min_length=1, description="What reads the file's outputs.")
    batch: Literal["dynamic", "rewritten", "scan"] = Field(
        description="dynamic: as in the file. rewritten: its batch of one was made dynamic. scan:"
        " it runs photo by photo."
    )
    assumed: tuple[str, ...] = Field(
        (), description="What the file does not say and nobody gave: the family's usual was taken."
    )


class Provenance(Part):
    """Where the weights come from, and what turned them into the graph."""

    architecture: str = Field(min_length=1)
    weights_file: str = Field(min_length=1)
    weights_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    licence: str = Field(pattern=r"\S")
    tools: dict[str, str] = Field(description="Versions of what the export ran with.")
    settings: dict[str, str] | None = Field(
        None,
        description="What was stated beside the weights, by the owner or the checkpoint, as `export"
        " create` takes it; all else is the architecture's.",
    )
    converted: Conversion | None = Field(None, description="Of a package in lower precision.")
    adopted: Adoption | None = Field(None, description="Of another tool's ONNX file.")


class Tolerance(Part):
    """Up to which difference two answers count as the same."""

    score: float = Field(ge=0, le=1)
    iou: float = Field(ge=0, le=1, description="That boxes must have at least.")
    box_px: float | None = Field(None, ge=0, description="Of each side of a box.")
    matched: float = Field(
        ge=0,
        le=1,
        validation_alias=AliasChoices("matched", "twins"),  # "twins" until 0.1
        description="The share of answers that must have a match on the other side.",
    )


class ParityCase(Part):
    """One kind of input that the parity gate tried."""

    name: str
    images: int = Field(ge=0, description="Counted as often as they ran.")
    detections: Count | None = Field(None, description="Pairs that were compared.")


# `Parity.reference` in words.
REFERENCES: dict[ParityReference, str] = {
    "user_model": "your own model",
    "user_results": "your own results",
    "foreign_onnx": "the ONNX file that was adopted",
    "boxport_network": "Boxport's own network",
    "float32_package": "the float32 package",
}
HOW_TO_PROVE = "`export create --reference FILE.py` or `--expect RESULTS` compares with yours"


class GraphParity(Part):
    """What a package was compared with at export, on what, and the greatest differences seen."""

    reference: ParityReference = Field(
        description="The owner's own model, or results of it; the ONNX file that was adopted;"
        " Boxport's network with the checkpoint's weights; the float32 package that was converted."
    )
    images: int = Field(gt=0, description="Real photos; other images are in ``cases``.")
    batch_sizes: tuple[Annotated[int, Field(gt=0)], ...]
    cases: tuple[ParityCase, ...] = ()
    tolerance: Tolerance | None = None
    agreeing: float = Field(1.0, ge=0, le=1, description="The share of answers that are the same.")
    max_score_difference: Share
    max_box_difference_px: float | None = Field(None, ge=0)
    max_contour_difference_px: float | None = Field(None, ge=0)
    min_iou: Share | None = None
    unproven: tuple[str, ...] | None = Field(
        None, description="What the comparison cannot show to be right, as both sides share it."
    )
    detections_compared: Count | None = None
    ambiguous: Count | None = Field(
        None,
        validation_alias=AliasChoices("ambiguous", "tied"),
        description="Detections without a match because two overlapping ones have equal scores, so"
        " that either may suppress the other.",
    )

    @model_validator(mode="after")
    def _passed(self) -> Self:
        if self.tolerance is not None and self.agreeing < self.tolerance.matched:
            raise ValueError("fewer answers agree than the tolerance asks for")
        return self

    @property
    def compared_with(self) -> str:
        """What ``reference`` is, in words; of one that says nothing of the owner's own model, how
        to compare with that."""
        words = f"compared with {REFERENCES[self.reference]}"
        own = self.reference == "boxport_network"
        return f"{words}, not with yours; {HOW_TO_PROVE}" if own else words


class Allowance(Part):
    """A cause for which the package's answers to a photo may differ from the owner's."""

    cause: str
    allowed: str = Field(description="How far, or for which answers, in words.")
    answers: Count | None = Field(None, description="That it explains; they are not unmatched.")


class Parity(GraphParity):
    """The same. Where the reference is the owner's own, photos were compared from the bytes of
    their files on, and ``graph`` holds what the graph alone was compared with."""

    allowances: tuple[Allowance, ...] | None = None
    graph: GraphParity | None = Field(
        None, description="What the graph was compared with, from its input's pixels on."
    )


class Accuracy(Part):
    """Figures measured through the exported graph, each in 0..1.

    Of a detector COCO's: ap, ap50, ap75, ap_small, ap_medium, ap_large and ar100; of a classifier
    top1 and top5. What the data have nothing to measure on is left out.
    """

    data: str
    images: int = Field(gt=0)
    metrics: dict[str, Share]
    classes: dict[str, Share] | None = Field(
        None, description="AP of each class of the data, by its name; of a detector."
    )
