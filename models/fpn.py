"""FPN with RetinaNet's extra levels (arXiv 1612.03144; arXiv 1708.02002, section 4, footnote 2).

C5 ─ 1x1 ─► M5 ─ 3x3 ─► P5        P6 = 3x3 stride 2 on C5
            ▼ nearest             P7 = 3x3 stride 2 on ReLU(P6)
C4 ─ 1x1 ─► + = M4 ─ 3x3 ─► P4
            ▼ nearest
C3 ─ 1x1 ─► + = M3 ─ 3x3 ─► P3
"""

from torch import Tensor, nn
from torch.nn import functional as F


class FPN(nn.Module):
    """C3, C4, C5 -> P3 .. P7, each [N, channels, H_l, W_l]."""

    def __init__(self, backbone_channels: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in backbone_channels)
        self.output = nn.ModuleList(
            nn.Conv2d(channels, channels, 3, padding=1) for _ in backbone_channels
        )
        self.p6 = nn.Conv2d(backbone_channels[-1], channels, 3, stride=2, padding=1)
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
        p6 = self.p6(features[-1])
        return [*pyramid, p6, self.p7(F.relu(p6))]
