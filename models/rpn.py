"""The region proposal network: where a two-stage detector looks closer.

Ren et al., "Faster R-CNN", arXiv 1506.01497, section 3.1, on a feature pyramid (arXiv 1612.03144,
section 4.1).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.anchors import AnchorGenerator, AnchorSettings
from models.box_coder import BoxCoder
from models.boxes import clip_boxes
from models.heads import flatten_level
from models.operators import select_detections

SMALLEST_PROPOSAL = 1e-3  # pixels


@dataclass(frozen=True)
class ProposalSettings:
    """How many boxes of each level reach NMS, above which IoU one suppresses another there, and how
    many of all levels are proposed."""

    candidates: int = 1000
    iou_threshold: float = 0.7
    number: int = 1000


class RPNHead(nn.Module):
    """A 3x3 convolution, and from it for each anchor an objectness logit and four deltas."""

    def __init__(self, channels: int, anchors_per_cell: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.objectness = nn.Conv2d(channels, anchors_per_cell, 1)
        self.deltas = nn.Conv2d(channels, anchors_per_cell * 4, 1)
        for conv in (self.conv, self.objectness, self.deltas):
            nn.init.normal_(conv.weight, std=0.01)
            nn.init.zeros_(conv.bias)

    def forward(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """[N, channels, H, W] -> logits [N, A_l] and deltas [N, A_l, 4]."""
        x = F.relu(self.conv(level))
        return flatten_level(self.objectness(x), 1).squeeze(-1), flatten_level(self.deltas(x), 4)


class RegionProposalNetwork(nn.Module):
    """The pyramid -> the best proposals of each image: boxes [N, R, 4] and scores [N, R].

    R is at most the number of `ProposalSettings`; images with fewer are padded with boxes and
    scores of 0.
    """

    proposals = ProposalSettings()

    def __init__(self, channels: int, anchors: AnchorSettings) -> None:
        super().__init__()
        self.head = RPNHead(channels, anchors.per_cell)
        self.anchors = AnchorGenerator(anchors)
        self.coder = BoxCoder()

    def forward(self, pyramid: list[Tensor], height: int, width: int) -> tuple[Tensor, Tensor]:
        anchors = self.anchors.levels(height, width, [(x.shape[-2], x.shape[-1]) for x in pyramid])
        candidates = [
            self._candidates(*self.head(x), level)
            for x, level in zip(pyramid, anchors, strict=True)
        ]
        boxes = clip_boxes(torch.cat([b for b, _ in candidates], dim=1), height, width)
        # Proposals suppress each other within a level only, so levels are what classes are to
        # detections: a row has its score in its level's column.
        levels = len(candidates)
        scores = torch.cat(
            [F.pad(s.unsqueeze(-1), (i, levels - 1 - i)) for i, (_, s) in enumerate(candidates)],
            dim=1,
        )
        sides = boxes[..., 2:] - boxes[..., :2]
        scores = scores * (sides.amin(dim=-1, keepdim=True) >= SMALLEST_PROPOSAL)
        _, proposals, proposal_scores, _ = select_detections(
            scores,
            boxes,
            torch.tensor(0.0),
            torch.tensor(self.proposals.iou_threshold),
            torch.tensor(self.proposals.number),
            self.proposals.candidates * levels,
        )
        return proposals, proposal_scores

    def _candidates(self, logits: Tensor, deltas: Tensor, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """A level's best ``candidates``: boxes [N, candidates, 4] and scores [N, candidates].

        A level with fewer anchors is filled up with empty boxes of score 0.
        """
        number = self.proposals.candidates
        logits = F.pad(logits, (0, number), value=-torch.inf)
        deltas = F.pad(deltas, (0, 0, 0, number))
        anchors = F.pad(anchors, (0, 0, 0, number))
        best, index = logits.topk(number, dim=1)
        chosen = deltas.gather(1, index.unsqueeze(-1).expand(-1, -1, 4))
        return self.coder.decode(chosen, anchors[index]), best.sigmoid()
