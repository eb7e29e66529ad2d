"""A text scanner's network: is a line of text upright, or turned by 180°?

It is `ch_ppocr_mobile_v2.0_cls` of PaddleOCR, a MobileNetV3-small of 0.35 times the width with nine SE
blocks, written anew. The weights are the PaddleOCR authors' (Apache License 2.0), as
`trained/scanner_NOTICE.txt` says; `tools/scanner.py` converts them.

Source of the architecture: Howard et al., *Searching for MobileNetV3*, arXiv 1905.02244.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from seblock import trained
from seblock.blocks import SqEx
from seblock.lines import HEIGHT, WIDTH

UPRIGHT, TURNED = 0, 1
"""The network's two answers."""


class HardSigmoid(nn.Module):
    """σ made of three straight lines, min(max(a / 5 + 1/2, 0), 1): any shape. PyTorch's own divides by 6."""

    def forward(self, a: Tensor) -> Tensor:
        return (a / 5 + 0.5).clamp(0, 1)


class Gate(SqEx):
    """The block `SqEx` with r = 4 and the hard sigmoid: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, reduction=4)
        self.add_module("nonlin2", HardSigmoid())  # in the place of the sigmoid


def convolution(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int | tuple[int, int] = 1,
    groups: int = 1,
    activation: Callable[[], nn.Module] = nn.Identity,
) -> nn.Sequential:
    """A convolution without bias, a BatchNorm and an activation: (N, C', H, W) -> (N, C, H', W')."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        activation(),
    )


class InvertedResidual(nn.Module):
    """MobileNetV3's block: more channels, a look around in each of them, the gate, fewer channels.

    (N, inputs, H, W) -> (N, outputs, H', W'). width: the channels in between, which are gated. The input is
    added to the result where both have the same shape.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        width: int,
        kernel: int,
        stride: int | tuple[int, int],
        activation: Callable[[], nn.Module],
        gated: bool,
    ) -> None:
        super().__init__()
        self.expand = convolution(inputs, width, activation=activation)
        self.depthwise = convolution(width, width, kernel, stride, groups=width, activation=activation)
        self.gate = Gate(width) if gated else nn.Identity()
        self.project = convolution(width, outputs)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        u = self.depthwise(self.expand(x))
        y = self.project(self.gate(u))
        return x + y if self.residual else y


DOWN = (2, 1)
"""The stride that halves the height and keeps the width: what is written next to each other stays apart."""

BLOCKS: tuple[tuple[int, int, int, int | tuple[int, int], type[nn.Module], bool], ...] = (
    (8, 8, 3, DOWN, nn.ReLU, True),
    (8, 24, 3, DOWN, nn.ReLU, False),
    (8, 32, 3, 1, nn.ReLU, False),
    (16, 32, 5, DOWN, nn.Hardswish, True),
    (16, 88, 5, 1, nn.Hardswish, True),
    (16, 88, 5, 1, nn.Hardswish, True),
    (16, 40, 5, 1, nn.Hardswish, True),
    (16, 48, 5, 1, nn.Hardswish, True),
    (32, 104, 5, DOWN, nn.Hardswish, True),
    (32, 200, 5, 1, nn.Hardswish, True),
    (32, 200, 5, 1, nn.Hardswish, True),
)
"""Of each inverted residual: outputs, width, kernel, stride, activation, with a gate or without."""


class TextDirection(nn.Module):
    """Two logits, upright and turned, for lines that `pack` has packed: (N, 3, 48, W) -> (N, 2).

    W was 192 in training. The gates of its nine SE blocks, first to last, are those of `gate_names`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = convolution(3, 8, kernel=3, stride=2, activation=nn.Hardswish)
        self.blocks = nn.Sequential()
        inputs = 8
        for outputs, width, kernel, stride, activation, gated in BLOCKS:
            self.blocks.append(InvertedResidual(inputs, outputs, width, kernel, stride, activation, gated))
            inputs = outputs
        self.last = convolution(inputs, 200, activation=nn.Hardswish)
        self.pool = nn.MaxPool2d(2)
        self.classify = nn.Linear(200, 2)

    def forward(self, x: Tensor) -> Tensor:
        maps = self.pool(self.last(self.blocks(self.stem(x))))
        return self.classify(maps.mean(dim=(2, 3)))


def gate_names() -> list[str]:
    """The names of the nine gates in the network, from the first to the last."""
    return [f"blocks.{i}.gate" for i, (*_, gated) in enumerate(BLOCKS) if gated]


def load() -> TextDirection:
    """The network with PaddleOCR's weights, in evaluation mode, no gradients."""
    return trained.load(TextDirection(), "scanner").requires_grad_(False)


def pack(images: Sequence[Tensor], width: int = WIDTH) -> Tensor:
    """Images, (3, 48, w) in 0..1, as the network wants them: (N, 3, 48, width).

    Blue, green, red from −1 to 1; to the right of each image zeros, which is grey. Raises ValueError if an
    image is wider, or not 48 high.
    """
    x = torch.zeros(len(images), 3, HEIGHT, width)
    for row, image in zip(x, images, strict=True):
        if image.shape[1] != HEIGHT or image.shape[2] > width:
            raise ValueError(f"expected at most 48 × {width} pixels, got {tuple(image.shape[1:])}")
        row[:, :, : image.shape[2]] = 2 * image.flip(0) - 1
    return x


def answer(network: nn.Module, x: Tensor) -> Tensor:
    """The probability that each line is turned, (N, 3, 48, W) -> (N,), fifty lines at a time."""
    with torch.inference_mode():
        return torch.cat([network(part) for part in x.split(50)]).softmax(1)[:, TURNED]


def is_right(network: nn.Module, x: Tensor) -> Tensor:
    """Whether each line's direction is found: (2N, 3, 48, W), upright lines first -> (2, N) of 0 and 1."""
    turned = (answer(network, x) > 0.5).view(2, -1)
    return torch.stack([~turned[0], turned[1]]).double()


def difference(right: Tensor, own: Tensor) -> tuple[float, float]:
    """How many points more lines are right than with the own gates, and half its 95 % interval.

    right, own: (2, N) each, of the same lines. A line counts once, with its two directions together, and is
    compared with itself: mean and 1.96 standard errors of N differences.
    """
    change = 100 * (right - own).mean(0)
    return float(change.mean()), float(1.96 * change.std() / len(change) ** 0.5)


def rows(kind: str, contrast: float | None = None) -> dict[str, trained.Row]:
    """The rows of `trained/scanner.csv` for lines of that kind, by the gates that they were asked with.

    contrast: of the lines; without it a kind that has several gets the contrast into the names.
    """
    found = [row for row in trained.table("scanner") if row["lines"] == kind]
    if contrast is not None:
        found = [row for row in found if row["contrast"] == contrast]
    several = len({str(row["contrast"]) for row in found}) > 1
    return {f"{row['gates']}, {row['contrast']:g}" if several else str(row["gates"]): row for row in found}
