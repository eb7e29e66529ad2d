"""The two well-known PyTorch forms of the SE block, and a residual block that holds one.

Names, arguments and state-dict keys are the published ones, so published weights of these blocks load.
Where the published code fails quietly, these say so: `SELayer` with fewer channels than `reduction`
raises, `SqEx` can be exported with dynamic sizes, and maps of a wrong shape get an error that names
(N, C, H, W).
"""

import torch
from torch import Tensor, nn

from seblock.functional import expect_maps, rescale, squeeze


class Squeeze(nn.Module):
    """z_c = mean of u_c: (N, C, H, W) -> (N, C), as a module, so that a hook can read z."""

    def forward(self, u: Tensor) -> Tensor:
        return squeeze(u)


class MaxSqueeze(nn.Module):
    """z_c = maximum of u_c: (N, C, H, W) -> (N, C), the other squeeze of the paper's Table 11."""

    def forward(self, u: Tensor) -> Tensor:
        return u.amax(dim=(2, 3))


def excitation(channel: int, reduction: int, bias: bool) -> nn.Sequential:
    """Linear, ReLU, Linear, sigmoid with ⌊C / r⌋ hidden units: (N, C) -> (N, C).

    Raises ValueError if C or r is no integer, and if ⌊C / r⌋ is zero: every gate would be σ(b₂) or
    σ(0) = 0.5, whatever the image.
    """
    if not 1 <= reduction <= channel:
        raise ValueError(
            f"reduction must lie between 1 and channel = {channel}, got {reduction}: "
            "no hidden unit would be left"
        )
    hidden = channel // reduction
    if isinstance(hidden, float):
        raise ValueError(f"channel and reduction must be integers, got {channel!r} and {reduction!r}")
    return nn.Sequential(
        nn.Linear(channel, hidden, bias), nn.ReLU(), nn.Linear(hidden, channel, bias), nn.Sigmoid()
    )


class SELayer(nn.Module):
    """x̃ = s · u with s = σ(W₂ δ(W₁ z)), no biases: (N, C, H, W) -> (N, C, H, W).

    channel: C. reduction: r; the hidden layer has ⌊C / r⌋ units.
    State dict: `fc.0.weight` is W₁, (⌊C/r⌋, C); `fc.2.weight` is W₂, (C, ⌊C/r⌋).
    Raises ValueError if ⌊C / r⌋ is zero, and when called with anything but (N, C, H, W).

    Signals (N, C, L) pass as maps of width 1: `layer(x[..., None])[..., 0]`. In a network that is already
    trained, fresh gates change most answers; without b₂ this layer cannot start open, `SqEx` can.
    Attributions add up by integrated gradients, not by DeepLift, which has no rule for the product s · u.
    """

    def __init__(self, channel: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel = channel
        self.avg_pool: nn.Module = Squeeze()
        self.fc = excitation(channel, reduction, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channel)
        z = self.avg_pool(x)
        s = self.fc(z)
        return rescale(x, s)


class SqEx(nn.Module):
    """x̃ = s · u with s = σ(W₂ δ(W₁ z + b₁) + b₂): (N, C, H, W) -> (N, C, H, W).

    n_features: C. reduction: r; the hidden layer has C / r units.
    State dict: `linear1.weight`, `linear1.bias`, `linear2.weight`, `linear2.bias`.
    Raises ValueError if C is not a multiple of r, and when called with anything but (N, C, H, W).

    Signals (N, C, L) pass as maps of width 1: `block(x[..., None])[..., 0]`. In a network that is already
    trained, fresh gates, near 0.5, change most answers. To start open, at σ(8) = 0.9997 for every image:
    `nn.init.zeros_(block.linear2.weight)` and `nn.init.constant_(block.linear2.bias, 8)`. In bfloat16 take 6:
    there σ(8) rounds to 1, and no gradient passes back through it. Notebook 7 shows both.
    """

    def __init__(self, n_features: int, reduction: int = 16) -> None:
        super().__init__()
        fraction = isinstance(n_features // (reduction or 1), float)
        if fraction or not 1 <= reduction <= n_features or n_features % reduction:
            raise ValueError(
                f"n_features must be a positive multiple of reduction, got {n_features!r} and {reduction!r}"
            )
        self.n_features = n_features
        self.pool = Squeeze()
        self.linear1 = nn.Linear(n_features, n_features // reduction)
        self.nonlin1 = nn.ReLU()
        self.linear2 = nn.Linear(n_features // reduction, n_features)
        self.nonlin2 = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.n_features)
        z = self.pool(x)
        s = self.nonlin2(self.linear2(self.nonlin1(self.linear1(z))))
        return rescale(x, s)


class NoSqueeze(nn.Module):
    """x̃ = s · u with s = σ(W₂ δ(W₁ u)) at each position, nothing averaged: (N, C, H, W) -> (N, C, H, W).

    The paper's Table 16, Section 7.1: `SELayer`'s two layers as 1×1 convolutions on the maps themselves. Each
    position has gates of its own and sees no other. Raises ValueError if ⌊C / r⌋ is zero, and when called
    with anything but (N, C, H, W).
    """

    def __init__(self, channel: int, reduction: int = 16) -> None:
        super().__init__()
        self.channel = channel
        self.fc = excitation(channel, reduction, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channel)
        return x * self.fc(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConstantGate(nn.Module):
    """x̃_c = σ(w_c) · u_c, a trained factor for each channel that never looks at the image: SE's rival.

    (N, C, H, W) -> (N, C, H, W). channels: C. State dict: `weight`, (C,), zeros at the start, so that every
    factor is 0.5 as a fresh SE gate is in the mean. Raises ValueError when called with anything but
    (N, C, H, W).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.weight.shape[0])
        return rescale(x, self.weight.sigmoid().expand(x.shape[0], -1))


class ResBlockSqEx(nn.Module):
    """x + SqEx(branch(x)), the branch being twice norm, ReLU, 3×3 convolution: (N, C, H, W) -> (N, C, H, W).

    n_features: C, a multiple of 16, else ValueError. A pre-activation block: nothing follows the addition.
    State dict: `norm1.*`, `conv1.weight`, `norm2.*`, `conv2.weight`, `sqex.linear1.*`, `sqex.linear2.*`.
    """

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(n_features)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(n_features, n_features, kernel_size=3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_features)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_features, n_features, kernel_size=3, padding=1, bias=False)
        self.sqex = SqEx(n_features)

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.norm1.num_features)
        y = self.conv1(self.relu1(self.norm1(x)))
        y = self.conv2(self.relu2(self.norm2(y)))
        return x + self.sqex(y)
