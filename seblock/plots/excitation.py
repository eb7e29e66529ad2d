"""Figures of 04_excitation."""

import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from seblock.photos import BLUE as BLUE_CHANNEL
from seblock.photos import CHANNELS
from seblock.photos import RED as RED_CHANNEL
from seblock.plots.toolkit import (
    BLUE,
    GREY,
    ORANGE,
    RED,
    Picture,
    canvas,
    channel_ticks,
    image,
    listed,
    rounded,
    styled,
)

INK, PALE = "#222222", "#D9D9D9"
PAIR = (("red", RED_CHANNEL, RED), ("blue", BLUE_CHANNEL, BLUE))
"""The two channels that the hand-set gates compare: name, place, colour."""

CLOSED, AT_REST = (0.0, 0.1), (0.45, 0.55)
GOALS = {"red": (AT_REST, AT_REST, CLOSED), "blue": (AT_REST, AT_REST, AT_REST)}
"""Where each gate shall end up in the three lights: daylight, dim light, blue light."""


@styled
def lights(photos: dict[str, Tensor], z: Tensor) -> Picture:
    """Photos (1, 3, H, W), and below each its z of "red" and "blue"; z is (N, 6)."""
    figure, axes = canvas(2, len(photos), 4.2, height_ratios=[1.45, 1], sharex="row")
    told = []
    for column, (name, photo) in enumerate(photos.items()):
        image(axes[0, column], _thumbnail(photo[0], rows=88), name)
        ax = axes[1, column]
        for y, (channel, place, colour) in enumerate(PAIR):
            value = float(z[column, place])
            ax.barh(y, value, 0.7, color=colour)
            ax.text(value + 0.006, y, f"{value:.2f}", va="center", fontsize=18)
            told.append(f"{name}: {channel} {value:.2f}")
        labels = [f"$z_{place + 1}$  {channel}" for channel, place, _ in PAIR]
        ax.set_yticks(range(2), labels if column == 0 else ["", ""], fontsize=18)
        ax.set(xlim=(0, 0.29), ylim=(1.5, -0.5), xticks=[])
        ax.spines["bottom"].set_visible(False)
        ax.tick_params(left=False)
    return Picture(figure, f"The temple in three lights, and the means of two maps. {'; '.join(told)}.")


@styled
def your_gate(photos: dict[str, Tensor], s_red: Tensor, s_blue: Tensor) -> Picture:
    """Photos (1, 3, H, W) in the order of `GOALS`; below, their gates, (3,) each, and where they shall be."""
    figure, axes = canvas(2, len(photos), 4.4, height_ratios=[1.25, 1.15])
    told, met = [], 0
    for column, (name, photo) in enumerate(photos.items()):
        image(axes[0, column], _thumbnail(photo[0], rows=80), name)
        ax = axes[1, column]
        for y, (values, (channel, _, colour)) in enumerate(zip((s_red, s_blue), PAIR, strict=True)):
            value, (low, high) = float(values[column]), GOALS[channel][column]
            met += low <= value <= high
            ax.add_patch(Rectangle((low, y - 0.36), high - low, 0.72, fc=PALE, ec=GREY, lw=1))
            ax.plot([0, 1], [y, y], color=GREY, lw=1.5, zorder=1)
            ax.plot(value, y, "o", color=colour, markersize=17, clip_on=False, zorder=3)
            ax.text(1.12, y, f"{value:.2f}", va="center", fontsize=18)
            told.append(f"{name}: {channel} {value:.2f}, goal {low:g} to {high:g}")
        labels = [f"$s_{place + 1}$  {channel}" for channel, place, _ in PAIR]
        ax.set_yticks(range(2), labels if column == 0 else ["", ""], fontsize=18)
        ax.set(xlim=(-0.04, 1.34), ylim=(1.6, -0.6), xticks=[0, 0.5, 1])
        ax.set_xticklabels(["0", "0.5", "1"])
        ax.spines[["left", "bottom"]].set_visible(False)
        ax.tick_params(left=False)
    done = (
        "All six dots are in their grey boxes." if met == 6 else f"{met} of 6 dots are in their grey boxes."
    )
    figure.suptitle(done, fontsize=19)
    return Picture(figure, f"{done} Gates: {'; '.join(told)}.")


def _thumbnail(photo: Tensor, rows: int) -> Tensor:
    """A photo (3, H, W) in fewer rows and columns: enough for a small picture, and it takes fewer bytes."""
    columns = round(rows * photo.shape[2] / photo.shape[1])
    return F.interpolate(photo[None], size=(rows, columns), mode="area")[0]


def _signed(value: float, digits: int = 1) -> str:
    """A number with its sign as it is printed in books; zero has none."""
    return f"{value:+.{digits}f}".replace("-", "−") if round(value, digits) else "0"


def _wire(ax: Axes, start: tuple[float, float], end: tuple[float, float], weight: float, part: float) -> None:
    """A line for a weight, labelled after `part` of its way; dashed where negative; none for zero."""
    if weight == 0:
        return
    ax.plot(*zip(start, end, strict=True), color=INK, ls="-" if weight > 0 else (0, (4, 2)), lw=3.5, zorder=1)
    x, y = (a + part * (b - a) for a, b in zip(start, end, strict=True))
    plate = {"fc": "white", "ec": "none", "pad": 2}
    ax.text(x, y, _signed(weight, 0), ha="center", va="center", fontsize=18, bbox=plate)


@styled
def wiring(w1: Tensor, w2: Tensor, units: tuple[str, ...]) -> Picture:
    """The weights W₁, (H, 6), and W₂, (6, H), as lines from z to the hidden units, named by `units`, to s."""
    figure, axes = canvas(1, 1, 5.4)
    ax = axes[0, 0]
    colours = {place: colour for _, place, colour in PAIR}
    hidden = [1.0 + 3.0 * k for k in range(len(units))]
    for c, name in enumerate(CHANNELS):
        used = bool(w1[:, c].any() or w2[c].any())
        ink = INK if used else GREY
        ax.text(-0.13, c, f"{name}  $z_{c + 1}$", ha="right", va="center", fontsize=19, color=ink)
        ax.text(4.13, c, f"$s_{c + 1}$  {name}", ha="left", va="center", fontsize=19, color=ink)
        for x in (0.0, 4.0):
            ax.plot(x, c, "o", ms=15, color=colours.get(c, PALE), zorder=3)
    for k, (y, said) in enumerate(zip(hidden, units, strict=True)):
        ax.plot(2, y, "o", ms=48, mfc="white", mec=INK, mew=2.5, zorder=3)
        ax.text(2, y, f"$h_{k + 1}$", ha="center", va="center", fontsize=21, zorder=4)
        ax.text(2, y - 0.85, said, ha="center", va="center", fontsize=18)
        for c in range(len(CHANNELS)):
            _wire(ax, (0, c), (2, y), float(w1[k, c]), part=(0.65, 0.25)[k % 2])
            _wire(ax, (2, y), (4, c), float(w2[c, k]), part=0.5)
    for x, name in ((1.0, r"$\mathbf{W}_1$"), (3.0, r"$\mathbf{W}_2$")):
        ax.text(x, -0.75, name, ha="center", va="center", fontsize=22)
    for x, style, sign in ((0.6, "-", "positive"), (2.4, (0, (4, 2)), "negative")):
        ax.plot([x, x + 0.4], [5.85, 5.85], color=INK, ls=style, lw=3.5)
        ax.text(x + 0.48, 5.85, sign, ha="left", va="center", fontsize=18)
    ax.set(xlim=(-1.9, 5.9), ylim=(6.15, -1.1))
    ax.set_axis_off()
    ways = [
        f"{CHANNELS[c]} {float(w1[k, c]):+g} to hidden unit {k + 1}"
        for k in range(len(w1))
        for c in range(6)
        if w1[k, c]
    ]
    ways += [
        f"hidden unit {k + 1} {float(w2[c, k]):+g} to {CHANNELS[c]}"
        for k in range(len(w1))
        for c in range(6)
        if w2[c, k]
    ]
    return Picture(figure, "The weights that are not zero: " + ", ".join(ways) + ".")


@styled
def tinted(x: Tensor, s: Tensor, t: float) -> Picture:
    """A tinted photo (3, H, W) and its gates (6,)."""
    figure, axes = canvas(1, 2, 3.8, width_ratios=[1, 1.5])
    image(axes[0, 0], _thumbnail(x, rows=64), f"t = {_signed(t, 2)}")
    colours = {place: colour for _, place, colour in PAIR}
    ax = axes[0, 1]
    drawn = ax.bar(range(6), [float(g) for g in s], 0.7, color=[colours.get(c, "#AAAAAA") for c in range(6)])
    ax.bar_label(drawn, fmt="%.2f", fontsize=16)
    ax.axhline(0.5, color=GREY, ls=":", lw=2)
    ax.set_xticks(range(6), [f"$s_{c}$\n{n.replace(' ', chr(10))}" for c, n in enumerate(CHANNELS, 1)])
    ax.set_ylim(0, 1)
    gates_told = ", ".join(f"{name} {float(gate):.2f}" for name, gate in zip(CHANNELS, s, strict=True))
    return Picture(figure, f"Tint {t:+.2f}. Gates: {gates_told}.")


@styled
def tint_curves(t: Tensor, tints: Tensor, versions: dict[str, Tensor]) -> Picture:
    """Gates (T, 6) of "red" and "blue" over T lights, a panel a version; below, photos (T, 3, H, W)."""
    shown = 5 if len(versions) == 1 else 3
    figure, axes = canvas(
        2, len(versions), 5.6, sharey="row", height_ratios=[2.6, 1.35 if shown == 5 else 1.1]
    )
    steps = [round(i * (len(t) - 1) / (shown - 1)) for i in range(shown)]
    at = t.tolist()
    gap = at[steps[1]] - at[steps[0]]
    alts = []
    for (ax, below), (name, s) in zip(axes.T, versions.items(), strict=True):
        ax.axhline(0.5, color=GREY, ls=":", lw=2)
        for (channel, place, colour), style, end in zip(PAIR, ("-", "--"), (0, -1), strict=True):
            curve = s[:, place].tolist()
            ax.plot(at, curve, color=colour, lw=5, ls=style)
            align = "left" if end == 0 else "right"
            words = f"gate of {channel}"
            ax.text(at[end], curve[end] + 0.05, words, color=colour, ha=align, va="bottom", fontsize=19)
        ax.set(xlim=(at[0] - 0.55 * gap, at[-1] + 0.55 * gap), ylim=(-0.04, 1.16), yticks=[0, 0.5, 1])
        ax.set(title=name, xticks=[at[i] for i in steps], xticklabels=[_signed(at[i]) for i in steps])
        below.set(xlim=ax.get_xlim(), ylim=(0, 1))
        below.set_axis_off()
        for i in steps:
            spot = below.inset_axes((at[i] - 0.48 * gap, 0, 0.96 * gap, 1), transform=below.transData)
            image(spot, _thumbnail(tints[i], rows=64), "")
        red, blue = (s[:, place].tolist() for _, place, _ in PAIR)
        told = [
            f"at t = {_signed(at[i])} red {red[i]:.2f} and blue {blue[i]:.2f}" for i in (0, len(at) // 2, -1)
        ]
        alts.append(f"{name}: {', '.join(told)}.")
    axes[0, 0].set_ylabel("gate")
    figure.supxlabel("warm light  ←  t  →  blue light", fontsize=17)
    return Picture(figure, "Gates from warm light to blue light. " + " ".join(alts))


@styled
def gates(rows: dict[str, Tensor]) -> Picture:
    """Two bars for each named channel; `rows` maps a label to six gates, whose sum is told in the legend."""
    figure, axes = canvas(1, 1, 4.0)
    ax = axes[0, 0]
    for k, ((name, values), colour) in enumerate(zip(rows.items(), ("#4D4D4D", ORANGE), strict=True)):
        places = [c + 0.42 * (k - 0.5) for c in range(6)]
        label = f"{name}: together {float(values.sum()):.2f}"
        drawn = ax.bar(places, [float(v) for v in values], 0.4, color=colour, label=label)
        ax.bar_label(drawn, fmt="%.2f", fontsize=16)
    ax.set_xticks(range(6), channel_ticks("s"))
    ax.set_ylim(0, 1.3)
    ax.legend(loc="upper center", ncols=2, fontsize=17)
    told = [f"{name}: {listed(v)}; together {float(v.sum()):.2f}." for name, v in rows.items()]
    return Picture(figure, " ".join(told))


@styled
def pairs(weights: Tensor, s: Tensor) -> Picture:
    """How many weights attention has, (P, P), and how many gates SE, (C,): each a cell."""
    figure, axes = canvas(1, 2, 4.2)
    title = f"self-attention: {weights.numel()} weights"
    image(axes[0, 0], weights, title, vmin=0, vmax=2 / len(weights), cmap="Greys")
    image(axes[0, 1], s[None], f"SE: {len(s)} gates", vmin=0, vmax=2, cmap="Greys")
    for c, gate in enumerate(s):
        axes[0, 1].text(c, 0, f"{float(gate):.2f}", ha="center", va="center", fontsize=17)
    axes[0, 0].set(xlabel=f"position looked at\n(each weight about {float(weights.mean()):.2f})")
    axes[0, 0].set(ylabel="position that looks")
    axes[0, 1].set(xlabel="channel")
    for ax, (rows, columns) in zip(axes.flat, (weights.shape, (1, len(s))), strict=True):
        ax.set_axis_on()
        ax.set(xticks=[], yticks=[])
        ax.hlines([i - 0.5 for i in range(rows + 1)], -0.5, columns - 0.5, color="white", linewidth=2)
        ax.vlines([i - 0.5 for i in range(columns + 1)], -0.5, rows - 0.5, color="white", linewidth=2)
    return Picture(
        figure,
        f"Self-attention has {weights.shape[0]} × {weights.shape[1]} weights, each row adding up to "
        f"{rounded(weights.sum(1).mean())}. SE has {len(s)} gates, adding up to {float(s.sum()):.2f}.",
    )
