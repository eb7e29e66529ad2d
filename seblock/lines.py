"""Lines of text as a scanner cuts them out of a page, drawn with the fonts that matplotlib brings.

A `Line` says what is written and how it looks; `draw` makes an image of it, 48 pixels high.
"""

import colorsys
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

HEIGHT, WIDTH = 48, 192
"""Pixels of a line's image: as high as this, at most as wide."""

FONTS = {
    "sans": ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique"),
    "serif": ("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic"),
    "mono": (
        *("DejaVuSansMono", "DejaVuSansMono-Bold"),
        *("DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique"),
    ),
    "stix": ("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
}
"""By family: regular, bold, italic, bold italic."""

WORDS = """
    bread milk butter apples rice coffee sugar honey cheese onions paper pencil ruler stamp letter
    parcel ticket station platform bridge street garden window kitchen table ladder bucket hammer nails
    paint brush river harbour island forest valley meadow summer winter morning evening monday friday
    march august total amount price weight number account invoice receipt balance change cash open
    closed push pull enter leave left right north south please thank you welcome hello the and with from
    into under over between before after again soon small large quick quiet heavy light fresh warm green
    yellow silver wooden engine wheel signal button switch battery camera record chapter volume author
    figure section question answer example measure
""".split()
"""What random lines are made of."""


@dataclass(frozen=True)
class Line:
    """What is written, and how it looks."""

    text: str
    family: str = "sans"
    bold: bool = False
    italic: bool = False
    contrast: float = 0.9
    """The difference in brightness of ink and paper, from 0 to 1."""
    brightness: float = 0.5
    """Of the grey midway between ink and paper; 0 is black and 1 is white."""
    light_on_dark: bool = False
    colour: float = 0.0
    """How colourful ink and paper are: 0 is grey, 1 is strong, 3 all that their brightness allows."""
    hue: float = 0.0
    """The ink's colour, from 0 to 1 around the colour circle; the paper's lies opposite, more or less."""
    blur: float = 0.0
    """The standard deviation of a Gaussian, in pixels of the image."""
    noise: float = 0.0
    """The standard deviation of what is added to each pixel; brightness goes from 0 to 1."""
    noise_seed: int = 0
    size: int = 40
    """Of the letters as they are drawn first, in pixels; the image is then brought to its height."""
    margin: float = 0.12
    """Empty space around the text, in text heights."""


@cache
def load_font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """One of matplotlib's fonts, by the name of its file; letters are set one by one, as anywhere."""
    from matplotlib import get_data_path

    path = Path(get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def draw(line: Line) -> Tensor:
    """The image of a line, red green blue in 0..1: (3, 48, w), w at most 192.

    A longer line is squeezed to this width, as the scanner does. Raises ValueError if there is nothing to
    see: no letter, or none but spaces.
    """
    font = load_font(FONTS[line.family][line.bold + 2 * line.italic], line.size)
    left, top, right, bottom = map(round, font.getbbox(line.text))
    if not line.text.strip() or right <= left or bottom <= top:
        raise ValueError(f"there is nothing to draw in {line.text!r}")
    margin = round(line.margin * (bottom - top))
    width, height = right - left + 2 * margin, bottom - top + 2 * margin
    drawn = Image.new("L", (width, height), 0)
    ImageDraw.Draw(drawn).text((margin - left, margin - top), line.text, fill=255, font=font)
    ink = torch.from_numpy(np.array(drawn)).float()[None, None] / 255
    ink = F.interpolate(ink, (HEIGHT, min(WIDTH, math.ceil(HEIGHT * width / height))), mode="bilinear")
    if line.blur:
        ink = _blur(ink, line.blur)
    paper_colour, ink_colour = (torch.tensor(c)[:, None, None] for c in colours(line))
    image = paper_colour * (1 - ink[0]) + ink_colour * ink[0]
    if line.noise:
        generator = torch.Generator().manual_seed(line.noise_seed)
        image = image + line.noise * torch.randn(image.shape, generator=generator)
    return (image.clamp(0, 1) * 255).round() / 255


def colours(line: Line) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Red, green and blue of the paper, and of the ink."""
    dark, light = line.brightness - line.contrast / 2, line.brightness + line.contrast / 2
    ink, paper = (light, dark) if line.light_on_dark else (dark, light)

    def tint(brightness: float, hue: float) -> tuple[float, ...]:
        # paler near black and white, where a slight tint is what one meets
        strength = min(1, line.colour * min(1, 2 * min(brightness, 1 - brightness) + 0.15))
        return colorsys.hls_to_rgb(hue % 1, brightness, strength)

    return tint(paper, line.hue + 0.37), tint(ink, line.hue)


def _blur(ink: Tensor, spread: float) -> Tensor:
    """A Gaussian over rows and columns, the border pixel repeated: (1, 1, H, W) -> (1, 1, H, W)."""
    reach = math.ceil(3 * spread)
    weights = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * spread**2))
    weights /= weights.sum()
    ink = F.pad(ink, (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(ink, weights[None, None, None]), weights[None, None, :, None])


def turn(image: Tensor) -> Tensor:
    """The image turned by 180°: (3, H, W) -> (3, H, W)."""
    return image.flip(1, 2)


def stretch(image: Tensor) -> Tensor:
    """The image with its darkest value at 0.2 and its lightest at 0.8, whatever they were: the same shape.

    Raises ValueError if all of it has one value.
    """
    low, high = image.min(), image.max()
    if low == high:
        raise ValueError("there is nothing to stretch: the image has a single value")
    return 0.2 + 0.6 * (image - low) / (high - low)


KINDS = ("lower", "title", "upper", "figures")
"""Of text: lower case, Capitalised, CAPITALS, numbers."""


def random_text(draw: random.Random, words: int | None = None, kind: str | None = None) -> str:
    """So many words or numbers, or one to four, of that kind or any of `KINDS`."""
    words = words or draw.randint(1, 4)
    kind = kind or draw.choice(KINDS)
    if kind == "figures":
        return " ".join(
            draw.choice(
                [
                    f"{draw.randint(10, 9999)}",
                    f"{draw.randint(0, 999)}.{draw.randint(0, 99):02}",
                    f"{draw.randint(0, 23)}:{draw.randint(0, 59):02}",
                ]
            )
            for _ in range(words)
        )
    text = " ".join(draw.choice(WORDS) for _ in range(words))
    return {"lower": text, "title": text.title(), "upper": text.upper()}[kind]


def random_lines(
    count: int, seed: int, words: int | None = None, kind: str | None = None, **fixed: Any
) -> list[Line]:
    """Lines of all kinds, the same for the same seed; what is `fixed` is the same in all: `contrast=0.1`.

    words: how many in each; one to four where nothing is said. kind: one of `KINDS`.
    """
    drawn = random.Random(seed)
    lines = []
    for _ in range(count):
        chosen: dict[str, Any] = {
            "text": random_text(drawn, words, kind),
            "family": drawn.choice(list(FONTS)),
            "bold": drawn.random() < 0.5,
            "italic": drawn.random() < 0.25,
            "contrast": drawn.uniform(0.35, 0.95),
            "light_on_dark": drawn.random() < 0.5,
            "colour": drawn.choice([0, 0.6]),
            "hue": drawn.random(),
            "blur": drawn.choice([0, 0.6, 1.2]),
            "noise": drawn.choice([0, 0.03, 0.08]),
            "noise_seed": drawn.randint(0, 2**31),
            "size": drawn.randint(26, 60),
            "margin": drawn.uniform(0.04, 0.25),
        }
        lines.append(Line(**chosen | fixed))
    return lines


PLAIN: dict[str, Any] = {
    "bold": False,
    "italic": False,
    "contrast": 0.6,
    "light_on_dark": False,
    "colour": 0,
    "blur": 0,
    "noise": 0,
}
"""Dark grey on light grey, sharp, neither bold nor italic."""


def changes(line: Line) -> dict[str, Line]:
    """A plain line, and the same line with one thing changed at a time, by its name."""
    return {
        "as it is": line,
        "half the contrast": replace(line, contrast=line.contrast / 2),
        "blurred": replace(line, blur=1.5),
        "light on dark": replace(line, light_on_dark=True),
        "coloured": replace(line, colour=3),
        "bold": replace(line, bold=True),
        "italic": replace(line, italic=True),
        "CAPITALS": replace(line, text=line.text.upper()),
        "twice the text": replace(line, text=f"{line.text} {line.text}"),
    }


def variants(line: Line) -> dict[str, Tensor]:
    """The images of a plain line with all its `changes`, and turned."""
    images = {name: draw(each) for name, each in changes(line).items()}
    return images | {"turned": turn(images["as it is"])}


def both_ways(lines: Iterable[Line]) -> list[Tensor]:
    """The images of all lines upright, then of all lines turned."""
    images = [draw(line) for line in lines]
    return images + [turn(image) for image in images]
