"""Exercises of 02_entanglement."""

import math

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


def _of_rank(r: int) -> Tensor:
    """A filter over six channels, (6, 3, 3), of rank r."""
    colours, patterns = seeded((6, r), (r, 9), seed=10 + r)
    return (colours @ patterns).view(6, 3, 3)


check_rank = Exercise(
    solution=rank,
    cases=[*_mixtures(), (named_filters()[RED],), (_of_rank(5) / 100,), (_of_rank(2) / 100,)],
    right="Rank 1 is colour times pattern; from 2 on, which channels count depends on the place.",
    mistakes={
        "It is the rank of each k × k slice. The task wants one number: channels in rows, places in columns.":
            lambda v_c: torch.linalg.matrix_rank(v_c),
        "The ranks of the slices are added up. The matrix has channels in rows, all places in columns.":
            lambda v_c: torch.linalg.matrix_rank(v_c).sum(),
        "It is the rank of the slices' sum. Adding up the channels loses which channel was which.":
            lambda v_c: torch.linalg.matrix_rank(v_c.sum(0)),
        "Flattened all the way, any filter is one long row, and its rank is 1.":
            lambda v_c: 1,
        "Every singular value is counted, also those that are zero but for rounding. Set a tolerance.":
            lambda v_c: min(len(v_c), v_c[0].numel()),
        "It is the rank of a matrix of one row for each row of the kernel. Places belong in the columns.":
            lambda v_c: torch.linalg.matrix_rank(v_c.flatten(0, 1)),
    },
)  # fmt: skip


def field(kernels: list[int], dilations: list[int]) -> int:
    return 1 + sum(d * (k - 1) for k, d in zip(kernels, dilations, strict=True))


check_field = Exercise(
    solution=field,
    cases=[
        *[([3, 3, 3], [1, 1, 1]), ([3, 3, 3], [1, 3, 9])],
        *[([5, 1, 3], [1, 1, 2]), ([7], [1]), ([3, 5], [2, 4])],
    ],
    right="A layer widens the view by its dilation times (k - 1).",
    mistakes={
        "The kernels' widths are added. Neighbouring windows overlap: each layer adds only k - 1.":
            lambda kernels, dilations: sum(kernels),
        "The kernels' widths are multiplied. The view grows by addition, layer by layer.":
            lambda kernels, dilations: math.prod(kernels),
        "The position itself is missing: without any layer the view is 1 wide.":
            lambda kernels, dilations: field(kernels, dilations) - 1,
        "The dilation is left out: it spreads a kernel's k positions d steps apart.":
            lambda kernels, dilations: field(kernels, [1] * len(kernels)),
        "It is d × k for each layer. A kernel spread by d spans d × (k - 1) + 1 positions.":
            lambda kernels, dilations: 1 + sum(d * k for k, d in zip(kernels, dilations, strict=True)),
        "It is the sum of d × k: neighbouring windows overlap, and a layer adds only d × (k - 1).":
            lambda kernels, dilations: sum(d * k for k, d in zip(kernels, dilations, strict=True)),
        "Only one side is counted. A kernel reaches k // 2 steps to the left and to the right.":
            lambda kernels, dilations: 1 + sum(d * (k // 2) for k, d in zip(kernels, dilations, strict=True)),
        "It is the widest layer alone. A stack sees farther than any of its layers.":
            lambda kernels, dilations: max(d * (k - 1) + 1 for k, d in zip(kernels, dilations, strict=True)),
    },
)  # fmt: skip
