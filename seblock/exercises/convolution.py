"""Exercises of 01_convolution."""

import torch.nn.functional as F
from torch import Tensor

from seblock.exercises.exercise import Exercise, seeded


def terms(x: Tensor, v_c: Tensor) -> Tensor:
    return F.conv2d(x[None], v_c[:, None], groups=len(x))[0]


check_terms = Exercise(
    solution=terms,
    cases=[seeded((3, 6, 5), (3, 3, 3)), seeded((2, 4, 7), (2, 3, 3)), seeded((1, 3, 3), (1, 3, 3))],
    hint="F.conv2d wants x as (N, C', H, W) and v as (C, C', k, k): give it axes of size 1.",
    right="Each channel met its own slice of the filter, and nothing is added up yet.",
    mistakes={
        "The terms are added up already: that is u_c. The task asks for one map for each input channel.":
            lambda x, v_c: terms(x, v_c).sum(0),
        "The kernel is flipped. What PyTorch calls convolution slides it as it is.":
            lambda x, v_c: terms(x, v_c.flip(1, 2)),
        "Every channel meets the first slice v_c[0]. Channel s has a slice of its own, v_c[s].":
            lambda x, v_c: terms(x, v_c[:1].expand_as(v_c)),
        "Rows and columns of the kernel are swapped.":
            lambda x, v_c: terms(x, v_c.transpose(1, 2)),
        "The maps are as large as the input: there is a border of padding. The task asks for none.":
            lambda x, v_c: F.conv2d(x[None], v_c[:, None], groups=len(x), padding=1)[0],
        "It is the mean over the window. The formula has a sum.":
            lambda x, v_c: terms(x, v_c) / v_c[0].numel(),
    },
)  # fmt: skip


def true_convolution(x: Tensor, v: Tensor) -> Tensor:
    return F.conv2d(x, v.flip(2, 3))


check_true_convolution = Exercise(
    solution=true_convolution,
    cases=[seeded((2, 3, 6, 5), (4, 3, 3, 3)), seeded((1, 2, 5, 7), (2, 2, 3, 3))],
    right="Turned by half a turn, the kernel makes F.conv2d a convolution in the mathematician's sense.",
    mistakes={
        "The kernel is not flipped: this is what F.conv2d does anyway, a cross-correlation.":
            lambda x, v: F.conv2d(x, v),
        "Only up and down are exchanged. A convolution flips left and right as well.":
            lambda x, v: F.conv2d(x, v.flip(2)),
        "Only left and right are exchanged. A convolution flips up and down as well.":
            lambda x, v: F.conv2d(x, v.flip(3)),
        "The input channels are reversed too. The flip is in space; channel s still meets v_c^s.":
            lambda x, v: F.conv2d(x, v.flip(1, 2, 3)),
        "The photo is flipped, not the kernel: that turns the whole result as well.":
            lambda x, v: F.conv2d(x.flip(2, 3), v),
        "The result is flipped. It is the kernel that has to be turned, before it slides.":
            lambda x, v: F.conv2d(x, v).flip(2, 3),
        "All four axes are flipped. Only the two of the plane, 2 and 3, belong to the turn.":
            lambda x, v: F.conv2d(x, v.flip(0, 1, 2, 3)),
        "The kernel is transposed, rows for columns. The task asks for half a turn.":
            lambda x, v: F.conv2d(x, v.transpose(2, 3)),
        "The output channels come in reverse order: filter c makes map c.":
            lambda x, v: F.conv2d(x, v.flip(0, 2, 3)),
    },
)  # fmt: skip
