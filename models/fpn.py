"""FPN (arXiv 1612.03144, Figure 3), and the levels that detectors add above it.

C5 ─ 1x1 ─► M5 ─ 3x3 ─► P5
            ▼ nearest
C4 ─ 1x1 ─► + = M4 ─ 3x3 ─► P4
            ▼ nearest
C3 ─ 1x1 ─► + = M3 ─ 3x3 ─► P3

RetinaNet (arXiv 1708.02002, section 4, footnote 2) adds two convolved levels:

P6 = 3x3 stride 2 on C5, or on P5 in torchvision's first version       P7 = 3x3 stride 2 on ReLU(P6)

The FPN paper (section 4.1, footnote 1) adds one above P2 to P5: P6 is every second cell of P5.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Top = Literal["convolved C5", "convolved P5", "subsampled P5"]


class FPN(nn.Module):
    """Features of consecutive levels, finest first -> the pyramid, each [N, channels, H_l, W_l].

    ``top`` says what is above the backbone's last level: two convolved levels or a subsampled one.
    """

    def __init__(
        self, backbone_channels: tuple[int, ...], channels: int, top: Top = "convolved C5"
    ) -> None:
        super().__init__()
        self.top, self.channels = top, channels
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in backbone_channels)
        self.output = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in backbone_channels
        )
        if top != "subsampled P5":
            below = backbone_channels[-1] if top == "convolved C5" else channels
            self.p6 = nn.Conv2d(below, channels, 3, stride=2, padding=1)
            self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        for conv in self.modules():
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_uniform_(conv.weight, a=1)
                nn.init.zeros_(conv.bias)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        merged = [lateral(c) for lateral, c in zip(self.lateral, features, strict=True)]
        for level in reversed(range(len(merged) - 1)):
            above = F.interpolate(merged[level + 1], size=merged[level].shape[-2:], mode="nearest")
            merged[level] = merged[level] + above
        pyramid = [output(m) for output, m in zip(self.output, merged, strict=True)]
        if self.top == "subsampled P5":
            return [*pyramid, F.max_pool2d(pyramid[-1], 1, stride=2)]
        p6 = self.p6(features[-1] if self.top == "convolved C5" else pyramid[-1])
        return [*pyramid, p6, self.p7(F.relu(p6))]
