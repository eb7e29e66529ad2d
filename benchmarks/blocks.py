"""The SE blocks that are compared, each built by `(channels, reduction)`.

Ours; the two published ones, written again from their equations so that nothing of seblock runs in them;
and the real ones of timm and torchvision. Their bottlenecks are equally wide. `SELayer`, ours and
published, has no biases, the others have.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seblock.blocks import SELayer
from seblock.fast import FastSELayer

Build = Callable[[int, int], nn.Module]


class PublishedSELayer(nn.Module):
    """x · σ(W₂ δ(W₁ z)), the adaptive pooling's (N, C, 1, 1) taken apart and put together by views."""

    def __init__(self, channel: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = channel // reduction
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        squeezing, widening = nn.Linear(channel, hidden, bias=False), nn.Linear(hidden, channel, bias=False)
        self.fc = nn.Sequential(squeezing, nn.ReLU(inplace=True), widening, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        n, c = x.shape[:2]
        s = self.fc(self.avg_pool(x).view(n, c)).view(n, c, 1, 1)
        return x * s.expand_as(x)


class PublishedSqEx(nn.Module):
    """x · σ(W₂ δ(W₁ z + b₁) + b₂), pooled over a window as large as the map, channels last in between."""

    def __init__(self, n_features: int, reduction: int = 16) -> None:
        super().__init__()
        hidden = n_features // reduction
        self.linear1, self.linear2 = nn.Linear(n_features, hidden), nn.Linear(hidden, n_features)

    def forward(self, x: Tensor) -> Tensor:
        z = F.avg_pool2d(x, kernel_size=x.shape[2:]).permute(0, 2, 3, 1)
        s = torch.sigmoid(self.linear2(F.relu(self.linear1(z))))
        return x * s.permute(0, 3, 1, 2)


def ours() -> dict[str, Build]:
    """The readable block, and the fast one."""
    return {"SELayer": SELayer, "FastSELayer": FastSELayer}


def peers() -> dict[str, Build]:
    """What others use."""
    from timm.layers import SEModule
    from torchvision.ops import SqueezeExcitation

    return {
        "timm SEModule": lambda c, r: SEModule(c, rd_channels=c // r),
        "torchvision SqueezeExcitation": lambda c, r: SqueezeExcitation(c, c // r),
        "published SELayer": PublishedSELayer,
        "published SqEx": PublishedSqEx,
    }
