"""What every one-stage detector is: backbone, feature pyramid, a class head and a box head.

    images ─ backbone ─► C3 C4 C5 ─ pyramid ─► P3 … P7 ─┬─ class head ─► logits [N, A, C]
                                                        └─ box head ───► deltas [N, A, 4]

The network gives raw outputs; `models.postprocess` turns them into detections.
"""

from torch import Tensor, nn

from models.anchors import AnchorSettings
from models.box_coder import BoxCoder
from models.snake import DeepSnake


class OneStageDetector(nn.Module):
    """Normalised images [N, 3, H, W] -> class logits [N, A, C] and box deltas [N, A, 4].

    ``anchors`` and ``box_coder`` say what the deltas are offsets from, and how they are written.
    ``snake``, where there is one, turns boxes into outlines.
    """

    class_layer: str  # the layer whose outputs are one for each anchor and class

    def __init__(
        self,
        backbone: nn.Module,
        pyramid: nn.Module,
        class_head: nn.Module,
        box_head: nn.Module,
        anchors: AnchorSettings,
        box_coder: BoxCoder,
    ) -> None:
        super().__init__()
        self.backbone, self.pyramid = backbone, pyramid
        self.class_head, self.box_head = class_head, box_head
        self.anchors, self.box_coder = anchors, box_coder
        self.snake: DeepSnake | None = None  # that outlines what the boxes are of

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.predict(self.backbone(images))

    def predict(self, features: list[Tensor]) -> tuple[Tensor, Tensor]:
        """The part after the backbone: C3, C4, C5 [N, C_l, H_l, W_l] -> logits and deltas."""
        return self.run_heads(self.pyramid(features))

    def run_heads(self, pyramid: list[Tensor]) -> tuple[Tensor, Tensor]:
        """P3 … P7 [N, channels, H_l, W_l] -> logits [N, A, C] and deltas [N, A, 4]."""
        return self.class_head(pyramid), self.box_head(pyramid)
