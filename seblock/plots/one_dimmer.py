"""Figures of 12_one_dimmer."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from seblock.gates import ByClass
from seblock.plots.toolkit import (
    BLUE,
    COARSE,
    GREY,
    ORANGE,
    RED,
    SERIES,
    SIGNED,
    Picture,
    canvas,
    image,
    rounded,
    styled,
)

Interval = tuple[float, float, float]
"""A mean and the two ends of its confidence interval."""
PAIRED = ("#A9D3EE", BLUE, "#F7CF86", ORANGE)


@styled
def together(deviations: Mapping[str, Tensor]) -> Picture:
    """How far each gate is from its channel's mean, (images, C) a block, in the order that is given."""
    figure, axes = canvas(1, len(deviations), 3.9, dots=COARSE)
    told = []
    for ax, (name, off) in zip(axes.flat, deviations.items(), strict=True):
        largest = float(off.abs().quantile(0.99))
        drawn = ax.imshow(
            off[:: max(1, len(off) // 60)].numpy(), cmap=SIGNED, vmin=-largest, vmax=largest, aspect="auto"
        )
        ax.set(title=f"block {name}", xlabel="channels", xticks=[], yticks=[])
        bar = figure.colorbar(drawn, ax=ax)
        told.append(f"block {name}, ±{rounded(largest)}")
    bar.set_label("gate less its channel's mean")
    axes[0, 0].set_ylabel("some of the images,\nby their setting")
    return Picture(figure, f"Gates less their channel's mean, images by channels: {'; '.join(told)}.")


@styled
def by_block(
    groups: Mapping[str, Tensor],
    ticks: Sequence[str],
    label: str,
    dashed: tuple[str, float] | None = None,
    ends: tuple[float, float | None] = (0, None),
    colours: Sequence[str] = SERIES,
) -> Picture:
    """A dot for each seed and block, (seeds, blocks) a group; the group's mean as a short black line.

    NaNs are left out. `PAIRED` are colours for groups of which each second one belongs to that before it.
    """
    figure, axes = canvas(1, 1, 4.3, dots=COARSE)
    ax = axes[0, 0]
    width = 0.75 / len(groups)
    unit = " %" if label.endswith("%") else ""
    told = []
    for k, ((name, values), colour) in enumerate(zip(groups.items(), colours, strict=False)):
        middle = (k - (len(groups) - 1) / 2) * width
        for block, seeds in enumerate(values.T):
            x = block + middle + np.linspace(-0.3, 0.3, len(seeds)) * width * (len(seeds) > 1)
            ax.plot(x, seeds, "o", color=colour, markersize=7, label=name if not block else None)
            reach = 0.48 * width
            mean = float(seeds.nanmean())
            ax.hlines(mean, block + middle - reach, block + middle + reach, color="black", lw=2.5, zorder=5)
        told.append(f"{name}, means {', '.join(rounded(v) + unit for v in values.nanmean(0))}")
    if dashed:
        ax.axhline(dashed[1], color=RED, linestyle="--", label=dashed[0])
    for block in range(1, len(ticks)):
        ax.axvline(block - 0.5, color="#dddddd" if block % 3 else GREY, linewidth=1)
    ax.set_xticks(range(len(ticks)), ticks)
    ax.set(ylabel=label, xlabel="block", ylim=ends, xlim=(-0.5, len(ticks) - 0.5))
    entries = len(groups) + bool(dashed)
    figure.legend(
        loc="outside upper center",
        ncols=entries if colours is SERIES else (entries + 1) // 2,  # a pair one above the other
    )
    return Picture(figure, f"{label[0].upper()}{label[1:]}, by block. {'; '.join(told)}.")


@styled
def dimmers(axes_: Mapping[str, Tensor], scores: Mapping[str, Tensor], classes: Sequence[str]) -> Picture:
    """What a block's first component moves, (C,), a dot a channel; each class's mean score, (classes,)."""
    figure, axes = canvas(2, len(axes_), 6.6, dots=COARSE, height_ratios=(1, 1.6))
    told = []
    for column, (name, of_channel) in enumerate(axes_.items()):
        ax = axes[0, column]
        order = of_channel.argsort().tolist()
        ax.plot(range(len(order)), of_channel[order], "o", color=BLUE, markersize=7)
        ax.axhline(0, color="black", linewidth=0.8)
        ax.set(title=f"block {name}", xlabel="channels, in order", xticks=[])
        ax = axes[1, column]
        by_score = scores[name].argsort().tolist()
        ax.plot(scores[name][by_score], range(len(by_score)), "o", color=ORANGE, markersize=10)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_yticks(range(len(by_score)), [classes[k] for k in by_score], fontsize=14)
        ax.set_xlabel("class's mean setting")
        up = int((of_channel > 0).sum())
        told.append(
            f"block {name}, {up} of {len(order)} gates up, from {classes[by_score[0]]} "
            f"{rounded(scores[name].min())} to {classes[by_score[-1]]} {rounded(scores[name].max())}"
        )
    axes[0, 0].set_ylabel("change of gate")
    return Picture(figure, f"First components: {'; '.join(told)}.")


@styled
def intervals(
    differences: Mapping[str, Tensor], found: Mapping[str, Interval], label: str, colour: str = BLUE
) -> Picture:
    """A line for each name: every seed as a small dot, their mean and its interval; zero is marked."""
    figure, axes = canvas(1, 1, 1.4 + 0.42 * len(found))
    ax = axes[0, 0]
    for y, (name, (mean, low, high)) in enumerate(found.items()):
        ax.plot(differences[name], [y + 0.22] * len(differences[name]), "o", color=GREY, markersize=5)
        ax.plot([low, high], [y - 0.08] * 2, color=colour, linewidth=4, alpha=0.45)
        ax.plot(mean, y - 0.08, "o", color=colour, markersize=11)
    ax.axvline(0, color=RED, linestyle="--")
    ax.set_yticks(range(len(found)), list(found))
    ax.set(ylim=(len(found) - 0.4, -0.6), xlabel=label)
    ax.grid(axis="x", color="#dddddd")
    told = [
        f"{name} {rounded(mean)} ({rounded(low)} to {rounded(high)})"
        for name, (mean, low, high) in found.items()
    ]
    return Picture(figure, f"{label[0].upper()}{label[1:]}: {'; '.join(told)}.")


@styled
def read_out(rows: Mapping[str, Sequence[Tensor]], label: str, kinds: Sequence[str]) -> Picture:
    """A line for each name, a colour for each kind, a dot for each seed, (seeds,); means in numbers."""
    figure, axes = canvas(1, 1, 1.5 + 0.42 * len(rows))
    ax = axes[0, 0]
    told = []
    for y, (name, of_kinds) in enumerate(rows.items()):
        for kind, values, colour, up in zip(kinds, of_kinds, SERIES, (-0.17, 0.17), strict=False):
            ax.plot(
                values, [y + up] * len(values), "o", color=colour, markersize=8, label=None if y else kind
            )
        told.append(f"{name} {' and '.join(f'{float(values.mean()):.0f} %' for values in of_kinds)}")
    ax.set_yticks(range(len(rows)), list(rows))
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=label, xlim=(0, 100))
    ax.grid(axis="x", color="#dddddd")
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return Picture(
        figure, f"{label[0].upper()}{label[1:]}, {' and '.join(kinds)}, means over seeds: {'; '.join(told)}."
    )


Statistics = Mapping[str, Mapping[str, ByClass]]
"""Gates by class, (all classes, C): by block, a row of panels, and by network, a column."""


def strips(statistics: Statistics, classes: Mapping[str, int], within: bool) -> Figure:
    """Each class's mean gates less all classes' as a strip of dots, one a channel, in a panel a network.

    Channels have no order, so a dot's place in its strip means nothing. within: with a bar to either side
    of a dot, one standard deviation of the class's images.
    """
    columns = list(next(iter(statistics.values())))
    height = 1.4 + 1.7 * len(statistics)
    figure, axes = canvas(len(statistics), len(columns), height, sharex=True, sharey="row", dots=COARSE)
    for row, (block, of_networks) in zip(axes, statistics.items(), strict=True):
        for ax, s in zip(row, of_networks.values(), strict=True):
            off = s.mean - s.mean.mean(0)
            inside = np.linspace(-0.32, 0.32, off.shape[1])
            for x, (colour, (label, k)) in enumerate(zip(SERIES, classes.items(), strict=False)):
                if within:
                    bars = off[k] - s.spread[k], off[k] + s.spread[k]
                    ax.vlines(x + inside, *bars, color=colour, linewidth=1, alpha=0.5)
                ax.plot(x + inside, off[k], "o", color=colour, markersize=4, label=label)
            ax.axhline(0, color="black", linewidth=0.8)
            ax.set_xticks([])
            ax.spines["bottom"].set_visible(False)
        row[0].set_ylabel(f"block {block}")
    for ax, name in zip(axes[0], columns, strict=True):
        ax.set_title(name, fontsize=14)
    labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(*labels, loc="outside upper center", ncols=len(classes), markerscale=2.5)
    figure.supylabel("gate less all classes' mean", fontsize=16)
    return figure


@styled
def by_class(statistics: Statistics, classes: Mapping[str, int]) -> Picture:
    """How far each class's mean gates lie from all classes': the paper's Fig. 6, for many networks."""
    told = []
    for block, of_networks in statistics.items():
        off = torch.stack([s.mean - s.mean.mean(0) for s in of_networks.values()])[:, list(classes.values())]
        up = (off > 0).double().mean(2)
        told.append(f"block {block}, {100 * torch.maximum(up, 1 - up).mean():.0f} %")
    return Picture(
        strips(statistics, classes, within=False),
        "Mean gates by class, less all classes' mean. Of a class's channels so many lie on one side of zero, "
        f"on average over classes and networks: {'; '.join(told)}.",
    )


@styled
def within_classes(statistics: Statistics, classes: Mapping[str, int]) -> Picture:
    """The same with one standard deviation of a class's images: the paper's Fig. 7, for many networks."""
    told = []
    for block, of_networks in statistics.items():
        chosen = list(classes.values())
        spread = [float(s.spread[chosen].mean()) for s in of_networks.values()]
        told.append(f"block {block}, from {rounded(min(spread))} to {rounded(max(spread))}")
    return Picture(
        strips(statistics, classes, within=True),
        "Gates by class, with one standard deviation of its images. Mean of the standard deviations in a "
        f"network: {'; '.join(told)}.",
    )


@styled
def film(frames: Mapping[int, Tensor], ticks: Sequence[str]) -> Picture:
    """The gates' spread by block, (seeds, blocks, 2): all of it, and along the first component; by epoch."""
    seeds = len(next(iter(frames.values())))
    figure, axes = canvas(seeds, len(frames), 5.6, sharex=True, sharey=True, dots=COARSE)
    for column, (epoch, of_seed) in enumerate(frames.items()):
        for ax, values in zip(axes[:, column], of_seed.numpy(), strict=True):
            ax.bar(range(len(ticks)), values[:, 0], color="#cccccc", width=0.85, label="all of it")
            ax.bar(range(len(ticks)), values[:, 1], color=BLUE, width=0.85, label="along the first pattern")
            ax.set_xticks(range(len(ticks)), ticks, fontsize=14, rotation=90)
        axes[0, column].set_title(f"epoch {epoch}")
    for number, ax in enumerate(axes[:, 0]):
        ax.set_ylabel(f"seed {number}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    told = [f"epoch {epoch}, {rounded(v[..., 0].mean())}" for epoch, v in frames.items()]
    return Picture(
        figure, f"Spread of the gates between images, mean of blocks and seeds: {'; '.join(told)}."
    )


SECONDS = 12
"""How long the moving film takes, before it begins again."""
STAYS = 0.15
"""The share of that time in which its last frame stays."""


def moving_film(frames: Mapping[int, Tensor], ticks: Sequence[str], parts: Mapping[str, int]) -> str:
    """The film in motion, for the web page: SVG that CSS moves, without JavaScript, and a switch above it.

    It stands still until the reader switches it on, and again when they switch it off (WCAG 2.2.2). Who has
    asked their system for less motion gets the last frame. frames: as of `film`, one an epoch; parts: what
    the training was like, each with its last epoch, in order. Nowhere is an empty line, so that Markdown
    takes all of it as HTML.
    """
    epochs = list(frames)
    heights = torch.stack([frames[epoch] for epoch in epochs])  # (epochs, seeds, blocks, 2)
    _, seeds, blocks, _ = heights.shape
    top = float(heights.max())
    whole = 230  # pixels of a bar at `top`
    step, gap = 28, 300  # from bar to bar, and from panel to panel
    moments = [100 * (1 - STAYS) * n / (len(epochs) - 1) for n in range(len(epochs))]

    def keyframes(name: str, values: Sequence[str]) -> str:
        told = "".join(f"{at:.1f}%{{transform:{v}}}" for at, v in zip(moments, values, strict=True))
        return f"@keyframes {name}{{{told}100%{{transform:{values[-1]}}}}}"

    style, drawn = [], []

    def moving(kind: str, name: str, values: Sequence[str], place: str) -> None:
        style.append(keyframes(name, values))
        drawn.append(
            f'<rect class="{kind}" style="transform:{values[-1]};animation-name:{name}" {place}></rect>'
        )

    def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
        return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}">{words}</text>'

    ground = 310
    for seed in range(seeds):
        left = 60 + gap * seed
        drawn.append(text(left + step * blocks / 2, 66, f"seed {seed}"))
        for value in (0.02, 0.04, 0.06):
            y = ground - whole * value / top
            drawn.append(f'<path class="grid" d="M{left} {y:.1f}h{step * blocks}"></path>')
            drawn.append(text(left - 6, y + 5, f"{value:g}", "end") if not seed else "")
        for block, label in enumerate(ticks):
            x = left + step * block
            for part, kind in enumerate(("all", "first")):
                scale = [f"scaleY({float(h) / top:.3f})" for h in heights[:, seed, block, part]]
                place = f'x="{x + 3}" y="{ground - whole}" width="{step - 6}" height="{whole}"'
                moving(f"moves bar {kind}", f"film-{seed}-{block}-{kind}", scale, place)
            drawn.append(text(x + step / 2, ground + 20, label) if not block % 3 else "")
        drawn.append(f'<path class="axis" d="M{left} {ground}h{step * blocks}"></path>')
    first, last, line = 140, 900, 392
    apart = (last - first) / (len(epochs) - 1)
    drawn.append(text(60, line + 5, "epoch", "start"))
    drawn.append(f'<path class="axis" d="M{first} {line}H{last}"></path>')
    begin = epochs[0]
    for name, end in parts.items():
        at = [first + apart * (epoch - epochs[0]) for epoch in (begin, end)]
        drawn.append(f'<path class="axis" d="M{at[0]:.1f} {line - 8}v16"></path>')
        drawn.append(text(at[0], line + 28, str(begin)) + text(sum(at) / 2, line - 14, name))
        begin = end + 1
    drawn.append(text(last, line + 28, str(epochs[-1])))
    moved = [f"translateX({apart * n:.1f}px)" for n in range(len(epochs))]
    moving("moves now", "film-now", moved, f'x="{first - 5}" y="{line - 10}" width="10" height="20"')
    mean = {epoch: float(frames[epoch][..., 0].mean()) for epoch in epochs}
    low = min(mean, key=lambda epoch: mean[epoch])
    many = {
        epoch: int((frames[epoch][..., 0] < frames[epoch][..., 0].amax(1, keepdim=True) / 10).sum())
        for epoch in (epochs[0], epochs[-1])
    }
    alt = (
        f"How much the gates of {blocks} blocks vary between images in {seeds} networks, epoch by epoch. The "
        f"mean of all bars starts at {rounded(mean[epochs[0]])}, is lowest in epoch {low}, "
        f"{rounded(mean[low])}, and ends at {rounded(mean[epochs[-1]])}. Bars of less than a tenth of their "
        f"network's highest: {many[epochs[0]]} of {seeds * blocks} after the first epoch, "
        f"{many[epochs[-1]]} after the last."
    )
    rules = (
        f".film .moves{{animation:{SECONDS}s linear infinite paused}}"
        ".film input:checked~svg .moves{animation-play-state:running}"
        ".film .bar{transform-box:fill-box;transform-origin:bottom}"
        f".film .all{{fill:#cccccc}}.film .first,.film .now{{fill:{BLUE}}}"
        ".film .grid{stroke:#dddddd}.film .axis{stroke:#000}.film svg text{font-size:16px}"
        ".film{margin:1rem 0}.film .still{display:none}"
        "@media (prefers-reduced-motion:reduce){.film .moves{animation:none!important}"
        ".film input,.film label{display:none}.film .still{display:block}}"
    )
    legend = (
        '<rect class="all" x="60" y="12" width="26" height="20"></rect>'
        '<rect class="first" x="260" y="12" width="26" height="20"></rect>'
        f"{text(94, 28, 'all of it', 'start')}{text(294, 28, 'along the first pattern', 'start')}"
    )
    return (
        '<div class="film"><input type="checkbox" id="film-plays" /> '
        '<label for="film-plays">Play the film</label>'
        '<p class="still">Your system asks for less motion, so here is the last moment of the film.</p>'
        f'<svg viewBox="0 0 960 430" role="img" aria-label="{alt}"><style>{rules}{"".join(style)}</style>'
        f'<rect width="960" height="430" fill="#fff"></rect>{legend}{"".join(drawn)}</svg></div>\n'
    )


@styled
def acted(u: Tensor, gate: Tensor, own: Tensor, swapped: Tensor) -> Picture:
    """A channel's map of both photos, (2, H, W), gated by its own and by the other photo's gate, (2,).

    own, swapped: the channel after the block, (2, H, W), with either gate. All maps are on one scale.
    """
    figure, axes = canvas(2, 5, 4.2, dots=COARSE)
    scale = float(u.abs().quantile(0.98))
    told = []
    for k, name in enumerate(("temple", "flower")):
        maps = {
            "before the gate": u[k],
            f"own gate, {float(gate[k]):.2f}": gate[k] * u[k],
            f"other's, {float(gate[1 - k]):.2f}": gate[1 - k] * u[k],
            "output, own": own[k],
            "output, other's": swapped[k],
        }
        for ax, (title, of) in zip(axes[k], maps.items(), strict=True):
            steps = (of / scale * 6).round() / 6  # few shades, for a small file
            image(ax, steps, title, cmap=SIGNED, vmin=-1, vmax=1)
        told.append(
            f"{name}, {', '.join(f'{title} {rounded(of.abs().mean())}' for title, of in maps.items())}"
        )
    return Picture(figure, f"One channel's maps, all on one scale; mean sizes: {'; '.join(told)}.")
