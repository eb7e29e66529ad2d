"""Exercises of 05_rescale."""

from torch import Tensor

from seblock.exercises.exercise import Exercise, seeded
from seblock.functional import rescale


def _gated(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    u, s = seeded(shape, shape[:2], seed=seed)
    return u, s.sigmoid()


check_rescale = Exercise(
    solution=rescale,
    # Where all four sizes are equal a gate on a wrong axis raises no error: its numbers tell.
    cases=[_gated(0, 4, 4, 4, 4), _gated(1, 2, 8, 5, 3), _gated(2, 1, 3, 3, 3)],
    right="One factor for each channel of each image, the same at every position.",
    mistakes={
        "The gates meet the last two dimensions, H and W: u * s lines shapes up from the right.":
            lambda u, s: u * s,
        "The gates run along the rows, dimension 2. They belong to the channels, dimension 1.":
            lambda u, s: u * s[:, None, :, None],
        "The gates run along the columns, dimension 3. They belong to the channels, dimension 1.":
            lambda u, s: u * s[:, None, None, :],
        "The gate is added. It should multiply.":
            lambda u, s: u + s[:, :, None, None],
        "Every image gets the first image's gates.":
            lambda u, s: u * s[:1, :, None, None],
        "Every image gets the batch's mean gates.":
            lambda u, s: u * s.mean(0)[None, :, None, None],
        "It is u + s · u: that is a residual addition. The task asks for s · u alone.":
            lambda u, s: u + rescale(u, s),
        "The maps are divided by their gates.":
            lambda u, s: u / s[:, :, None, None],
        "The gate works the wrong way round, as 1 - s: s = 1 should let everything pass.":
            lambda u, s: rescale(u, 1 - s),
        "The gate is applied twice.":
            lambda u, s: rescale(rescale(u, s), s),
    },
)  # fmt: skip


def fold(v: Tensor, s: Tensor) -> Tensor:
    return v * s[:, None, None, None]


check_fold = Exercise(
    solution=fold,
    cases=[seeded((3, 3, 3, 3), (3,)), seeded((6, 3, 5, 5), (6,), seed=1)],
    right="For this one image the scaled filters do what the gate did.",
    mistakes={
        "The gates scale the input channels, dimension 1. Gate c belongs to the map that filter c makes.":
            lambda v, s: v * s[None, :, None, None],
        "The gates meet the last dimension, the kernel's columns: v * s lines shapes up from the right.":
            lambda v, s: v * s,
        "The gates run along the kernel's rows. They belong to the filters, dimension 0.":
            lambda v, s: v * s[:, None],
        "The filters are divided by their gates.":
            lambda v, s: v / s[:, None, None, None],
        "The gates are added to the weights. They should multiply.":
            lambda v, s: v + s[:, None, None, None],
        "All filters get the mean gate.":
            lambda v, s: v * s.mean(),
    },
)  # fmt: skip
