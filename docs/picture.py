"""Draw the picture of the README: `make picture`. Prints the words for those who do not see it."""

import io
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from seblock.data import features, photos

FILE = Path(__file__).with_name("picture.png")
MAPS = ("bright", "horizontal edges", "vertical edges", "red", "green", "blue")
ALT = (
    "A photo of a red temple between trees, and six grey maps of it, white where a filter finds what it "
    "looks for: bright, horizontal edges, vertical edges, red, green, blue."
)


def draw() -> bytes:
    """A photo and what six filters find in it, as a PNG of 1080×360 pixels.

    Each map is white at its 99th percentile. Colours are rounded to steps of 8, which keeps the file small.
    """
    photo = photos()[:1]
    maps = features(photo)[0]
    figure = Figure(figsize=(12, 4), dpi=90, facecolor="white", layout="constrained")
    left, right = figure.subfigures(1, 2, width_ratios=(2, 3))
    ax = left.subplots()
    ax.imshow(photo[0].permute(1, 2, 0).numpy())
    ax.set_title("a photo", fontsize=15)
    ax.axis("off")
    for ax, one, name in zip(right.subplots(2, 3).flat, maps, MAPS, strict=True):
        ax.imshow(one.numpy(), cmap="gray", vmin=0, vmax=float(one.quantile(0.99)))
        ax.set_title(name, fontsize=15)
        ax.axis("off")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB")
    buffer = io.BytesIO()
    pixels.point(lambda value: min((value + 4) // 8 * 8, 255)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


if __name__ == "__main__":
    FILE.write_bytes(draw())
    print(ALT)
