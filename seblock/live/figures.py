"""What each live figure is given: its settings and tensors, and the picture where nothing runs."""

import functools
import io
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from seblock import gates, lines, networks, photos, scanner, trained
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


PLAIN_LINES = (
    lines.Line("wooden bridge", "sans", **lines.PLAIN),
    lines.Line("fresh coffee", "serif", **lines.PLAIN),
    lines.Line("push or pull", "mono", **lines.PLAIN),
)
"""The lines of the scanner's figure, each of them with all `line_changes`."""
STEPS = 15
"""From the darkest to the lightest value of an image in the scanner's figure; more would take more bytes."""


def line_changes(line: lines.Line) -> dict[str, lines.Line]:
    """A plain line, and the same with one thing changed at a time; one contrast more than `lines.changes`."""
    changed = lines.changes(line)
    return {
        "as it is": line,
        "half the contrast": changed["half the contrast"],
        "a fifth of the contrast": replace(line, contrast=line.contrast / 5),
    } | changed


class Recorded(NamedTuple):
    """What the scanner's network made of 30 lines, upright and then turned; a change's are neighbours."""

    images: list[Tensor]
    """(3, 48, 192) each."""
    s: dict[str, Tensor]
    """By the block's name its gates, (N, C)."""
    answers: Tensor
    """The probability that each line is turned, (N,)."""
    moved: Tensor
    """How far each block's gates are from those of the same words as they are, upright: (N, blocks).

    In per cent of the way to another plain line's gates, as notebook 11 counts it.
    """


@functools.cache
def record_scanner() -> Recorded:
    """The gates of the lines of the scanner's figure."""
    network, names = scanner.load(), scanner.gate_names()
    by_line = [line_changes(line).values() for line in PLAIN_LINES]
    images = lines.both_ways(line for change in zip(*by_line, strict=True) for line in change)
    x = scanner.pack(images)
    s = {name: each.float() for name, each in gates.record(network, x.split(20), names).s.items()}
    plain = len(PLAIN_LINES)
    moved = []
    for each in s.values():
        own = each[:plain]
        far = (each - own.repeat(len(each) // plain, 1)).square().mean(1).sqrt()
        moved.append(100 * far / (own - own.roll(1, 0)).square().mean(1).sqrt().mean())
    return Recorded(images, s, scanner.answer(network, x), torch.stack(moved, dim=1))


@functools.cache
def line_file() -> Tensor:
    """The upright lines of the scanner's figure, one below the other, as a file that a browser opens."""
    images = record_scanner().images
    upright = torch.cat(images[: len(images) // 2], dim=1).unflatten(1, (-1, lines.HEIGHT))
    low, high = (end(upright, dim=(0, 2, 3), keepdim=True) for end in (torch.amin, torch.amax))
    few = low + (high - low) * ((upright - low) / (high - low) * STEPS).round() / STEPS
    return webp(few.flatten(1, 2))


def scanner_figure() -> Given:
    """The gates of a text scanner's network, recorded; gates in hundredths."""
    recorded = record_scanner()
    settings = {
        "label": "Gates of a text scanner's network",
        "value": {"line": 0, "turned": False, "block": 2, "gate": 17, "over": None},
        "texts": [line.text for line in PLAIN_LINES],
        "changes": list(line_changes(PLAIN_LINES[0])),
        "blocks": [each.shape[1] for each in recorded.s.values()],
        "height": lines.HEIGHT,
        "width": lines.WIDTH,
        "known": [(2, 17), (3, 26), (8, 24), (9, 111)],  # which notebook 11 looks at
    }
    hundredths = (100 * torch.cat(list(recorded.s.values()), dim=1)).round().to(torch.uint8)
    return Given(
        settings,
        {
            "lines": line_file(),
            "gates": hundredths,
            "answers": recorded.answers,
            "moved": recorded.moved,
        },
    )


def scanner_picture() -> Picture:
    """Four gates, and four changes of which each moves one of them."""
    from seblock.plots import scanner as plots

    recorded, settings = record_scanner(), scanner_figure().settings
    s, changes = list(recorded.s.values()), settings["changes"]
    shown = ["as it is", "a fifth of the contrast", "italic", "twice the text"]
    rows = [changes.index(change) for change in shown]
    values = {
        f"block {k}, gate {c}": s[k - 1][:, c - 1].view(2, len(changes), -1)[:, rows]
        for k, c in settings["known"]
    }
    return plots.by_change(values, shown)


FIGURES: Mapping[str, tuple[Callable[[], Given], Callable[[], Picture]]] = {
    "block": (block, block_picture),
    "terms": (terms, terms_picture),
    "cost": (cost, cost_picture),
    "painter": (painter, painter_picture),
    "scanner": (scanner_figure, scanner_picture),
}
"""By name: what the figure is given, and its picture for a page that has no notebook."""
