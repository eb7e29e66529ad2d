"""Figures of 02_entanglement."""

from torch import Tensor
from torch.nn.functional import avg_pool2d

from seblock.photos import BLUE, RED
from seblock.plots.toolkit import BLUE as BLUE_INK
from seblock.plots.toolkit import RED as RED_INK
from seblock.plots.toolkit import SIGNED, SKY, Picture, canvas, image, rounded, styled

COLOURS = ("red", "green", "blue")


def _thumbnail(x: Tensor) -> Tensor:
    """A photo at half its width and height: enough for a small picture, in a quarter of the bytes."""
    return avg_pool2d(x, 2)


@styled
def light(x: dict[str, Tensor], red: Tensor, spot: tuple[int, int]) -> Picture:
    """Photos (3, H, W) by name, above the map "red" of each, (N, H, W), read at `spot` (row, column)."""
    figure, axes = canvas(2, len(x), 6.6)
    i, j = spot
    for column, (name, photo), found in zip(axes.T, x.items(), red, strict=True):
        image(column[0], photo, name)
        image(column[1], found, "$\\mathbf{u}_4$, red")
        for ax in column:
            for width, colour in ((5, "black"), (2.5, "white")):
                ax.plot(j, i, "o", ms=15, mfc="none", mec=colour, mew=width)
        column[1].text(j + 12, i, f"{float(found[i, j]):.2f}", color="white", fontsize=24, va="center")
    told = ", ".join(f"{rounded(found[i, j])} in {name}" for name, found in zip(x, red, strict=True))
    return Picture(figure, f"The temple and its map red, black 0, white 1. Red at the wood: {told}.")


@styled
def painted(x: Tensor, change: Tensor) -> Picture:
    """A painted photo (3, H, W), and how much a map changed, (H, W): white is nought."""
    figure, axes = canvas(1, 2, 4.2)
    image(axes[0, 0], x, "the photo with a blue patch")
    title = "size of the change of $\\mathbf{u}_4$, red"
    drawn = image(axes[0, 1], change.abs(), title, cmap="gray_r", vmin=0, vmax=0.1)
    axes[0, 1].set_axis_on()
    axes[0, 1].set(xticks=[], yticks=[])
    axes[0, 1].spines[:].set_visible(True)
    if not bool((change[:100] != 0).any()):
        axes[0, 1].text(120, 60, "exactly 0", fontsize=26, ha="center", va="center", color="#555555")
    bar = figure.colorbar(drawn, ax=axes, location="right", shrink=0.8, ticks=[0, 0.1])
    bar.ax.set_yticklabels(["0", "0.1\nor more"])
    rows, columns = (change != 0).nonzero(as_tuple=True)
    share = (change != 0).double().mean()
    return Picture(
        figure,
        "A blue patch in the lower right corner, and the change of red: all of it in the last "
        f"{change.shape[0] - int(rows.min())} rows and {change.shape[1] - int(columns.min())} columns, "
        f"{rounded(100 * share)} % of all positions.",
    )


@styled
def means(x: dict[str, Tensor], z: Tensor) -> Picture:
    """Photos (3, H, W) by name, and below each the means of its maps "red" and "blue", from z, (N, 6)."""
    figure, axes = canvas(2, len(x), 5.6, height_ratios=(1.25, 1))
    shown = z[:, [RED, BLUE]]
    for column, (name, photo), values in zip(axes.T, x.items(), shown.tolist(), strict=True):
        image(column[0], _thumbnail(photo), name)
        ax = column[1]
        drawn = ax.barh([0, 1], values, 0.7, color=[RED_INK, BLUE_INK])
        ax.bar_label(drawn, fmt=" %.2f", fontsize=20)
        ax.set_yticks([0, 1], ["red", "blue"])
        ax.set(xlim=(0, 1.25 * float(shown.max())), ylim=(1.6, -0.6), xticks=[])
        ax.spines["bottom"].set_visible(False)
    axes[1, 0].set_ylabel("mean of the map")
    told = "; ".join(
        f"{name}: red {rounded(red)}, blue {rounded(blue)}"
        for name, (red, blue) in zip(x, shown, strict=True)
    )
    return Picture(figure, f"Means of two maps. {told}.")


@styled
def pasted(x: Tensor, red: Tensor, box: tuple[int, int, int, int]) -> Picture:
    """Two photos (2, 3, H, W) and, enlarged, "red" within `box` (top, bottom, left, right), of (2, H, W).

    The enlarged part begins one position inside the box, where no window reaches out of it.
    """
    top, bottom, left, right = box
    inside = red[:, top + 1 : bottom - 1, left + 1 : right - 1]
    difference = float((inside[0] - inside[1]).abs().max())
    figure, axes = canvas(2, 2, 6.8)
    for row, photo, found, name in zip(
        axes, x, inside, ("the temple", "pasted into the flower"), strict=True
    ):
        image(row[0], photo, name)
        frame = [left, right, right, left, left], [top, top, bottom, bottom, top]
        row[0].plot(*frame, color="black", linewidth=6)
        row[0].plot(*frame, color=SKY, linewidth=3)
        image(row[1], found, "red in the frame, enlarged")
    told = rounded(difference) if difference > 0 else "0"
    return Picture(
        figure,
        "The same piece of the temple, framed, in both photos, and red within the frame. "
        f"Largest difference of red between the two: {told}; mean of red there {rounded(inside.mean())}.",
    )


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
def versions(x: dict[str, Tensor], means: Tensor) -> Picture:
    """Versions of a photo, (3, H, W) by name, each above a mean, (N,), in per cent of the first."""
    figure, axes = canvas(1, len(x), 3.3)
    shares = (100 * means / means[0]).tolist()
    for ax, (name, photo), share in zip(axes.flat, x.items(), shares, strict=True):
        image(ax, _thumbnail(photo), name)
        ax.text(0.5, -0.16, f"{share:.0f} %", fontsize=26, ha="center", va="center", transform=ax.transAxes)
    told = ", ".join(f"{name} {share:.0f} %" for name, share in zip(x, shares, strict=True))
    return Picture(figure, f'Mean of "blue above red" as a share of the photo\'s own: {told}.')
