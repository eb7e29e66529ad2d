"""What came after SE: gates that squeeze, compute or gate something else, one class each.

Each is built from a number of channels, as `networks.Gate` wants it, keeps (N, C, H, W), and raises
ValueError when it is called with other maps. `channels` is C. `ECA`, `EffectiveSE`, `CBAMChannel`, `CSE`, and
`GatherExcite` over the whole map give each channel one factor for all positions; the others are no channel
gates.

Sources: ECA-Net, arXiv 1910.03151; CenterMask (effective SE), 1911.06667; CBAM, 1807.06521; Roy et al. (cSE,
sSE, scSE), 1803.02579; Gather-Excite, 1810.12348; GCNet (global context), 1904.11492.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import Proxy

from seblock.blocks import SELayer, excitation
from seblock.functional import expect_maps, rescale, squeeze


def eca_kernel(channels: int) -> int:
    """k = |(log₂ C + 1) / 2|_odd, the nearest odd number, or the larger of two: ECA-Net, γ = 2, b = 1."""
    below = int((math.log2(channels) + 1) / 2)
    return below + 1 - below % 2


class ECA(nn.Module):
    """x̃ = s · u with s = σ(w ∗ z), ∗ over k neighbouring channels: (N, C, H, W) -> (N, C, H, W).

    kernel_size: k, odd; 0 is `eca_kernel(channels)`. Past the first and the last channel z counts as 0. State
    dict: `conv.weight`, (1, 1, k), the same k weights for all channels. Raises ValueError for an even k.
    """

    def __init__(self, channels: int, kernel_size: int = 0) -> None:
        super().__init__()
        k = kernel_size or eca_kernel(channels)
        if k % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        self.channels = channels
        self.conv = nn.Conv1d(1, 1, k, padding=k // 2, bias=False)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channels)
        z = squeeze(x)
        s = self.gate(self.conv(z[:, None])[:, 0])
        return rescale(x, s)


class EffectiveSE(nn.Module):
    """x̃ = s · u with s = σ(W z + b), one layer of C units: (N, C, H, W) -> (N, C, H, W).

    σ is the published code's hard sigmoid, min(max(a + 3, 0), 6) / 6. State dict: `fc.weight`, `fc.bias`.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.fc = nn.Linear(channels, channels)
        self.gate = nn.Hardsigmoid()

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channels)
        s = self.gate(self.fc(squeeze(x)))
        return rescale(x, s)


class CBAMChannel(nn.Module):
    """x̃ = s · u with s = σ(f(mean of u) + f(maximum of u)): (N, C, H, W) -> (N, C, H, W). CBAM, Eq. 2.

    f(z) = W₂ δ(W₁ z), the same for both. State dict: `fc.0.weight`, `fc.2.weight`, as `SELayer`. Raises
    ValueError if ⌊C / r⌋ is zero.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channels = channels
        self.fc = excitation(channels, reduction, bias=False)[:-1]
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channels)
        s = self.gate(self.fc(squeeze(x)) + self.fc(x.amax(dim=(2, 3))))
        return rescale(x, s)


def squeeze_channels(u: Tensor) -> Tensor:
    """The mean and the maximum over the channels at each position: (N, C, H, W) -> (N, 2, H, W)."""
    return torch.cat([u.mean(dim=1, keepdim=True), u.amax(dim=1, keepdim=True)], dim=1)


class CBAMSpatial(nn.Module):
    """x̃ = m · u with m = σ(f ∗ [mean; maximum over channels]), f 7×7: (N, C, H, W) -> (N, C, H, W).

    CBAM, Eq. 3. One factor a position, the same for all channels. BatchNorm follows f, as in the published
    code; the formula has none. State dict: `conv.weight`, (1, 2, k, k), and `norm.*`. Raises ValueError for
    an even kernel_size.
    """

    def __init__(self, channels: int, kernel_size: int = 7) -> None:
        super().__init__()
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {kernel_size}")
        self.channels = channels
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)
        self.norm = nn.BatchNorm2d(1)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channels)
        return x * self.gate(self.norm(self.conv(squeeze_channels(x))))


class CBAM(nn.Module):
    """`CBAMChannel`, then `CBAMSpatial`: (N, C, H, W) -> (N, C, H, W). Eq. 1.

    State dict: `channel.*`, `spatial.*`. Raises ValueError if ⌊C / r⌋ is zero.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.channels = channels
        self.channel = CBAMChannel(channels, reduction)
        self.spatial = CBAMSpatial(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.spatial(self.channel(x))


class CSE(SELayer):
    """Roy et al.'s name for the SE block, of r = 2: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__(channels, reduction)
        self.channels = channels


class SSE(nn.Module):
    """x̃(i, j) = σ(w · u(i, j)) u(i, j), one factor a position: (N, C, H, W) -> (N, C, H, W).

    w is a 1×1 convolution, so a position's factor depends on that position alone. State dict: `conv.weight`,
    (1, C, 1, 1).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.conv = nn.Conv2d(channels, 1, kernel_size=1, bias=False)
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channels)
        return x * self.gate(self.conv(x))


class SCSE(nn.Module):
    """cSE(u) + sSE(u): (N, C, H, W) -> (N, C, H, W). State dict: `cse.*`, `sse.*`."""

    def __init__(self, channels: int, reduction: int = 2) -> None:
        super().__init__()
        self.channels = channels
        self.cse = CSE(channels, reduction)
        self.sse = SSE(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.cse(x) + self.sse(x)


class GatherExcite(nn.Module):
    """x̃ = σ(I(G(u))) · u, G what each channel gathers around a place: (N, C, H, W) -> (N, C, H, W).

    extent: e; G has a value for every e×e positions, the mean of (2e − 1)×(2e − 1) around them, and I repeats
    it. 0 is the whole map. learned: G is log₂ e depthwise 3×3 convolutions of stride 2, each with BatchNorm,
    ReLU between them; e is 2, 4, 8 or alike then, and for the whole map, where one depthwise convolution is
    as large as the map, `size` (H, W) has to be given. Without `learned` there is no parameter. Raises
    ValueError if these do not go together, and for maps of another size.
    """

    def __init__(
        self, channels: int, extent: int = 0, learned: bool = False, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__()
        if extent < 0 or (learned and extent and (extent < 2 or extent & (extent - 1))):
            raise ValueError(f"extent must be 0 or, if learned, 2, 4, 8 or alike, got {extent}")
        if (size is not None) != (learned and not extent):
            raise ValueError("size is for what is learned of the whole map: extent = 0 and learned")
        self.channels, self.extent, self.size = channels, extent, size
        self.gather: nn.Module | None = None
        if size:
            whole = nn.Conv2d(channels, channels, size, groups=channels, bias=False)
            self.gather = nn.Sequential(whole, nn.BatchNorm2d(channels))
        elif learned:
            parts: list[nn.Module] = []
            for _ in range(extent.bit_length() - 1):
                conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels, bias=False)
                parts += [conv, nn.BatchNorm2d(channels), nn.ReLU()]
            self.gather = nn.Sequential(*parts[:-1])
        self.gate = nn.Sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channels)
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            if self.size and not isinstance(x, Proxy) and x.shape[2:] != self.size:
                raise ValueError(f"expected maps of {self.size}, got {tuple(x.shape[2:])}")
        e = self.extent
        if self.gather is not None:
            gathered = self.gather(x)
        elif e:
            gathered = F.avg_pool2d(x, 2 * e - 1, stride=e, padding=e - 1, count_include_pad=False)
        else:
            gathered = squeeze(x)[:, :, None, None]
        if e:
            gathered = F.interpolate(gathered, size=x.shape[2:])
        return x * self.gate(gathered)


class GlobalContext(nn.Module):
    """x̃(i, j) = u(i, j) + t, t = W₂ δ(LN(W₁ Σ α(i, j) u(i, j))), α = softmax(w · u): (N, C, H, W) -> same.

    A term is added, nothing is gated. The squeeze is a weighted mean whose weights the image chooses. State
    dict: `attend.*`, a 1×1 convolution to one map, and `fc.0.*`, `fc.1.*`, `fc.3.*`. W₂ starts at 0, as in
    the published code, so that nothing is added at first. Raises ValueError if ⌊C / r⌋ is zero.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        first, relu, second, _ = excitation(channels, reduction, bias=True)
        self.channels = channels
        self.attend = nn.Conv2d(channels, 1, kernel_size=1)
        self.fc = nn.Sequential(first, nn.LayerNorm(channels // reduction), relu, second)
        for parameter in second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channels)
        weights = self.attend(x).flatten(2).softmax(dim=2)
        context = (x.flatten(2) @ weights.transpose(1, 2))[:, :, 0]
        return x + self.fc(context)[:, :, None, None]


CHANNEL_GATES = (ECA, EffectiveSE, CBAMChannel, CSE)
"""Those that are x̃_c = s_c · u_c whatever their arguments; `GatherExcite` is if it gathers the whole map."""
OTHERS = (*CHANNEL_GATES, CBAMSpatial, CBAM, SSE, SCSE, GatherExcite, GlobalContext)
"""All of them."""


class Reordered(nn.Module):
    """A gate that meets the channels in another order; they leave in their own: (N, C, H, W) -> (N, C, H, W).

    order: the channel that stands at each place, (C,), each of 0..C − 1 once; else ValueError.
    """

    order: Tensor
    back: Tensor

    def __init__(self, gate: nn.Module, order: Tensor) -> None:
        super().__init__()
        if not torch.equal(order.sort().values, torch.arange(len(order))):
            raise ValueError(f"order must hold each of 0 to {len(order) - 1} once")
        self.gate = gate
        self.register_buffer("order", order.clone())
        self.register_buffer("back", order.argsort())

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(x[:, self.order])[:, self.back]
