"""Figures of 02_entanglement."""

from torch import Tensor

from seblock.plots.toolkit import SIGNED, SKY, Picture, bars, canvas, image, listed, rounded, styled

COLOURS = ("red", "green", "blue")


@styled
def matrices(filters: dict[str, Tensor], values: dict[str, Tensor]) -> Picture:
    """Filters (3, 3, 3) as matrices, colours in rows and places in columns, with singular values (3,)."""
    figure, axes = canvas(1, len(filters), 3.6)
    alts = []
    for ax, (name, v_c) in zip(axes.flat, filters.items(), strict=True):
        drawn = image(ax, v_c.flatten(1), "", cmap=SIGNED, vmin=-1 / 3, vmax=1 / 3)
        ax.set_axis_on()
        ax.set_yticks(range(3), COLOURS)
        ax.set_xticks([1, 4, 7], ["top row", "middle", "bottom row"])
        ax.spines[:].set_visible(False)
        sizes = ", ".join(f"{float(n):.2f}" for n in values[name])
        ax.set_title(f"“{name}”\nsingular values {sizes}")
        alts.append(f"{name}: singular values {sizes}.")
    figure.colorbar(drawn, ax=axes, location="right", shrink=0.7, ticks=[-0.3, 0, 0.3])
    return Picture(figure, "Filters as matrices of colour by place. " + " ".join(alts))


@styled
def means(rows: dict[str, list[float]], ticks: list[str]) -> Picture:
    """Mean responses, in per cent of the first: `rows` maps a filter's name to a number for each photo."""
    figure, axes = canvas(1, len(rows), 3.8, sharey=True)
    rows = {name: [100 * float(v / values[0]) for v in values] for name, values in rows.items()}
    for ax, (name, values) in zip(axes.flat, rows.items(), strict=True):
        bars(ax, {name: values}, ticks, fmt="%.0f")
        ax.set_title(f"mean of “{name}”")
    axes[0, 0].set_ylabel("% of the photo's")
    plain = [tick.replace("\n", " ") for tick in ticks]
    alts = [
        f"Mean of {name}, in per cent of the photo's: {listed(values, plain)}."
        for name, values in rows.items()
    ]
    return Picture(figure, " ".join(alts))


@styled
def painted(x: Tensor, change: Tensor) -> Picture:
    """A painted photo (3, H, W), and how much a map changed, (H, W): white is nought."""
    figure, axes = canvas(1, 2, 4.2)
    image(axes[0, 0], x, "the photo with a blue patch")
    title = "size of the change of $\\mathbf{u}_4$, red"
    drawn = image(axes[0, 1], change.abs(), title, cmap="gray_r", vmin=0, vmax=0.2)
    axes[0, 1].set_axis_on()
    axes[0, 1].set(xticks=[], yticks=[])
    axes[0, 1].spines[:].set_visible(True)
    bar = figure.colorbar(drawn, ax=axes, location="right", shrink=0.8, ticks=[0, 0.2])
    bar.ax.set_yticklabels(["0", "0.2\nor more"])
    rows, columns = (change != 0).nonzero(as_tuple=True)
    share = (change != 0).double().mean()
    return Picture(
        figure,
        "A blue patch in the lower right corner, and the change of red: all of it in the last "
        f"{change.shape[0] - int(rows.min())} rows and {change.shape[1] - int(columns.min())} columns, "
        f"{rounded(100 * share)} % of all positions.",
    )


@styled
def pasted(x: Tensor, red: Tensor, box: tuple[int, int, int, int]) -> Picture:
    """Two photos (2, 3, H, W) and their "red" (2, H, W), the same piece of both framed by
    `box` (top, bottom, left, right)."""
    top, bottom, left, right = box
    inside = red[:, top + 1 : bottom - 1, left + 1 : right - 1]
    difference = float((inside[0] - inside[1]).abs().max())
    figure, axes = canvas(1, 4, 2.9)
    names = ("the temple", "in the flower")
    for k, name in enumerate(names):
        image(axes[0, 2 * k], x[k], name)
        image(axes[0, 2 * k + 1], red[k], "$\\mathbf{u}_4$, red")
    for ax in axes.flat:
        ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=SKY, linewidth=3)
    told = rounded(difference) if difference > 1e-6 else "none"
    scale = "(maps: black 0, white 1 or more)"
    figure.supxlabel(f"difference of red, a pixel or more inside the frame: {told}   {scale}", fontsize=16)
    return Picture(
        figure,
        "The same piece of the temple, framed, in both photos, and red of both. "
        f"Largest difference of red, a pixel or more inside the frame: {told}; "
        f"mean of red there {rounded(inside.mean())}.",
    )
