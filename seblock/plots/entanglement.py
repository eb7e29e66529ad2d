"""Figures of 02_entanglement."""

from torch import Tensor

from seblock.plots import RED, SIGNED, Picture, bars, canvas, image, listed, rounded, styled

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
    return figure, "Filters as matrices of colour by place. " + " ".join(alts)


@styled
def means(rows: dict[str, list[float]], ticks: list[str]) -> Picture:
    """Mean responses: `rows` maps a filter's name to one number for each version of the photo."""
    figure, axes = canvas(1, len(rows), 3.6)
    for ax, (name, values) in zip(axes.flat, rows.items(), strict=True):
        bars(ax, {name: values}, ticks, fmt="%.3f")
        ax.set_title(f"mean of “{name}”")
    alts = [
        f"Mean of {name}: {listed(values, [t.replace(chr(10), ' ') for t in ticks])}."
        for name, values in rows.items()
    ]
    return figure, " ".join(alts)


@styled
def painted(x: Tensor, change: Tensor) -> Picture:
    """A painted photo (3, H, W), and how much a map changed, (H, W): white is nought."""
    figure, axes = canvas(1, 2, 4.2)
    image(axes[0, 0], x, "the photo with a blue patch")
    title = "change of $\\mathbf{u}_4$, red"
    drawn = image(axes[0, 1], change.abs(), title, cmap="gray_r", vmin=0, vmax=0.2)
    axes[0, 1].set_axis_on()
    axes[0, 1].set(xticks=[], yticks=[])
    axes[0, 1].spines[:].set_visible(True)
    bar = figure.colorbar(drawn, ax=axes, location="right", shrink=0.8, ticks=[0, 0.2])
    bar.ax.set_yticklabels(["0", "0.2\nor more"])
    share = (change != 0).double().mean()
    return figure, (
        "A blue patch in the lower right corner, and the change of red: "
        f"nothing outside the patch and its rim, {rounded(100 * share)} % of all positions changed."
    )


@styled
def pasted(x: Tensor, box: tuple[int, int, int, int], difference: float) -> Picture:
    """Two photos (2, 3, H, W) with the same piece in the same box (top, bottom, left, right)."""
    figure, axes = canvas(1, 2, 4.2)
    top, bottom, left, right = box
    for ax, photo, title in zip(axes.flat, x, ("the temple", "a piece of it in the flower"), strict=True):
        image(ax, photo, title)
        ax.plot([left, right, right, left, left], [top, top, bottom, bottom, top], color=RED, linewidth=3)
    return figure, (
        "The same piece of the temple, framed, in both photos. Largest difference of red inside it: "
        f"{rounded(difference)}."
    )
