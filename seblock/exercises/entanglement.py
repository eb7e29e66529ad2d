"""Exercises of 02_entanglement."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seblock.exercises.exercise import Exercise, seeded
from seblock.photos import RED, named_filters


def rank(v_c: Tensor) -> int:
    return int(torch.linalg.matrix_rank(v_c.flatten(1)))


def _mixtures() -> list[tuple[Tensor]]:
    """Filters of rank 1, 2, 3 and 1, of shapes (3, 3, 3), (5, 3, 3), (4, 3, 3) and (4, 5, 5)."""
    filters = []
    for r, channels, k in [(1, 3, 3), (2, 5, 3), (3, 4, 3), (1, 4, 5)]:
        colours, patterns = seeded((channels, r), (r, k * k), seed=r + channels)
        filters.append(((colours @ patterns).view(channels, k, k),))
    return filters


def _of_rank(r: int, channels: int = 6) -> Tensor:
    """A filter, (channels, 3, 3), of rank r."""
    colours, patterns = seeded((channels, r), (r, 9), seed=10 + r)
    return (colours @ patterns).view(channels, 3, 3)


def _slices_apart() -> Tensor:
    """A filter, (3, 3, 3), of rank 2: its first slice is zero, the two others are rows times columns."""
    rows, columns = seeded((2, 3), (2, 3), seed=5)
    return torch.cat([torch.zeros(1, 3, 3), rows[:, :, None] * columns[:, None]])


def _first_slice_zero() -> Tensor:
    """A filter, (3, 3, 3), of rank 2 whose first slice is zero."""
    return torch.cat([torch.zeros(1, 3, 3), *seeded((2, 3, 3), seed=6)])


def _sizes(result: Any, v_c: Tensor) -> str:
    """How a number compares with the filter's singular values."""
    sizes = torch.linalg.svdvals(v_c.flatten(1)).tolist()
    listed = ", ".join(f"{size:.2g}" if size > 1e-5 * sizes[0] else "0" for size in sizes)
    return (
        f"For a filter of shape {tuple(v_c.shape)} your function returns {result}. As a matrix of {len(v_c)} "
        f"channels by {v_c[0].numel()} places it has the singular values {listed}: the rank is how "
        f"many are not 0."
    )


check_rank = Exercise(
    solution=rank,
    cases=[
        *[*_mixtures(), (named_filters()[RED],), (_of_rank(5) / 100,), (_of_rank(2) / 100,)],
        *[(_of_rank(3, 3),), (_of_rank(9, 12) * 30,), (_slices_apart(),), (_first_slice_zero(),)],
    ],
    shapes="v_c (C', k, k) -> ()",
    kinds={
        "every channel counts, so that the rank is C'": lambda v_c: rank(v_c) == len(v_c),
        "the rank is 1": lambda v_c: rank(v_c) == 1,
        "the filter's numbers are not small": lambda v_c: bool(v_c.norm() > 0.5),
        "k is 3": lambda v_c: v_c.shape[1] == 3,
        "there are at most 9 channels": lambda v_c: len(v_c) <= 9,
    },
    reason=lambda result, v_c: _sizes(result.item() if isinstance(result, Tensor) else result, v_c),
    right="Rank 1 is colour times pattern; from 2 on, which channels count depends on the place.",
    mistakes={
        "It is the rank of each k × k slice. The task wants one number: channels in rows, places in columns.":
            lambda v_c: torch.linalg.matrix_rank(v_c),
        "The ranks of the slices are added up. The matrix has channels in rows, all places in columns.":
            lambda v_c: torch.linalg.matrix_rank(v_c).sum(),
        "It is the largest rank of a slice. The matrix has channels in rows, all places in columns.":
            lambda v_c: torch.linalg.matrix_rank(v_c).max(),
        "It is the mean rank of the slices. The matrix has channels in rows, all places in columns.":
            lambda v_c: int(torch.linalg.matrix_rank(v_c).float().mean()),
        "It is the rank of the first slice alone. The matrix has channels in rows, all places in columns.":
            lambda v_c: torch.linalg.matrix_rank(v_c[0]),
        "It is the rank of the slices' sum. Adding up the channels loses which channel was which.":
            lambda v_c: torch.linalg.matrix_rank(v_c.sum(0)),
        "Flattened all the way, any filter is one long row, and its rank is 1.":
            lambda v_c: 1,
        "Every singular value is counted, also those that are zero but for rounding. Set a tolerance.":
            lambda v_c: min(len(v_c), v_c[0].numel()),
        "Every channel is counted, whether or not it repeats others.":
            lambda v_c: len(v_c),
        "It is the number of axes. The rank of a matrix counts its independent rows.":
            lambda v_c: v_c.ndim,
        "The singular values are there. Count those that are not 0, up to rounding.":
            lambda v_c: torch.linalg.svdvals(v_c.flatten(1)),
        "It says of each singular value whether it is 0. Count them.":
            lambda v_c: torch.linalg.svdvals(v_c.flatten(1)) > 1e-5,
        "The singular values are added up. Count those that are not 0.":
            lambda v_c: torch.linalg.svdvals(v_c.flatten(1)).sum(),
        "The singular values are added up. Count those that are not 0, whatever their size.":
            lambda v_c: int(torch.linalg.svdvals(v_c.flatten(1)).sum()),
        "It is the rank of a matrix of one row for each row of the kernel. Places belong in the columns.":
            lambda v_c: torch.linalg.matrix_rank(v_c.flatten(0, 1)),
        "It is one less than the rank. Zero would be a filter of zeros.":
            lambda v_c: rank(v_c) - 1,
        "It is a share of the channels. The task asks for the rank itself.":
            lambda v_c: rank(v_c) / len(v_c),
    },
)  # fmt: skip


def field(kernels: list[int], dilations: list[int]) -> int:
    return 1 + sum(d * (k - 1) for k, d in zip(kernels, dilations, strict=True))


def _field(
    kernels: list[int],
    dilations: list[int],
    start: int = 1,
    layers: Callable[[list[tuple[int, int]]], list[tuple[int, int]]] = lambda layers: layers,
    reach: Callable[[int, int], int] = lambda k, d: d * (k - 1),
    all_of: Callable[[list[int]], int] = sum,
) -> int:
    chosen = layers(list(zip(kernels, dilations, strict=True)))
    return start + all_of([reach(k, d) for k, d in chosen])


def _layer(result: Any, kernels: list[int], dilations: list[int]) -> str:
    """What the first layers should give, for a stack that is wrong."""
    steps, seen = [], 1
    for k, d in zip(kernels, dilations, strict=True):
        seen += d * (k - 1)
        steps.append(str(seen))
    return (
        f"For kernels = {kernels} and dilations = {dilations} your function returns {result}, "
        f"expected is {seen}. "
        f"Starting from 1 position, the view grows layer by layer to {', '.join(steps)}."
    )


check_field = Exercise(
    solution=field,
    cases=[
        *[([3], [1]), ([7], [1]), ([3], [4]), ([4], [3]), ([2, 4], [1, 1]), ([3, 3], [2, 2])],
        *[([3, 3, 3], [1, 1, 1]), ([3, 3, 3], [1, 3, 9]), ([5, 1, 3], [1, 1, 2]), ([3, 5], [2, 4])],
        *[([7, 3], [3, 1]), ([5, 4, 2, 3], [1, 2, 1, 3]), ([2, 2, 6], [5, 1, 2])],
    ],
    kinds={
        "all dilations are 1": lambda kernels, dilations: set(dilations) == {1},
        "there is one layer": lambda kernels, dilations: len(kernels) == 1,
        "all kernels are odd": lambda kernels, dilations: all(k % 2 for k in kernels),
        "all dilations are equal": lambda kernels, dilations: len(set(dilations)) == 1,
        "every kernel is 3 wide": lambda kernels, dilations: set(kernels) == {3},
        "the first dilation is 1": lambda kernels, dilations: dilations[0] == 1,
    },
    reason=_layer,
    right="A layer widens the view by its dilation times (k - 1).",
    variant=_field,
    slips={
        "start": {"The position itself is missing: without any layer the view is 1 wide.": 0},
        "layers": {
            "The first layer is left out.": lambda layers: layers[1:],
            "The last layer is left out.": lambda layers: layers[:-1],
            "Only the first layer is counted: does the loop return too early?": lambda layers: layers[:1],
            "Only the last layer is counted: each layer adds to those before it.": lambda layers: layers[-1:],
            "Every kernel is taken with every dilation. Layer i has kernel i and dilation i.":
                lambda layers: [(k, d) for k, _ in layers for _, d in layers],
            "The dilations are multiplied up from layer to layer. Each is counted in pixels already.":
                lambda layers: [
                    (k, math.prod(d for _, d in layers[: i + 1])) for i, (k, _) in enumerate(layers)
                ],
        },
        "reach": {
            "The dilation is left out: it spreads a kernel's k positions d steps apart.": lambda k, d: k - 1,
            "The kernel's width is left out: a layer adds its dilation times (k - 1).": lambda k, d: d,
            "The kernels are taken to be 3 wide. A layer adds its dilation times (k - 1).":
                lambda k, d: 2 * d,
            "It is d × k for each layer. A kernel spread by d spans d × (k - 1) + 1 positions.":
                lambda k, d: d * k,
            "It is d × k - 1 for each layer. The gaps are counted: there are k - 1 of them, each d wide.":
                lambda k, d: d * k - 1,
            "Only one side is counted. A kernel reaches to the left and to the right.":
                lambda k, d: d * (k // 2),
            "Only one side is counted, and rounded down. A kernel reaches to the left and to the right.":
                lambda k, d: d * ((k - 1) // 2),
            "A kernel of even width has no middle: 2 × (k // 2) is one too many. Count the k - 1 gaps.":
                lambda k, d: 2 * d * (k // 2),
            "A kernel of even width has no middle: 2 × ((k - 1) // 2) is too few. Count the k - 1 gaps.":
                lambda k, d: 2 * d * ((k - 1) // 2),
            "It is k for each layer. Neighbouring windows overlap: a layer adds d × (k - 1).": lambda k, d: k,
            "Each layer adds 1 too many: the position itself is counted once, not in each layer.":
                lambda k, d: d * (k - 1) + 1,
            "The dilation is added. It multiplies the k - 1 gaps.": lambda k, d: k - 1 + d,
            "The dilation is a power there. It multiplies the k - 1 gaps.": lambda k, d: (k - 1) ** d,
            "The dilation counts less 1. With dilation 1 a layer still adds k - 1.":
                lambda k, d: (k - 1) * (d - 1),
        },
        "all_of": {
            "Only the widest layer is counted. A stack sees farther than any of its layers.": max,
            "The layers' shares are multiplied. The view grows by addition, layer by layer.": math.prod,
        },
    },
    mistakes={
        "The kernels' widths are added. Neighbouring windows overlap: each layer adds only k - 1.":
            lambda kernels, dilations: sum(kernels),
        "The kernels' widths are multiplied. The view grows by addition, layer by layer.":
            lambda kernels, dilations: math.prod(kernels),
        "The layers' widths are multiplied. The view grows by addition, layer by layer.":
            lambda kernels, dilations: math.prod(
                d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True)
            ),
        "It is the area, the width squared. The task asks for the width.":
            lambda kernels, dilations: field(kernels, dilations) ** 2,
        "The largest dilation is taken for all layers. Each layer has its own.":
            lambda kernels, dilations: field(kernels, [max(dilations)] * len(kernels)),
        "The view without dilation is multiplied by the largest one. Each layer's own dilation counts.":
            lambda kernels, dilations: field(kernels, [1] * len(kernels)) * max(dilations),
        "The first dilation is taken for all layers. Each layer has its own.":
            lambda kernels, dilations: field(kernels, dilations[:1] * len(kernels)),
        "It is two positions for each layer, whatever its kernel and dilation.":
            lambda kernels, dilations: 1 + 2 * len(kernels),
    },
)  # fmt: skip
