"""Two sheets of A4 paper: the block on one page for the wall, and a form for the lesson without computers."""

from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.style
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import FigureCanvasPdf
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from seblock import cost, networks, paper
from seblock.blocks import SELayer, SqEx
from seblock.plots.block import INK, draw_block
from seblock.plots.toolkit import STYLE, Picture, styled

A4 = 8.27, 11.69
"""Inches, upright."""
PAPER = {
    "svg.fonttype": "path",  # letters as outlines: no reader needs the font
    "svg.hashsalt": "seblock",  # the same file from every run
    "pdf.fonttype": 42,
}
SMALLEST = 9.5
"""Points; what is read at arm's length."""
RULE = "#999999"

CODE = """
class Block(nn.Module):
    def __init__(self, channels, r=16):
        super().__init__()
        self.linear1 = nn.Linear(channels, channels // r)  # W₁, and a bias
        self.linear2 = nn.Linear(channels // r, channels)  # W₂, and a bias

    def forward(self, u):                                  # (N, C, H, W)
        z = u.mean(dim=(2, 3))                             # (N, C)
        h = F.relu(self.linear1(z))                        # (N, C/r)
        s = torch.sigmoid(self.linear2(h))                 # (N, C)
        return u * s[:, :, None, None]                     # (N, C, H, W)
""".strip()
"""The whole block, as the sheet prints it; a test runs it beside `SqEx`."""

STEPS = (
    (
        "squeeze",
        r"$z_c = \dfrac{1}{H \, W} \sum_{i,j} u_c(i, j)$",
        "(N, C, H, W) → (N, C)",
        "weights: none",
        "C·H·W additions",
        "The mean of each map: how much\nof a feature there is, not where.",
    ),
    (
        "excite",
        r"$\mathbf{s} = \sigma(\mathbf{W}_2 \, \delta(\mathbf{W}_1 \mathbf{z}))$",
        "(N, C) → (N, C/r) → (N, C)",
        "weights: 2C²/r",
        "2C²/r multiply-adds",
        "Every gate looks at every channel.\nδ: ReLU. σ: sigmoid, 0 to 1.",
    ),
    (
        "rescale",
        r"$\widetilde{\mathbf{x}}_c = s_c \cdot \mathbf{u}_c$",
        "(N, C, H, W) → (N, C, H, W)",
        "weights: none",
        "C·H·W multiplications",
        "One factor for a whole map.\n1 means: left as it is.",
    ),
)
"""For each step its name, formula, shapes, weights, operations for one image, and what it does."""

RED_MAP = torch.tensor([[4.0, 4, 1, 0], [4, 4, 1, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
"""The unplugged lesson's map "red": a wooden wall in the upper left."""
BLUE_MAP = torch.tensor([[2.0, 2, 2, 2], [1, 0, 0, 1], [1, 0, 0, 1], [1, 1, 1, 1]])
"""Its map "blue" by day."""
LAMP = torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 5], [0, 0, 5, 6]])
"""What a blue lamp in the lower right corner adds to it."""


def gate_of_red(z_red: float, z_blue: float) -> float:
    """The gate that the class plays: one half, less half of what blue is ahead, and never below 0.

    It is the hard sigmoid of notebook 11 with other weights, so that it can be computed in the head.
    """
    h = max(0.0, z_blue - z_red)
    return max(0.0, 0.5 - h / 2)


def costs(channels: int = 256, side: int = 56, reduction: int = 16) -> dict[str, int]:
    """What one block costs: its weights, with biases, and for one image its operations."""
    with torch.device("meta"):
        gate = SELayer(channels, reduction)
        parameters = cost.parameters(SqEx(channels, reduction))
    counted = cost.operations(gate, (1, channels, side, side))
    return {
        "weights": cost.parameters(gate),
        "biases": parameters - cost.parameters(gate),
        "multiply-adds": counted.layers,
        "rescale": counted.rescales,
    }


@cache
def of_resnet(depth: int = 50) -> tuple[int, float, float]:
    """What SE adds to a ResNet at r = 16: weights (Eq. 5), and the shares of parameters and operations."""
    with torch.device("meta"):
        plain, with_se = networks.imagenet_resnet(depth), networks.imagenet_resnet(depth, gate=SqEx)
    photo = (1, 3, 224, 224)
    stages = list(zip(networks.IMAGENET_BLOCKS[depth], networks.IMAGENET_CHANNELS, strict=True))
    return (
        cost.se_parameters(stages, 16),
        cost.parameters(with_se) / cost.parameters(plain) - 1,
        cost.operations(with_se, photo).total / cost.operations(plain, photo).total - 1,
    )


def page() -> tuple[Figure, Axes]:
    """An upright sheet and axes over all of it, in millimetres from its upper left corner."""
    figure = Figure(figsize=A4, dpi=150)
    ax = figure.add_axes((0, 0, 1, 1))
    ax.set(xlim=(0, 210), ylim=(297, 0))
    ax.set_axis_off()
    return figure, ax


def write(ax: Axes, x: float, y: float, text: str, size: float = SMALLEST, **options: Any) -> None:
    """Text whose upper left corner is at x, y."""
    look = {"va": "top", "linespacing": 1.35, **options}
    ax.text(x, y, text, fontsize=size, color=INK, **look)


def heading(ax: Axes, y: float, text: str, left: float = 15, width: float = 180) -> None:
    """A heading with a rule above it."""
    ax.plot([left, left + width], [y, y], color=RULE, lw=0.8)
    write(ax, left, y + 6, text, 13, weight="bold", va="baseline")


@styled
def sheet() -> Picture:
    """The block on one sheet: picture, formulas, shapes, code, costs, and what to keep in mind."""
    figure, ax = page()
    write(ax, 15, 12, "The squeeze-and-excitation block", 21, weight="bold")
    write(
        ax, 15, 22.5, "It lets a network decide, for each image, how much each of its channels counts.", 11.5
    )
    width = 176 / 210
    drawn = figure.add_axes((17 / 210, 1 - 108 / 297, width, width * A4[0] * 60 / 128 / A4[1]))
    draw_block(drawn, width * A4[0] / 12.8)
    for k, (name, formula, shapes, weights, operations, does) in enumerate(STEPS):
        x = 15 + 61.5 * k
        heading(ax, 112, name, x, 57)
        ax.text(x, 126.5, formula, fontsize=12.5, color=INK, va="center")
        write(ax, x, 134, f"{shapes}\n{weights}\n{operations}")
        write(ax, x, 150.5, does)
    heading(ax, 164, "In PyTorch")
    write(ax, 15, 173, CODE, family="monospace")
    heading(ax, 226, "What it costs")
    one, (added, share, of_operations) = costs(), of_resnet()
    few, more = paper.TABLE_2_GFLOPS[50]
    write(
        ax,
        15,
        234.5,
        f"One block with C = 256 and r = 16 on maps of 56 × 56: {one['weights']:,} weights"
        f" and {one['biases']} biases. For one image\n"
        f"{one['multiply-adds']:,} multiply-adds in the excitation and {one['rescale']:,} multiplications"
        " in the rescale.\n"
        f"ResNet-50 with a block in each of its 16 branches: {added:,} weights more. With biases that is\n"
        f"{100 * share:.1f} % of its parameters, and {100 * of_operations:.2f} % of its operations"
        f" (the paper, Table 2: {few} → {more} GFLOPs).",
    )
    heading(ax, 256, "Keep in mind")
    standard, post = paper.TABLE_14["standard"], paper.TABLE_14["POST"]
    write(
        ax,
        15,
        264.5,
        "The gates differ from image to image. In a fresh block they are near ½.\n"
        "Several gates may be open at once: that is why it is σ, not softmax.\n"
        "Write s[:, :, None, None]. u * s alone multiplies the wrong axes, without an error if"
        " the sizes agree.\n"
        "In a ResNet: at the end of the branch, before the addition. Top-1 error on ImageNet there"
        f" {standard:.2f} %,\n"
        f"after the addition {post:.2f} %, without SE {paper.ABLATION_BASELINE:.2f} % (the paper, Table 14).",
    )
    alt = (
        "One sheet: the picture of the block, its three steps with formulas, shapes and costs, the block in "
        f"PyTorch, what it adds to ResNet-50 ({added:,} weights) and what to keep in mind."
    )
    return Picture(figure, alt)


def grid(ax: Axes, left: float, top: float, title: str, values: torch.Tensor | None) -> None:
    """A map of 4 × 4 squares, 11 mm each, with its numbers or to be filled in."""
    write(ax, left, top - 6.5, title, 11, weight="bold")
    for i in range(4):
        for j in range(4):
            x, y = left + 11 * j, top + 11 * i
            ax.add_patch(Rectangle((x, y), 11, 11, fill=False, ec=INK, lw=1))
            if values is not None:
                number = f"{values[i, j]:g}"
                ax.text(x + 5.5, y + 5.5, number, fontsize=15, ha="center", va="center", color=INK)


@styled
def unplugged() -> Picture:
    """The form for the lesson without computers: the students are pixels, and one of them is the gate."""
    figure, ax = page()
    write(ax, 15, 12, "You are the block", 21, weight="bold")
    write(
        ax,
        15,
        23,
        "Sixteen people are the pixels of a photo, in four rows of four. Each has a number in the\n"
        "map “red” and one in “blue”. A red wooden wall stands in the upper left. In the evening\n"
        "a blue lamp goes on in the lower right corner.",
        11,
    )
    grid(ax, 15, 51, "red", RED_MAP)
    grid(ax, 83, 51, "blue, by day", BLUE_MAP)
    grid(ax, 151, 51, "blue, lamp on", BLUE_MAP + LAMP)
    steps = (
        ("1  Look around.", "You see your own square and those around it. Who sees the lamp go on?"),
        ("2  Squeeze.", "Add up each map, divide by 16. Then change places: is the mean the same?"),
        ("3  Excite.", "h: by how much the mean of blue is above that of red, or 0.  s = ½ − h/2, or 0."),
        ("4  Rescale.", "The gate calls out s. Every pixel of “red” multiplies by it, wherever it is."),
        ("5  By hand.", "Lamp on, but the gate calls out the day's s. What does the photo show now?"),
    )
    for k, (name, text) in enumerate(steps):
        write(ax, 15, 108 + 8.5 * k, name, 11, weight="bold", va="baseline")
        write(ax, 51, 108 + 8.5 * k, text, 10.5, va="baseline")
    columns = (15, 75, 135, 195)
    rows = ("", "sum of red", "sum of blue", "mean of red, z", "mean of blue, z", "h", "gate of red, s")
    for k, row in enumerate(rows):
        y = 153 + 9.5 * k
        write(ax, columns[0] + 1, y + 3, row, 11)
        for x in columns[1:3]:
            ax.add_patch(Rectangle((x, y), 60, 9.5, fill=False, ec=INK, lw=1))
    for x, day in zip(columns[1:3], ("by day", "lamp on"), strict=True):
        write(ax, x + 30, 156, day, 11, weight="bold", ha="center")
    grid(ax, 15, 238, "red, rescaled, by day", None)
    grid(ax, 83, 238, "red, rescaled, lamp on", None)
    write(
        ax,
        137,
        239,
        "Who knew what?\n\nA pixel:\n\nA mean:\n\nThe gate:",
        11,
    )
    for y in (254, 264, 274):
        ax.plot([158, 195], [y, y], color=RULE, lw=0.8)
    alt = (
        "A form to print. Three maps of 4 × 4 numbers: red, blue by day, and blue with a lamp in the lower "
        "right corner; five steps to act; a table for sums, means, h and the gate; two empty maps to fill in."
    )
    return Picture(figure, alt)


SHEETS = {"sheet": sheet, "unplugged": unplugged}


def store(folder: Path) -> None:
    """Each sheet as SVG and as PDF, the same bytes in every run."""
    for name, draw in SHEETS.items():
        about = {"Title": name, "Creator": "seblock"}
        with matplotlib.style.context(["default", STYLE, PAPER]):
            figure, _ = draw()
            FigureCanvasSVG(figure).print_svg(folder / f"{name}.svg", metadata={"Date": None, **about})
            undated = {"CreationDate": None, **about}
            FigureCanvasPdf(figure).print_pdf(folder / f"{name}.pdf", metadata=undated)
