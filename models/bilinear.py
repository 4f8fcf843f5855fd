"""Factorised bilinear coding: second-order pooling that stays small.

Gao, Wu, Zhang, Dai, Jia, Harandi, "Revisiting Bilinear Pooling: A Coding Perspective", AAAI 2020.
A bilinear feature x yᵀ of a place is coded over a dictionary of ``atoms`` matrices, each of rank
``rank`` and kept as its two factors, so that the outer product itself is never formed.
"""

from torch import Tensor, nn
from torch.nn import functional as F

SMALLEST = 1e-12  # keeps the square root's slope finite at zero


class FactorisedBilinearCoding(nn.Module):
    """Features [N, channels, H, W] -> one code [N, atoms] for each image.

    At each place, with x = y its feature and U, V the atoms' factors:
        c' = P (Uᵀx ∘ Vᵀy)                       P adds up each atom's ``rank`` products
        c  = sign(c') ∘ max(|c'| - sparsity / 2, 0)   soft threshold: the L1 term's solution
    and the image's code is the maximum of its places' codes.
    """

    def __init__(
        self, channels: int, atoms: int = 2048, rank: int = 4, sparsity: float = 1e-3
    ) -> None:
        super().__init__()
        self.atoms, self.rank, self.sparsity = atoms, rank, sparsity
        self.left = nn.Conv2d(channels, atoms * rank, 1, bias=False)  # Uᵀ
        self.right = nn.Conv2d(channels, atoms * rank, 1, bias=False)  # Vᵀ

    def forward(self, features: Tensor) -> Tensor:
        products = self.left(features) * self.right(features)
        codes = products.flatten(2).unflatten(1, (self.atoms, self.rank)).sum(dim=2)  # [N, k, HW]
        sparse = codes.sign() * (codes.abs() - self.sparsity / 2).relu()
        return sparse.amax(dim=2)


class BilinearClassifier(nn.Module):
    """Any backbone under a bilinear head: images [N, 3, H, W] -> logits [N, num_classes].

    The code is scaled to signed square roots of unit length, as second-order features are.
    """

    class_layer = "classifier"

    def __init__(self, backbone: nn.Module, num_classes: int, atoms: int = 2048) -> None:
        super().__init__()
        self.backbone = backbone
        self.coding = FactorisedBilinearCoding(backbone.feature_channels[-1], atoms)
        self.classifier = nn.Linear(atoms, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        code = self.coding(self.backbone(images)[-1])
        root = code.sign() * (code.abs() + SMALLEST).sqrt()
        return self.classifier(F.normalize(root, dim=1))
