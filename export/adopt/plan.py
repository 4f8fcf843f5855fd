"""What is known of a file, and why: what `--dry-run` shows, and the graph is built from."""

from dataclasses import dataclass

from export.adopt.decoders.row import Decoder, Match
from export.adopt.decoders.row import Layout as DecoderLayout
from export.adopt.foreign import Foreign
from service.imaging.input_spec import InputSpec
from service.manifest import DetectionDefaults, Label

GIVEN = "given"


@dataclass(frozen=True)
class Finding:
    """One thing that was found out.

    why: what it was told by; `GIVEN` if the user said it. known: false where the file does not show
    it and the family's usual was taken.
    """

    name: str
    value: str
    why: str
    known: bool = True


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that a package is made of.

    labels: of the classes in the decoder's order. licence: of the weights. defaults: of a detector.
    """

    foreign: Foreign
    decoder: Decoder
    match: Match
    input: InputSpec
    defaults: DetectionDefaults | None
    labels: tuple[Label, ...]
    licence: str
    findings: tuple[Finding, ...]

    @property
    def layout(self) -> DecoderLayout:
        return DecoderLayout(
            self.foreign.height, self.foreign.width, len(self.labels), self.match.settings
        )

    @property
    def assumed(self) -> tuple[str, ...]:
        return tuple(finding.name for finding in self.findings if not finding.known)
