"""Residual networks that take any channel gate at any placement.

A gate is a callable from a number of channels to a module that keeps the shape (N, C, H, W):
`SELayer`, `SqEx`, `small_se`, or `nn.Identity` for none.
Sources: He et al., arXiv 1512.03385; the placements are Hu et al., arXiv 1709.01507, Section 6.5.
"""

import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

from seblock.blocks import ConstantGate, MaxSqueeze, NoSqueeze, SELayer
from seblock.functional import expect_maps
from seblock.moved import hand_on

Gate = Callable[[int], nn.Module]
Placement = Literal["standard", "PRE", "POST", "Identity"]
PLACEMENTS: tuple[Placement, ...] = get_args(Placement)


def small_reduction(channels: int) -> int:
    """r = 16, or less where fewer than four hidden units would be left."""
    return max(1, min(16, channels // 4))


def small_se(channels: int) -> SELayer:
    """An SELayer with `small_reduction`."""
    return SELayer(channels, small_reduction(channels))


def convolution(inputs: int, outputs: int, kernel_size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without biases that keeps the size at stride 1, initialised after He et al."""
    layer = nn.Conv2d(inputs, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return layer


class ResidualBlock(nn.Module):
    """x -> ReLU(branch(x) + shortcut(x)), with a gate at one of four places.

    (N, channels[0], H, W) -> (N, channels[1], H', W'). Placements (paper, Fig. 5):
    standard: on the branch, before the addition. PRE: on what enters the branch.
    POST: after the addition and its ReLU. Identity: on the shortcut. Raises ValueError for another.
    """

    def __init__(
        self,
        branch: nn.Module,
        shortcut: nn.Module,
        channels: tuple[int, int],
        gate: Gate = nn.Identity,
        placement: Placement = "standard",
    ) -> None:
        super().__init__()
        if placement not in PLACEMENTS:
            raise ValueError(f"placement must be one of {PLACEMENTS}, got {placement!r}")
        self.branch = branch
        self.shortcut = shortcut
        inputs, outputs = channels
        self.gates = nn.ModuleDict({place: nn.Identity() for place in PLACEMENTS})
        self.gates[placement] = gate(inputs if placement == "PRE" else outputs)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        y = self.gates["standard"](self.branch(self.gates["PRE"](x)))
        y = self.relu(y + self.gates["Identity"](self.shortcut(x)))
        return self.gates["POST"](y)


class PaddedShortcut(nn.Module):
    """Every second position, zeros for the new channels: (N, C, H, W) -> (N, C', ⌈H/2⌉, ⌈W/2⌉).

    The shortcut without parameters, option A of He et al.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.new = outputs - inputs

    def forward(self, x: Tensor) -> Tensor:
        below = self.new // 2
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, below, self.new - below))


class ResNet(nn.Module):
    """stem, stages of residual blocks, mean over the positions, linear: (N, 3, H, W) -> (N, classes)."""

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Module], channels: int, classes: int) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classify = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, channels=3)
        return self.classify(self.pool(self.stages(self.stem(x))).flatten(1))


STAGE_CHANNELS = (16, 32, 64)
"""Channels in the three stages of a CIFAR ResNet."""


def cifar_resnet(
    depth: int, gate: Gate = nn.Identity, placement: Placement = "standard", classes: int = 10
) -> ResNet:
    """The CIFAR ResNet of He et al., Section 4.2: (N, 3, 32, 32) -> (N, classes).

    depth: 20, 32, 56, 110 or another 6n + 2. Stages of 16, 32 and 64 channels; shortcuts without
    parameters. Raises ValueError for another depth or an unknown placement.
    """
    blocks, rest = divmod(depth - 2, 6)
    if blocks < 1 or rest:
        raise ValueError(f"depth must be 6n + 2, such as 20, 32, 56 or 110, got {depth}")

    def block(inputs: int, outputs: int) -> ResidualBlock:
        narrows = inputs != outputs
        branch = nn.Sequential(
            convolution(inputs, outputs, 3, stride=2 if narrows else 1),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            convolution(outputs, outputs, 3),
            nn.BatchNorm2d(outputs),
        )
        shortcut = PaddedShortcut(inputs, outputs) if narrows else nn.Identity()
        return ResidualBlock(branch, shortcut, (inputs, outputs), gate, placement)

    stem = nn.Sequential(convolution(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
    stages = [
        nn.Sequential(block(inputs, outputs), *(block(outputs, outputs) for _ in range(blocks - 1)))
        for inputs, outputs in zip((16, *STAGE_CHANNELS), STAGE_CHANNELS, strict=False)
    ]
    return ResNet(stem, stages, 64, classes)


def changed_se(
    channels: int,
    squeeze: type[nn.Module] | None = None,
    last: type[nn.Module] | None = None,
    reduction: int | None = None,
) -> SELayer:
    """An SELayer with another squeeze, or another function in the sigmoid's place.

    reduction: r, `small_reduction` if not given.
    """
    gate = SELayer(channels, reduction or small_reduction(channels))
    if squeeze:
        gate.avg_pool = squeeze()
    if last:
        gate.fc[-1] = last()
    return gate


def small_no_squeeze(channels: int) -> NoSqueeze:
    """A NoSqueeze with `small_reduction`."""
    return NoSqueeze(channels, small_reduction(channels))


CHANGES: dict[str, Gate] = {
    "max": partial(changed_se, squeeze=MaxSqueeze),
    "tanh": partial(changed_se, last=nn.Tanh),
    "relu": partial(changed_se, last=nn.ReLU),
    "hardsigmoid": partial(changed_se, last=nn.Hardsigmoid),
    "nosqueeze": small_no_squeeze,
}
"""What the last part of a network's name can put in place of `small_se`: the paper's Tables 11, 12 and 16."""

PLACES: dict[str, Placement] = {"pre": "PRE", "post": "POST", "identity": "Identity"}
"""What it can say of the gates' placement: Table 14."""


def build(name: str, classes: int = 10) -> ResNet:
    """Build a CIFAR ResNet by its name: "resnet20", "se_resnet56" with `small_se`, "constant_resnet20".

    A word after the depth of an SE network changes one thing: "_r2" is r = 2 in all blocks, "_stage1" has
    gates in the first stage alone, the others are in `CHANGES` and `PLACES`. Raises ValueError for a name
    that is not of this form, or a depth that is not 6n + 2.
    """
    parts = re.fullmatch(r"(?:(se|constant)_)?resnet(\d+)(?:_([a-z]+)(\d*))?", name)
    kind, depth, word, number = parts.groups() if parts else (None, "", "", "")
    kinds: dict[str | None, Gate] = {None: nn.Identity, "se": small_se, "constant": ConstantGate}
    gate = kinds[kind]
    placement: Placement = "standard"
    known = parts is not None and (not word or kind == "se")
    if word == "r" and number:
        gate = partial(SELayer, reduction=int(number))
    elif word == "stage" and number in ("1", "2", "3"):
        gate = partial(_se_of, only=STAGE_CHANNELS[int(number) - 1])
    elif word and not number and word in CHANGES:
        gate = CHANGES[word]
    elif word and not number and word in PLACES:
        placement = PLACES[word]
    elif word:
        known = False
    if not known:
        raise ValueError(
            'network must be "resnet20", "constant_resnet20", "se_resnet20", "se_resnet20_r2", '
            f'"se_resnet20_max" or alike, got {name!r}'
        )
    return cifar_resnet(int(depth), gate, placement, classes)


def _se_of(channels: int, only: int) -> nn.Module:
    """A `small_se` where there are so many channels, elsewhere nothing."""
    return small_se(channels) if channels == only else nn.Identity()


def describe_gate(name: str) -> str:
    """Say where a gate of a residual network stands: "stages.0.1.gates.standard" is "stage 1, block 2".

    Another placement is added, as in "stage 1, block 2, PRE"; "stages.0" is "stage 1". Any other name is
    given back as it is.
    """
    parts = re.fullmatch(r"stages\.(\d+)(?:\.(\d+)(?:\.gates\.(\w+))?)?", name)
    if not parts:
        return name
    stage, block, placement = parts.groups()
    words = [f"stage {int(stage) + 1}"]
    if block:
        words.append(f"block {int(block) + 1}")
    if placement and placement != "standard":
        words.append(placement)
    return ", ".join(words)


IMAGENET_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Residual blocks in each of the four stages, by depth (He et al., Table 1)."""

IMAGENET_CHANNELS = (256, 512, 1024, 2048)
"""Channels that each of the four stages puts out."""


def imagenet_resnet(
    depth: int, gate: Gate = nn.Identity, placement: Placement = "standard", classes: int = 1000
) -> ResNet:
    """The ImageNet ResNet of He et al., Table 1: (N, 3, 224, 224) -> (N, classes).

    depth: 50, 101 or 152. Bottlenecks of version 1: the stride is in the first 1×1 convolution.
    Raises ValueError for another depth or an unknown placement.
    """
    if depth not in IMAGENET_BLOCKS:
        raise ValueError(f"depth must be one of {tuple(IMAGENET_BLOCKS)}, got {depth}")

    def block(inputs: int, outputs: int, stride: int) -> ResidualBlock:
        width = outputs // 4
        branch = nn.Sequential(
            convolution(inputs, width, 1, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            convolution(width, width, 3),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            convolution(width, outputs, 1),
            nn.BatchNorm2d(outputs),
        )
        shortcut: nn.Module = nn.Identity()
        if inputs != outputs:
            shortcut = nn.Sequential(convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        return ResidualBlock(branch, shortcut, (inputs, outputs), gate, placement)

    stem = nn.Sequential(
        convolution(3, 64, 7, stride=2),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
    stages, inputs = [], 64
    for outputs, blocks in zip(IMAGENET_CHANNELS, IMAGENET_BLOCKS[depth], strict=True):
        first = block(inputs, outputs, stride=1 if inputs == 64 else 2)
        others = (block(outputs, outputs, stride=1) for _ in range(blocks - 1))
        stages.append(nn.Sequential(first, *others))
        inputs = outputs
    return ResNet(stem, stages, inputs, classes)


__getattr__ = hand_on(
    __name__,
    {
        "named": "seblock.networks.build",
        "AddedTerm": "seblock.puzzles.AddedTerm",
        "layers": "seblock.puzzles.build_layers",
        "painter": "seblock.puzzles.painter",
        "reader": "seblock.puzzles.reader",
    },
)
