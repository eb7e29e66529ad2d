"""Figures of 10_cifar10."""

from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from seblock.plots.toolkit import BLUE, ORANGE, Picture, canvas, image, styled


@styled
def augmented(photo: Tensor, variants: Tensor) -> Picture:
    """A small photo (3, H, W) and what training makes of it, (N, 3, H, W), in 0..1."""
    figure, axes = canvas(1, 1 + len(variants), 2.4)
    for ax, pixels, title in zip(
        axes.flat, [photo, *variants], ["as it is", *map(str, range(1, len(variants) + 1))], strict=True
    ):
        image(ax, pixels, title)
    return Picture(
        figure, f"A photo of {photo.shape[-1]} × {photo.shape[-1]} and {len(variants)} variants of it."
    )


@styled
def ends(right: Mapping[str, Sequence[float]]) -> Picture:
    """Test accuracies in 0..1, a dot a seed and a line for the mean of each network."""
    figure, axes = canvas(1, 1, 3.2)
    ax = axes[0, 0]
    told = []
    for y, (name, values) in enumerate(right.items()):
        percent = 100 * np.asarray(values)
        ax.plot(percent, np.full(len(percent), y), "o", color=BLUE, markersize=12, alpha=0.8)
        ax.plot([percent.mean()] * 2, [y - 0.3, y + 0.3], color="black", lw=3)
        told.append(f"{name}: {', '.join(f'{p:.2f}' for p in percent)}, mean {percent.mean():.2f}")
    ax.set_yticks(range(len(right)), list(right))
    ax.set(ylim=(len(right) - 0.5, -0.5), xlabel="test images right, %: a dot a seed, a stroke their mean")
    ax.margins(x=0.15)
    ax.grid(axis="x", color="#dddddd")
    return Picture(figure, f"Test images right, in per cent. {'; '.join(told)}.")


@styled
def curves(runs: Mapping[tuple[str, int], Sequence[float]]) -> Picture:
    """Test errors in 0..1, epoch by epoch, of each network and seed."""
    figure, axes = canvas(1, 1, 5.0)
    ax = axes[0, 0]
    colours = {name: c for name, c in zip(dict.fromkeys(n for n, _ in runs), (BLUE, ORANGE), strict=False)}
    told = []
    for (name, seed), errors in runs.items():
        percent = [100 * e for e in errors]
        epochs = range(1, len(percent) + 1)
        label = name if seed == 0 else None
        ax.plot(epochs, percent, "-o", color=colours[name], label=label)
        told.append(f"{name} seed {seed} from {percent[0]:.0f} to {percent[-1]:.1f}")
    ax.set(xlabel="epochs", ylabel="test images wrong, %", ylim=(0, None))
    ax.legend()
    return Picture(figure, f"Test errors by epoch, in per cent. {'; '.join(told)}.")
