"""Figures of 04_excitation."""

import torch
from torch import Tensor

from seblock.paper import ABLATION_BASELINE, TABLE_12
from seblock.photos import BLUE as BLUE_CHANNEL
from seblock.photos import CHANNELS
from seblock.photos import RED as RED_CHANNEL
from seblock.plots.toolkit import (
    BLUE,
    GREY,
    ORANGE,
    RED,
    SERIES,
    Picture,
    ablation_alt,
    bars,
    canvas,
    channel_ticks,
    dots,
    image,
    listed,
    rounded,
    strokes,
    styled,
)


@styled
def wiring(w1: Tensor, w2: Tensor) -> Picture:
    """The weights W₁, (H, 6), and W₂, (6, H), as lines between z, the hidden units and s."""
    figure, axes = canvas(1, 1, 4.6)
    ax = axes[0, 0]
    hidden = [2.5 + 2.2 * (k - (len(w1) - 1) / 2) for k in range(len(w1))]
    for c, name in enumerate(CHANNELS):
        ax.text(0, c, f"{name}  $z_{c + 1}$", ha="right", va="center", fontsize=17)
        ax.text(4, c, f"$s_{c + 1}$  {name}", ha="left", va="center", fontsize=17)
    for k, y in enumerate(hidden):
        ax.text(
            2,
            y,
            f"$h_{k + 1}$",
            ha="center",
            va="center",
            fontsize=20,
            bbox={"boxstyle": "circle", "fc": "white"},
        )
    lines: list[tuple[float, float, float, float, Tensor]]
    lines = [(0.05, c, 1.85, hidden[k], w1[k, c]) for k in range(len(w1)) for c in range(6)]
    lines += [(2.15, hidden[k], 3.95, c, w2[c, k]) for k in range(len(w1)) for c in range(6)]
    plate = {"fc": "white", "ec": "none", "pad": 1}
    for x0, y0, x1, y1, weight in lines:
        if weight != 0:
            colour, style = (BLUE, "-") if weight > 0 else (RED, "--")
            ax.plot([x0, x1], [y0, y1], color=colour, linestyle=style, linewidth=3)
            near = (x0 + 0.22 * (x1 - x0), y0 + 0.22 * (y1 - y0))
            ax.text(*near, f"{float(weight):+g}", ha="center", va="center", bbox=plate)
    ax.set(xlim=(-1.6, 5.6), ylim=(5.6, -0.6))
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
    figure, axes = canvas(1, 2, 3.8, width_ratios=[1, 1.6])
    image(axes[0, 0], x, f"tint t = {t:+.2f}")
    bars(
        axes[0, 1],
        {"s": [float(g) for g in s]},
        [f"$s_{c}$\n{n.replace(' ', chr(10))}" for c, n in enumerate(CHANNELS, 1)],
    )
    axes[0, 1].set_ylim(0, 1)
    gates_told = ", ".join(f"{name} {float(gate):.2f}" for name, gate in zip(CHANNELS, s, strict=True))
    return Picture(figure, f"Tint {t:+.2f}. Gates: {gates_told}.")


@styled
def tint_curves(t: Tensor, versions: dict[str, Tensor]) -> Picture:
    """Gates (T, 6) of "red" and "blue" over tints (T,), one panel for each version."""
    figure, axes = canvas(1, len(versions), 4.0, sharey=True)
    alts = []
    for ax, (name, s) in zip(axes.flat, versions.items(), strict=True):
        ax.plot(t, s[:, RED_CHANNEL], color=RED, lw=4, label="$s_4$, red")
        ax.plot(t, s[:, BLUE_CHANNEL], color=BLUE, lw=4, ls="--", label="$s_6$, blue")
        ax.set(title=name, xlabel="tint t: warm … cold", ylim=(-0.04, 1.04))
        ends = [float(s[i, c]) for i in (0, -1) for c in (RED_CHANNEL, BLUE_CHANNEL)]
        alts.append(
            f"{name}: at t = {float(t[0]):g} red {ends[0]:.2f} and blue {ends[1]:.2f}, "
            f"at t = {float(t[-1]):g} red {ends[2]:.2f} and blue {ends[3]:.2f}."
        )
    axes[0, 0].legend(loc="upper right")
    return Picture(figure, "Gates over the tint. " + " ".join(alts))


@styled
def gates(rows: dict[str, Tensor]) -> Picture:
    """A group of bars for each named channel; `rows` maps a label to six gates."""
    figure, axes = canvas(1, 1, 4.0)
    bars(axes[0, 0], {name: [float(v) for v in values] for name, values in rows.items()}, channel_ticks("s"))
    axes[0, 0].set_ylim(0, 1.25)
    return Picture(figure, " ".join(f"{name}: {listed(values)}." for name, values in rows.items()))


@styled
def start(scales: dict[str, Tensor]) -> Picture:
    """Gates of a fresh block, any shape, one row of strokes for each scale of z."""
    figure, axes = canvas(1, 1, 3.4)
    alt = strokes(axes[0, 0], scales)
    axes[0, 0].axvline(0.5, color=GREY, ls="--")
    axes[0, 0].set(xlim=(0, 1), xlabel="gates of a fresh SE block, a stroke for each channel and photo")
    return Picture(figure, f"Gates of a fresh block: {alt}.")


@styled
def table_12() -> Picture:
    """Three last non-linearities: their curves, and the paper's Table 12."""
    figure, axes = canvas(1, 2, 3.9, width_ratios=[1, 1.3])
    a = torch.linspace(-4, 4, 81)
    styles = [
        ("sigmoid", a.sigmoid(), SERIES[0], "-"),
        ("tanh", a.tanh(), ORANGE, "--"),
        ("ReLU", a.relu(), SERIES[2], ":"),
    ]
    for name, curve, colour, style in styles:
        axes[0, 0].plot(a, curve, color=colour, ls=style, lw=4, label=name)
    axes[0, 0].set(ylim=(-1.2, 3.2), xlabel="what comes in", title="gate")
    axes[0, 0].legend(loc="upper left")
    dots(axes[0, 1], TABLE_12)
    axes[0, 1].axvline(ABLATION_BASELINE, color=RED, ls="--")
    axes[0, 1].text(ABLATION_BASELINE - 0.02, 2.3, f"no SE: {ABLATION_BASELINE:.2f}", ha="right", color=RED)
    axes[0, 1].set(xlim=(22.1, 23.7), xlabel="top-1 error, % (Table 12): left is better")
    return Picture(figure, ablation_alt(TABLE_12, 12))


@styled
def pairs(weights: Tensor, s: Tensor) -> Picture:
    """How many weights attention has, (P, P), and how many gates SE, (C,): each a cell."""
    figure, axes = canvas(1, 2, 4.6)
    title = f"self-attention: {weights.numel()} weights"
    image(axes[0, 0], weights, title, vmin=0, vmax=2 / len(weights), cmap="Blues")
    image(axes[0, 1], s[None], f"SE: {len(s)} gates", vmax=2, cmap="Blues")
    for c, gate in enumerate(s):
        axes[0, 1].text(c, 0, f"{float(gate):.2f}", ha="center", va="center")
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
