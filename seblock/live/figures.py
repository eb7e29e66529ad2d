"""What each live figure is given: its settings and tensors, and the picture where nothing runs."""

import functools
import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor

from seblock import photos
from seblock.functional import excite, squeeze
from seblock.plots.toolkit import Picture


class Given(NamedTuple):
    """A figure's part of the page's data."""

    settings: dict[str, Any]
    """`label`, its accessible name; `value`, the state it starts and is reset to; what else it reads."""
    tensors: dict[str, Tensor]


def webp(photo: Tensor) -> Tensor:
    """A photo (3, H, W) in 0..1 as the bytes of a lossless WebP file, half the size of its pixels."""
    pixels = (photo * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(file := io.BytesIO(), "WEBP", lossless=True, quality=100, method=4)
    return torch.frombuffer(bytearray(file.getvalue()), dtype=torch.uint8)


@functools.cache
def photo_files() -> dict[str, Tensor]:
    """The two photos, in the notebooks' size, as files that a browser opens."""
    return {name: webp(photo) for name, photo in zip(("temple", "flower"), photos.load(), strict=True)}


def block() -> Given:
    """The SE block on a photo, with the six named filters and the gates set by hand."""
    height, width = photos.load().shape[2:]
    w1, w2 = photos.hand_set_gate()
    patch = (40, 60)
    value = {
        "photo": "temple",
        "tint": 0,
        "patch": False,
        "left": width - patch[1],
        "top": height - patch[0],
        "scramble": False,
        "hand": [None] * len(photos.CHANNELS),
    }
    settings = {
        "label": "The SE block on a photo",
        "value": value,
        "names": photos.CHANNELS,
        "height": height,
        "width": width,
        "patch": patch,
    }
    return Given(settings, photo_files() | {"v": photos.named_filters(), "w1": w1, "w2": w2})


def block_picture() -> Picture:
    """The temple and its gates."""
    from seblock.plots import excitation

    temple = photos.load()[:1]
    s = excite(squeeze(photos.features(temple)), *photos.hand_set_gate())
    return excitation.tinted(temple[0], s[0], 0.0)


FIGURES: Mapping[str, tuple[Callable[[], Given], Callable[[], Picture]]] = {
    "block": (block, block_picture),
}
"""By name: what the figure is given, and its picture for a page that has no notebook."""
