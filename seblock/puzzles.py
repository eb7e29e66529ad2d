"""The painting puzzle, the *where* puzzle, scenes of digits, and the networks that solve them or cannot."""

from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seblock.functional import squeeze
from seblock.networks import Gate
from seblock.others import CBAMSpatial, squeeze_channels


class Puzzle(NamedTuple):
    """A batch of the painting puzzle."""

    x: Tensor
    """Inputs, (N, 3, 20, 20) in 0..1: a digit, another digit, the cue."""
    target: Tensor
    """The digit that the cue names, where it lies, (N, 1, 20, 20)."""
    other: Tensor
    """The digit that it does not name, (N, 1, 20, 20)."""
    cue: Tensor
    """0: vertical stripes name channel 1's digit. 1: horizontal stripes name channel 2's. (N,)."""
    named: Tensor
    """The class of the digit that the cue names, 0..9, (N,)."""
    unnamed: Tensor
    """The class of the other one, (N,)."""

    def painted(self, output: Tensor) -> Tensor:
        """Which pictures, (N, 1, 20, 20), are nearer to the named digit than to the other: (N,), bool."""
        return distance(output, self.target) < distance(output, self.other)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """The mean squared difference, image by image: twice (N, …) -> (N,)."""
    return (one - other).square().flatten(1).mean(dim=1)


def painting_puzzle(
    images: int, seed: int, part: Literal["train", "test"] = "train", side: int = 20
) -> Puzzle:
    """Two handwritten digits, and a patch of stripes in a far corner that names one of them.

    Channels 1 and 2 hold scikit-learn's 8×8 digits, of two different classes, somewhere in the upper
    left 13×13; channel 3 holds 4×4 stripes in the lower right corner, four steps or more from any pixel
    of a digit. part: "test" draws from the last 300 of the 1,797 digits, "train" from the others. side: of
    the image, 20 pixels or more; a seed draws the same digits and cues for every side, the corner is farther.
    Raises ValueError for another part or a smaller side.
    """
    if side < 20:
        raise ValueError(f"side must be at least 20, got {side}")
    pictures, labels = _read_digits(part)
    draw = torch.Generator().manual_seed(seed)

    x = torch.zeros(images, 3, side, side)
    stripes = torch.tensor([1.0, 0, 1, 0]).expand(4, 4)
    cue = torch.randint(2, (images,), generator=draw)
    classes = torch.zeros(images, 2, dtype=torch.long)
    for n in range(images):
        first = int(torch.randint(len(labels), (), generator=draw))
        others = (labels != labels[first]).nonzero().flatten()
        second = int(others[torch.randint(len(others), (), generator=draw)])
        classes[n] = labels[[first, second]]
        for channel, digit in enumerate((first, second)):
            top, left = torch.randint(6, (2,), generator=draw).tolist()
            x[n, channel, top : top + 8, left : left + 8] = pictures[digit]
        x[n, 2, -4:, -4:] = stripes.T if cue[n] else stripes
    row = torch.arange(images)
    targets = x[row, cue][:, None], x[row, 1 - cue][:, None]
    return Puzzle(x, *targets, cue, classes[row, cue], classes[row, 1 - cue])


class Where(NamedTuple):
    """A batch of the *where* puzzle."""

    x: Tensor
    """Inputs, (N, 2, 20, 28) in 0..1: a digit twice, the bars."""
    target: Tensor
    """The digit between the bars, (N, 1, 20, 28)."""
    other: Tensor
    """The same digit at its other place, (N, 1, 20, 28)."""
    marked: Tensor
    """0: the left digit is between the bars. 1: the right one. (N,)."""
    corners: Tensor
    """The upper left pixel of both digits, left and right: row and column, (N, 2, 2)."""

    def painted(self, output: Tensor) -> Tensor:
        """Which pictures, (N, 1, 20, 28), are nearer to the marked digit than to both in grey: (N,), bool."""
        return distance(output, self.target) < distance(output, (self.target + self.other) / 2)

    def boxes(self, picture: Tensor) -> Tensor:
        """The 8×8 pixels of both digits' places: (N, C, 20, 28) -> (N, 2, C, 8, 8)."""
        cut = [
            torch.stack([image[:, i : i + 8, j : j + 8] for i, j in pair])
            for image, pair in zip(picture, self.corners.tolist(), strict=True)
        ]
        return torch.stack(cut)


GAP = 4
"""Steps between a digit's 8×8 and the nearest bar: three layers of 3×3 see three."""


def where_puzzle(images: int, seed: int, part: Literal["train", "test"] = "train") -> Where:
    """The same handwritten digit twice, and two bars, above and below one of them, that say which is meant.

    Channel 1 holds the digit, 8×8, in the left and in the right half; channel 2 holds the bars, 1×8, four
    steps above and below the one that is marked, and as far or farther from the other. Two pixels or more lie
    between a digit and the border, so that padding tells it nothing. part: "test" draws from the last 300
    digits of scikit-learn's, "train" from the others. Raises ValueError for another part.
    """
    pictures, _ = _read_digits(part)
    draw = torch.Generator().manual_seed(seed)
    x = torch.zeros(images, 2, 20, 28)
    both = torch.zeros(2, images, 1, 20, 28)
    marked = torch.randint(2, (images,), generator=draw)
    chosen = torch.randint(len(pictures), (images,), generator=draw)
    corners = torch.stack(
        [
            torch.randint(4, 9, (images, 2), generator=draw),
            torch.tensor([2, 16]) + torch.randint(3, (images, 2), generator=draw),
        ],
        dim=2,
    )
    for n in range(images):
        for place in range(2):
            i, j = corners[n, place].tolist()
            both[place, n, 0, i : i + 8, j : j + 8] = pictures[chosen[n]]
            if place == marked[n]:
                x[n, 1, [i - GAP, i + 7 + GAP], j : j + 8] = 1
    x[:, :1] = both.sum(dim=0)
    row = torch.arange(images)
    return Where(x, both[marked, row], both[1 - marked, row], marked, corners)


class Scenes(NamedTuple):
    """A batch of pictures to be segmented."""

    x: Tensor
    """Digits and scrambled digits in noise, (N, 1, 32, 32)."""
    ink: Tensor
    """1 where a digit's ink is, 0 elsewhere, (N, 1, 32, 32)."""

    def overlap(self, output: Tensor) -> Tensor:
        """Intersection over union of the ink and of what is positive in (N, 1, 32, 32): a scalar."""
        told, ink = output > 0, self.ink > 0
        return (told & ink).sum() / (told | ink).sum()


def scenes(images: int, seed: int, part: Literal["train", "test"] = "train") -> Scenes:
    """Four shapes of 8×8, one somewhere in each quarter, bright or less so, and noise over all.

    A shape is a handwritten digit or, as often, one whose pixels are in another order. Ink is where a digit
    is darker than one half; that of a scrambled one does not count. part: "test" draws from the last 300 of
    scikit-learn's digits, "train" from the others. Raises ValueError for another part.
    """
    pictures, _ = _read_digits(part)
    draw = torch.Generator().manual_seed(seed)
    shapes = pictures[torch.randint(len(pictures), (images, 4), generator=draw)].flatten(2)
    orders = torch.rand(images, 4, 64, generator=draw).argsort(dim=2)
    whole = torch.rand(images, 4, 1, generator=draw) < 0.5
    shapes = torch.where(whole, shapes, shapes.gather(2, orders)).view(images, 4, 8, 8)
    corners = torch.randint(9, (images, 4, 2), generator=draw)
    corners += torch.tensor([[0, 0], [0, 16], [16, 0], [16, 16]])
    brightness = 0.5 + 0.5 * torch.rand(images, 4, generator=draw)
    x, ink = 0.2 * torch.randn(images, 1, 32, 32, generator=draw), torch.zeros(images, 1, 32, 32)
    for n in range(images):
        for k, (i, j) in enumerate(corners[n].tolist()):
            box = n, 0, slice(i, i + 8), slice(j, j + 8)
            x[box] += brightness[n, k] * shapes[n, k]
            ink[box] = ((shapes[n, k] > 0.5) & whole[n, k]).float()
    return Scenes(x, ink)


def _read_digits(part: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
    """scikit-learn's handwritten digits of one part, (n, 8, 8) in 0..1, and their classes, (n,)."""
    if part not in ("train", "test"):
        raise ValueError(f'part must be "train" or "test", got {part!r}')
    from sklearn.datasets import load_digits

    digits = load_digits()
    chosen = slice(-300, None) if part == "test" else slice(None, -300)
    return torch.from_numpy(digits.images[chosen]).float() / 16, torch.from_numpy(digits.target[chosen])


class AddedTerm(nn.Module):
    """x + f(z), z the means of x's channels, f two Linear layers: what SE multiplies with, added instead."""

    def __init__(self, channels: int, reduction: int = 4) -> None:
        super().__init__()
        hidden = channels // reduction
        self.f = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(squeeze(x))[:, :, None, None]


class AddedMap(nn.Module):
    """x + m, m = f ∗ [mean; maximum over channels], f 7×7: what `CBAMSpatial` multiplies with, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        spatial = CBAMSpatial(channels)
        self.f = nn.Sequential(spatial.conv, spatial.norm)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.f(squeeze_channels(x))


class Coordinates(nn.Module):
    """Two channels more, the row and the column, from −1 to 1: (N, C, H, W) -> (N, C + 2, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        rows, columns = torch.linspace(-1, 1, height).to(x), torch.linspace(-1, 1, width).to(x)
        places = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))
        return torch.cat([x, places.expand(len(x), -1, -1, -1)], dim=1)


def build_layers(gate: Gate, width: int, dilations: Sequence[int], inputs: int = 3) -> list[nn.Module]:
    """For each dilation: convolution 3×3, BatchNorm, ReLU, gate. (N, inputs, H, W) -> (N, width, H, W)."""
    stack: list[nn.Module] = []
    for d in dilations:
        conv = nn.Conv2d(inputs, width, kernel_size=3, padding=d, dilation=d, bias=False)
        stack += [conv, nn.BatchNorm2d(width), nn.ReLU(), gate(width)]
        inputs = width
    return stack


def painter(
    gate: Gate = nn.Identity, width: int = 24, dilations: Sequence[int] = (1, 1, 1), inputs: int = 3
) -> nn.Sequential:
    """The network of the painting puzzle: (N, 3, 20, 20) -> (N, 1, 20, 20).

    With inputs = 2 it is the *where* puzzle's, (N, 2, 20, 28) -> (N, 1, 20, 28).
    For each dilation a convolution 3×3, BatchNorm, ReLU, gate; then a 1×1 convolution that paints. Dilations
    (1, 1, 1) see 7×7 pixels, (4, 4, 8) see 33×33 with as many parameters.
    """
    return nn.Sequential(*build_layers(gate, width, dilations, inputs), nn.Conv2d(width, 1, kernel_size=1))


def reader(gate: Gate = nn.Identity, hidden: int = 0, width: int = 24) -> nn.Sequential:
    """The same layers, and classes instead of a picture: (N, 3, H, W) -> (N, 10).

    The mean over the positions, then one Linear layer, or, with `hidden` units, Linear, BatchNorm, ReLU,
    Linear.
    """
    head: list[nn.Module] = [nn.Linear(width, 10)]
    if hidden:
        head = [nn.Linear(width, hidden), nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, 10)]
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*build_layers(gate, width, (1, 1, 1)), *pool, *head)


PLACES = ("encoder", "decoder", "skips")
"""Where a small U-Net may have gates."""


class UNet(nn.Module):
    """A small U-Net, two poolings down and two steps up: (N, 1, H, W) -> (N, 1, H, W), sides multiples of 4.

    A stage is two layers of convolution 3×3, BatchNorm and ReLU. places: "encoder", a gate at the end of each
    of its three stages, before the skip connection leaves; "decoder", at the end of each of its two; "skips",
    on the two skip connections alone. Raises ValueError for another place.
    """

    def __init__(self, gate: Gate, places: Collection[str] = (), width: int = 8) -> None:
        super().__init__()
        if unknown := set(places) - set(PLACES):
            raise ValueError(f"places must be among {PLACES}, got {sorted(unknown)}")
        gates = {place: gate if place in places else nn.Identity for place in PLACES}

        def stage(inputs: int, width: int, place: str) -> nn.Sequential:
            plain = build_layers(nn.Identity, width, (1,), inputs)
            return nn.Sequential(*plain, *build_layers(gates[place], width, (1,), width))

        self.down = nn.ModuleList(
            [
                stage(1, width, "encoder"),
                stage(width, 2 * width, "encoder"),
                stage(2 * width, 4 * width, "encoder"),
            ]
        )
        self.skips = nn.ModuleList([gates["skips"](width), gates["skips"](2 * width)])
        self.up = nn.ModuleList([stage(3 * width, width, "decoder"), stage(6 * width, 2 * width, "decoder")])
        self.paint = nn.Conv2d(width, 1, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        first = self.down[0](x)
        second = self.down[1](F.max_pool2d(first, 2))
        h = self.down[2](F.max_pool2d(second, 2))
        h = self.up[1](torch.cat([F.interpolate(h, scale_factor=2.0), self.skips[1](second)], dim=1))
        h = self.up[0](torch.cat([F.interpolate(h, scale_factor=2.0), self.skips[0](first)], dim=1))
        scores: Tensor = self.paint(h)
        return scores
