"""The picture of the block: drawn once, shown wherever a reader needs to know where they are."""

from typing import Literal, get_args

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Circle, FancyArrowPatch, Rectangle
from torch import Tensor

from seblock import photos
from seblock.functional import rescale, squeeze
from seblock.plots.toolkit import Picture, canvas, styled

Step = Literal["squeeze", "excitation", "rescale"]
STEPS: tuple[Step, ...] = get_args(Step)

CHANNEL_COLOURS = ("#4D4D4D", "#E69F00", "#CC79A7", "#D55E00", "#009E73", "#0072B2")
"""One for each channel, in all of its four forms: Okabe and Ito's, and a grey."""
INK = "#222222"
SMALL = 0.6
"""The size of the picture where it only says where the reader is."""
FADED = 0.18
"""How much is left of what belongs to another step than the one that is lit."""


LEVELS = 20
"""Steps of grey: enough for a map of this size, and small in bytes."""


def _faded(colour: str, strength: float) -> tuple[float, ...]:
    """A colour mixed with white."""
    return tuple(1 - strength * (1 - part) for part in to_rgb(colour))


def _stack(ax: Axes, maps: Tensor, left: float, strength: float, size: float) -> None:
    """Six maps one behind the other, the first in front; a gamma of 0.6 lifts what is dark."""
    width, height, step = 19.0, 12.7, (2.7, 3.4)
    for c in reversed(range(len(maps))):
        x, y = left + c * step[0], 13 + c * step[1]
        grey = (maps[c].clamp(0, 1).numpy() ** 0.6 * LEVELS).round() / LEVELS
        grey = 1 - strength * (1 - grey)
        ax.imshow(np.stack([grey] * 3, axis=-1), extent=(x, x + width, y, y + height), zorder=10 - c)
        edge = _faded(CHANNEL_COLOURS[c], strength)
        frame = Rectangle((x, y), width, height, fill=False, lw=3 * size, ec=edge, zorder=10.5 - c)
        ax.add_patch(frame)


def _column(ax: Axes, values: Tensor, left: float, strength: float, outlined: bool = False) -> None:
    """A bar for each channel; outlined: within a frame that stands for 1."""
    width, height, step = 12.0, 3.1, 4.0
    for c, value in enumerate(values):
        y, colour = 34.5 - c * step, _faded(CHANNEL_COLOURS[c], strength)
        if outlined:
            ax.add_patch(Rectangle((left, y), width, height, fc="white", ec=colour, lw=2))
        ax.add_patch(Rectangle((left, y), max(width * float(value), 0.25), height, fc=colour))


def _arrow(ax: Axes, start: float, end: float, strength: float, size: float) -> None:
    """From left to right in the middle of the picture."""
    colour = _faded(INK, strength)
    ends = (start, 26), (end, 26)
    ax.add_patch(
        FancyArrowPatch(
            *ends, arrowstyle="-|>", mutation_scale=32 * size, lw=5 * size, color=colour, zorder=30
        )
    )


MADE_UP = (0.55, 0.95, 0.8, 0.3, 0.1, 0.7)
"""The picture's gates: no network's, but six that differ, so that each map shows what its gate does."""


def draw_block(ax: Axes, size: float, step: Step | None = None) -> None:
    """Draw the block into axes of 128 by 60 units; at size 1 they are 12.8 inches wide.

    With `step` that one alone is lit. Raises ValueError for an unknown step.
    """
    if step is not None and step not in STEPS:
        raise ValueError(f"step must be one of {STEPS}, got {step!r}")

    def lit(*steps: Step) -> float:
        return 1.0 if step is None or step in steps else FADED

    maps = photos.features(photos.load()[1:])
    s = torch.tensor(MADE_UP)
    u, z, x_tilde = maps[0], squeeze(maps)[0], rescale(maps, s[None])[0]
    of_u, of_z = lit("squeeze", "rescale"), lit("squeeze", "excitation")
    of_s, of_x = lit("excitation", "rescale"), lit("rescale")
    _stack(ax, u, 1, of_u, size)
    _column(ax, z / z.max(), 47, of_z)
    _column(ax, s, 71, of_s, outlined=True)
    _stack(ax, x_tilde, 94.8, of_x, size)
    three, one = "C × H × W", "C"
    for x, name, shape, strength in (
        (12, r"$\mathbf{U}$", three, of_u),
        (53, r"$\mathbf{z}$", one, of_z),
        (77, r"$\mathbf{s}$", one, of_s),
        (107, r"$\widetilde{\mathbf{X}}$", three, of_x),
    ):
        top = 46 if shape == three else 42.5
        ax.text(x, top, name, ha="center", va="center", fontsize=42 * size, color=_faded(INK, strength))
        ax.text(
            x + 2 * (shape == three),
            8,
            shape,
            ha="center",
            va="center",
            fontsize=25 * size,
            color=_faded(INK, strength),
        )
    for x, name, strength in (
        (40, "squeeze", lit("squeeze")),
        (65, "excite", lit("excitation")),
        (89, "rescale", lit("rescale")),
    ):
        colour = _faded(INK, strength)
        ax.text(x, 2.5, name, ha="center", va="center", fontsize=27 * size, weight="bold", color=colour)
    _arrow(ax, 36.2, 46.3, lit("squeeze"), size)
    _arrow(ax, 59.6, 70.3, lit("excitation"), size)
    # U goes round z and s, and meets s where each map is multiplied by its gate.
    colour = _faded(INK, of_x)
    ax.plot([83.4, 85], [26, 26], lw=5 * size, color=colour, solid_capstyle="butt")
    ax.plot([26, 26, 88, 88], [44.2, 55, 55, 29], lw=5 * size, color=colour, solid_joinstyle="round")
    ax.add_patch(Circle((88, 26), 3, fill=False, lw=4 * size, ec=colour))
    for sign in (1, -1):
        ax.plot([86.45, 89.55], [26 - 1.55 * sign, 26 + 1.55 * sign], lw=4 * size, color=colour)
    _arrow(ax, 90.6, 95.2, of_x, size)
    ax.set_xlim(0, 128)
    ax.set_ylim(0, 60)
    ax.set_axis_off()


@styled
def block(step: Step | None = None) -> Picture:
    """U -> z -> s -> X̃, with the maps of the flower and gates made up.

    With `step` that one alone is lit, and the picture is small: it says where the reader is. z is drawn
    against its largest value. Raises ValueError for an unknown step.
    """
    size = 1.0 if step is None else SMALL
    figure, axes = canvas(1, 1, 6.0)
    figure.set_size_inches(12.8 * size, 6.0 * size)
    axes[0, 0].set_position((0, 0, 1, 1))
    figure.set_layout_engine("none")
    draw_block(axes[0, 0], size, step)
    seen = {
        None: "squeeze makes a number of each map, z; excite makes a gate for each map, s; rescale "
        "multiplies each map by its gate",
        "squeeze": "the step from the maps U to z, a number for each map, is lit",
        "excitation": "the step from z to s, a gate for each map, is lit",
        "rescale": "the step in which each map of U is multiplied by its gate is lit",
    }[step]
    return Picture(
        figure, f"The block. A stack of six maps U goes to z, to s and to a stack of six maps X̃: {seen}."
    )
