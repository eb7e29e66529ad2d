"""Figures of 05_rescale."""

import torch
from torch import Tensor

from seblock.photos import CHANNELS, RED
from seblock.plots.toolkit import BLUE, Picture, canvas, image, listed, rounded, styled


@styled
def gated(u: Tensor, s: Tensor, x_tilde: Tensor) -> Picture:
    """Six maps (6, H, W) above, their gates (6,) between, the rescaled maps (6, H, W) below."""
    figure, axes = canvas(2, 6, 3.9)
    for c in range(6):
        image(axes[0, c], u[c], f"$\\mathbf{{u}}_{c + 1}$ {CHANNELS[c]}")
        axes[0, c].title.set_fontsize(14)
        image(axes[1, c], x_tilde[c], f"$s_{c + 1}$ = {float(s[c]):.1f}")
    figure.supxlabel("black 0, white 1 or more", fontsize=15)
    return Picture(
        figure,
        f"Six maps, and below each the map times its gate. Gates: {listed(s)}. "
        f"Largest values after: {listed(x_tilde.amax((1, 2)))}.",
    )


@styled
def next_layer(ys: dict[str, Tensor]) -> Picture:
    """What a following layer makes of the maps, (H, W), for some gates."""
    figure, axes = canvas(1, len(ys), 3.6)
    figure.supxlabel("black 0, white 1 or more", fontsize=15)
    for ax, (name, y) in zip(axes.flat, ys.items(), strict=True):
        image(ax, y, name)
    alts = [f"{name}: mean {rounded(y.mean())}" for name, y in ys.items()]
    return Picture(figure, "What the next layer sees, by the gate of red. " + "; ".join(alts) + ".")


@styled
def patch(x: Tensor, reds: Tensor, s: Tensor) -> Picture:
    """A photo without and with a patch, (2, 3, H, W), its rescaled "red", (2, H, W), and gates (2, 6)."""
    figure, axes = canvas(1, 4, 2.8)
    for k, name in enumerate(("photo", "with a blue patch")):
        image(axes[0, 2 * k], x[k], name)
        image(
            axes[0, 2 * k + 1],
            reds[k],
            f"$\\tilde{{\\mathbf{{x}}}}_4$, $s_4$ = {float(s[k, RED]):.2f}",
            vmax=0.4,
        )
    figure.supxlabel("maps: black 0, white 0.4 or more", fontsize=15)
    box = (slice(60, 130), slice(40, 120))
    means = [float(r[box].mean()) for r in reds]
    return Picture(
        figure,
        f"The photo, and red after the gate of {float(s[0, RED]):.2f}: "
        f"the temple shows, mean {rounded(means[0])}. "
        f"With a blue patch in the far corner the gate is {float(s[1, RED]):.2f} and the temple's mean "
        f"{rounded(means[1])}.",
    )


@styled
def folded(errors: dict[str, Tensor]) -> Picture:
    """How far folded filters are off, (6, H, W) for each photo: the largest over the channels, (H, W)."""
    figure, axes = canvas(1, len(errors), 4.0)
    for ax, (name, error) in zip(axes.flat, errors.items(), strict=True):
        drawn = image(ax, error.abs().amax(0), name, cmap="gray_r", vmin=0, vmax=0.2)
        ax.set_axis_on()
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
    bar = figure.colorbar(drawn, ax=axes, location="right", shrink=0.8, ticks=[0, 0.2])
    bar.ax.set_yticklabels(["0", "0.2\nor more"])
    # Differences that are rounding are told as none: they are not the same on every processor.
    sizes = {name: float(e.abs().max()) for name, e in errors.items()}
    told = {
        name: f"largest difference {rounded(v)}" if v > 1e-5 else "no difference" for name, v in sizes.items()
    }
    for ax, words in zip(axes.flat, told.values(), strict=True):
        ax.set_xlabel(words)
    return Picture(
        figure, "Gate and folded filters. " + "; ".join(f"{n}: {words}" for n, words in told.items()) + "."
    )


@styled
def spread(x_tilde: Tensor, u: Tensor) -> Picture:
    """x̃ against u, position by position, for some channels, (6, H, W) each."""
    figure, axes = canvas(1, 6, 2.9, sharey=True)
    picked = torch.linspace(0, u[0].numel() - 1, 300).long()
    slopes: list[float] = []
    off = 0.0
    for c, ax in enumerate(axes.flat):
        before, after = u[c].flatten()[picked], x_tilde[c].flatten()[picked]
        ax.plot(before, after, "o", markersize=4, color=BLUE)
        ax.set(title=CHANNELS[c], xlim=(0, 1), ylim=(0, 1), xlabel=f"$u_{c + 1}$", aspect="equal")
        ax.title.set_fontsize(14)
        slopes.append(float((after @ before) / (before @ before)))
        off = max(off, float((x_tilde[c] - slopes[-1] * u[c]).abs().max()))
        ax.text(0.05, 0.8, f"slope {slopes[-1]:.2f}", fontsize=15)
    axes[0, 0].set_ylabel("$\\tilde{x}$", rotation=0, fontsize=20, labelpad=14)
    told = "all positions" if off < 1e-5 else "not all positions"
    return Picture(figure, f"In each channel {told} lie on one line through zero. Slopes: {listed(slopes)}.")
