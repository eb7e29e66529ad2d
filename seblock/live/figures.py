"""What each live figure is given: its settings and tensors, and the picture where nothing runs."""

import functools
import io
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from seblock import networks, photos, trained
from seblock.blocks import SqEx
from seblock.cost import se_parameters
from seblock.functional import channel_terms, excite, squeeze
from seblock.plots.toolkit import BLUE, Picture, canvas, styled
from seblock.puzzles import painter as build_painter
from seblock.puzzles import painting_puzzle


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
        "gates": True,
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


def terms() -> Given:
    """The six named filters on the temple, and two places that notebook 01 marks."""
    x = photos.load()
    settings = {
        "label": "A sum of terms",
        "value": {"filter": photos.RED, "row": 85, "column": 79},
        "names": photos.CHANNELS,
        "height": x.shape[2],
        "width": x.shape[3],
        "places": {"mist": (63, 181), "wood": (85, 79)},
    }
    return Given(settings, {"temple": photo_files()["temple"], "v": photos.named_filters()})


def terms_picture() -> Picture:
    """The terms of "red" and their sum."""
    from seblock.plots import convolution

    given = terms()
    padded = F.pad(photos.load()[:1], (1, 1, 1, 1), mode="replicate")
    t = channel_terms(padded, photos.named_filters())[0, photos.RED]
    return convolution.terms(t, photos.RED, given.settings["places"])


def cost() -> Given:
    """The stages of SE-ResNet-50, the paper's r and its neighbours."""
    stages = [
        {"channels": channels, "blocks": blocks, "side": 56 // 2**k}
        for k, (channels, blocks) in enumerate(
            zip(networks.IMAGENET_CHANNELS, networks.IMAGENET_BLOCKS[50], strict=True)
        )
    ]
    settings = {
        "label": "What an SE block costs",
        "value": {"stage": 5, "channels": 2048, "reduction": 16},
        "stages": stages,
        "channels": [2**k for k in range(5, 12)],
        "reductions": [1, 2, 4, 8, 16, 32],
    }
    return Given(settings, {})


@styled
def cost_picture() -> Picture:
    """The parameters that SE adds to each stage of ResNet-50, r = 16."""
    stages = cost().settings["stages"]
    added = [se_parameters([(stage["blocks"], stage["channels"])]) for stage in stages]
    figure, axes = canvas(1, 1, 3.6)
    drawn = axes[0, 0].bar(range(2, 6), [n / 1e6 for n in added], color=BLUE)
    axes[0, 0].bar_label(drawn, [f"{n:,}" for n in added])
    axes[0, 0].set(
        xticks=range(2, 6),
        xlabel="stage of SE-ResNet-50 as the paper counts, r = 16",
        ylabel="parameters, millions",
    )
    told = ", ".join(f"stage {k} {n:,}" for k, n in enumerate(added, start=2))
    return Picture(figure, f"Parameters that SE adds to ResNet-50, r = 16: {told}.")


def painter() -> Given:
    """The puzzle's two networks, and digits of the test part, 16 being white."""
    puzzle = painting_puzzle(6, seed=1, part="test")
    nets = {
        f"{prefix}.{key}": tensor
        for prefix, file in (("se", "painter_se"), ("plain", "painter_plain"))
        for key, tensor in trained.tensors(file).items()
        if tensor.is_floating_point()  # not how many batches BatchNorm has seen
    }
    value = {"image": 0, "cue": 0, "gates": True, "source": "own", "hand": None, "gate": [0, 0]}
    classes = torch.stack([puzzle.named, puzzle.unnamed], dim=1)
    row = torch.arange(len(classes))
    kinds = torch.stack([classes[row, puzzle.cue], classes[row, 1 - puzzle.cue]], dim=1).tolist()
    settings = {
        "label": "The painter and its gates",
        "value": value | {"drawn": None, "pen": None},
        "reach": 13,
        "kinds": kinds,
    }
    return Given(settings, nets | {"digits": (puzzle.x[:, :2] * 16).to(torch.uint8)})


def painter_picture() -> Picture:
    """Two images, painted with SE and without."""
    from seblock.plots import start

    puzzle = painting_puzzle(6, seed=1, part="test")
    with_se = trained.load(build_painter(partial(SqEx, reduction=4)), "painter_se")
    plain = trained.load(build_painter(), "painter_plain")
    with torch.no_grad():
        return start.painted(puzzle, (0, 1), {"with SE": with_se(puzzle.x), "plain": plain(puzzle.x)})


FIGURES: Mapping[str, tuple[Callable[[], Given], Callable[[], Picture]]] = {
    "block": (block, block_picture),
    "terms": (terms, terms_picture),
    "cost": (cost, cost_picture),
    "painter": (painter, painter_picture),
}
"""By name: what the figure is given, and its picture for a page that has no notebook."""
