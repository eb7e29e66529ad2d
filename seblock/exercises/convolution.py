"""Exercises of 01_convolution."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from seblock.exercises.criteria import first_unmet
from seblock.exercises.exercise import Exercise, seeded
from seblock.photos import RED, VERTICAL, named_filters


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


def line(left: Tensor, right: Tensor) -> Tensor:
    return 4 / 3 * (right - left).sum()


def _at_the_line(left: Tensor, right: Tensor) -> Tensor:
    """What "vertical edges" finds there, on a picture of two halves."""
    x = torch.cat([left[:, None, None].expand(3, 3, 2), right[:, None, None].expand(3, 3, 2)], dim=2)
    return F.conv2d(x[None], named_filters()[[VERTICAL]])[0, 0, 0, 0]


def _colours(*pairs: tuple[tuple[float, ...], tuple[float, ...]]) -> list[tuple[Tensor, Tensor]]:
    return [(torch.tensor(left).float(), torch.tensor(right).float()) for left, right in pairs]


check_line = Exercise(
    solution=_at_the_line,
    cases=_colours(
        ((0, 0, 0), (1, 1, 1)),
        ((1, 0, 0), (0, 1, 0)),
        ((0.9, 0.5, 0.1), (0.2, 0.1, 0.4)),
        ((0.0, 0.3, 0.1), (0.6, 0.3, 0.8)),
        ((1, 1, 0), (0, 0, 1)),
    ),
    right="To this filter a colour is its sum, and a line is the difference of two sums.",
    mistakes={
        "The sign is the other way round: what lies on the right counts as positive.":
            lambda left, right: line(right, left),
        "That is the difference of the sums. The right column of a slice adds up to 4/3, not to 1.":
            lambda left, right: (right - left).sum(),
        "That is the difference of the means: a convolution adds its terms up.":
            lambda left, right: 4 / 3 * (right - left).mean(),
        "The column has the weights 1, 2 and 1, which makes 4, but all of them divided by 3.":
            lambda left, right: 4 * (right - left).sum(),
        "Each channel's step is counted as positive. Steps that go opposite ways cancel.":
            lambda left, right: 4 / 3 * (right - left).abs().sum(),
        "The sign is lost: a line that is lighter on the left than on the right counts as negative.":
            lambda left, right: line(left, right).abs(),
        "What is below zero is cut off. In this notebook maps keep their sign.":
            lambda left, right: line(left, right).relu(),
        "That is what lies on the right alone. The left column takes away as much as the right one adds.":
            lambda left, right: 4 / 3 * right.sum(),
        "There is one number for each channel. The three terms are added up.":
            lambda left, right: 4 / 3 * (right - left),
    },
)  # fmt: skip


def flag_filter() -> Tensor:
    v = torch.zeros(3, 3, 3)
    v[0] = named_filters()[VERTICAL, 0]
    v[1] = -v[0]
    return v


PURE = ((1.0, 0, 0), (0, 1.0, 0), (0, 0, 1.0))
"""Red, green and blue."""


def _flag(v: Tensor) -> int:
    """Which of the things that are wanted of the filter it lacks, counted from 1; 0 if none."""
    v = torch.as_tensor(v).float()
    if v.shape != (3, 3, 3):
        raise ValueError(f"expected one filter of shape (3, 3, 3), got {tuple(v.shape)}")
    if not v.isfinite().all():
        raise ValueError("a number of the filter is not finite")

    def finds(left: tuple[float, ...], right: tuple[float, ...], turned: bool = False) -> float:
        """The largest size of what it finds on a picture of two halves."""
        ((one, other),) = _colours((left, right))
        x = torch.cat([one[:, None, None].expand(3, 6, 3), other[:, None, None].expand(3, 6, 3)], dim=2)
        return float(F.conv2d((x.transpose(1, 2) if turned else x)[None], v[None]).abs().max())

    def criteria() -> Iterator[bool]:
        yield bool(v.abs().max() > 0)
        yield max(finds(c, c) for c in (*PURE, (0.5,) * 3)) < 1e-4
        yield finds((0.0,) * 3, (1.0,) * 3) < 1e-4
        yield finds(PURE[0], PURE[1]) >= 1 or finds(PURE[0], PURE[1], turned=True) < 1
        yield finds(PURE[0], PURE[1]) >= 1

    return first_unmet(criteria())


check_flag_filter = Exercise(
    solution=flag_filter,
    cases=[()],
    view=_flag,
    hint="It takes no arguments and returns one filter, a tensor of shape (3, 3, 3).",
    right="Two colours with opposite signs, and a pattern: where the colours rise together they cancel.",
    mistakes={
        "All numbers are zero, so nothing is found anywhere.":
            lambda: torch.zeros(3, 3, 3),
        "It finds something where there is no line: on one flat colour every slice has to come to zero.":
            lambda: 9 * named_filters()[RED],
        "It finds the line between black and white too. There all channels rise: let their terms cancel.":
            lambda: named_filters()[VERTICAL],
        "It finds lines that run from left to right. This one runs from top to bottom.":
            lambda: flag_filter().transpose(1, 2),
        "Between red and green it finds less than 1. Larger numbers, or opposite signs, find more.":
            lambda: flag_filter() / 10,
    },
)  # fmt: skip
