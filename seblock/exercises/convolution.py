"""Exercises of 01_convolution."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from seblock.exercises.criteria import first_unmet
from seblock.exercises.errors import Rules
from seblock.exercises.exercise import Exercise, seeded
from seblock.exercises.outcome import number
from seblock.photos import RED, VERTICAL, named_filters

Step = Callable[[Tensor], Tensor]


def as_it_is(t: Tensor) -> Tensor:
    return t


def terms(x: Tensor, v_c: Tensor) -> Tensor:
    return F.conv2d(x[None], v_c[:, None], groups=len(x))[0]


def _terms(
    x: Tensor,
    v_c: Tensor,
    photo: Step = as_it_is,
    kernel: Step = as_it_is,
    padded: bool = False,
    stride: int = 1,
    after: Callable[[Tensor, Tensor], Tensor] = lambda t, v_c: t,
) -> Tensor:
    v = kernel(v_c)[:, None]
    t = F.conv2d(photo(x)[None], v, groups=len(x), padding=v.shape[-1] // 2 if padded else 0, stride=stride)
    return after(t[0], v_c)


def _without_axes(x: Tensor, v_c: Tensor) -> Tensor:
    """Each number of the kernel lined up with the columns, where that fits."""
    k, (h, w) = v_c.shape[1], x.shape[1:]
    h, w = h - k + 1, w - k + 1
    steps = [v_c[:, i, j] * x[:, i : i + h, j : j + w] for i in range(k) for j in range(k)]
    return torch.stack(steps).sum(0)


check_terms = Exercise(
    solution=terms,
    cases=[
        *[seeded((3, 6, 5), (3, 3, 3)), seeded((2, 4, 7), (2, 3, 3), seed=3), seeded((1, 3, 3), (1, 3, 3))],
        *[seeded((4, 7, 6), (4, 5, 5), seed=1), seeded((2, 5, 4), (2, 2, 2), seed=2)],
    ],
    shapes="x (C', H', W'), v_c (C', k, k) -> (C', H, W)",
    hint="F.conv2d wants x as (N, C', H, W) and v as (C, C', k, k): give it axes of size 1.",
    rules=Rules(forbidden=("channel_terms",)),
    right="Each channel met its own slice of the filter, and nothing is added up yet.",
    variant=_terms,
    slips={
        "photo": {
            "Every slice meets the first channel x[0]. Slice s belongs to channel s.":
                lambda x: x[:1].expand_as(x),
            "The channels are in reverse order: slice s belongs to channel s.": lambda x: x.flip(0),
            "The photo is turned over. It stays as it is.": lambda x: x.flip(1, 2),
            "Every slice meets the sum of all channels. Slice s belongs to channel s alone.":
                lambda x: x.sum(0, keepdim=True).expand_as(x),
        },
        "kernel": {
            "The kernel is flipped. What PyTorch calls convolution slides it as it is.":
                lambda v: v.flip(1, 2),
            "The kernel's rows are in reverse order. It slides as it is.": lambda v: v.flip(1),
            "The kernel's columns are in reverse order. It slides as it is.": lambda v: v.flip(2),
            "Every channel meets the first slice v_c[0]. Channel s has a slice of its own, v_c[s].":
                lambda v: v[:1].expand_as(v),
            "Every channel meets the last slice. Channel s has a slice of its own, v_c[s].":
                lambda v: v[-1:].expand_as(v),
            "Rows and columns of the kernel are swapped.": lambda v: v.transpose(1, 2),
            "Rows and columns of the kernel are swapped, and it is flipped. It slides as it is.":
                lambda v: v.flip(1, 2).transpose(1, 2),
            "The kernel is turned by a quarter. It slides as it is.": lambda v: v.rot90(1, (1, 2)),
            "The kernel is turned by a quarter, clockwise. It slides as it is.":
                lambda v: v.rot90(-1, (1, 2)),
            "Every channel meets the sum of all slices. Channel s has a slice of its own, v_c[s].":
                lambda v: v.sum(0, keepdim=True).expand_as(v),
        },
        "padded": {
            "The maps are as large as the input: there is a border of padding. The task asks for none.": True,
        },
        "stride": {"The kernel moves two steps at a time. It should move one.": 2},
        "after": {
            "The terms are added up already: that is u_c. The task asks for one map for each input channel.":
                lambda t, v: t.sum(0),
            "Every map is the sum of all terms. The task asks for each channel's own.":
                lambda t, v: t.sum(0, keepdim=True).expand_as(t),
            "The terms are added up already, and an axis of size 1 is left. Keep one map for each channel.":
                lambda t, v: t.sum(0, keepdim=True),
            "The terms are averaged over the channels. The task asks for each channel's own.":
                lambda t, v: t.mean(0),
            "The terms are added up step by step. Each channel's map stays apart.": lambda t, v: t.cumsum(0),
            "It is the mean over the window. The formula has a sum.": lambda t, v: t / v[0].numel(),
            "There is a ReLU at the end. A term may be negative.": lambda t, v: t.relu(),
            "The signs are lost. A term may be negative.": lambda t, v: t.abs(),
        },
    },
    mistakes={
        "Only the last product of each window is left: `=` puts each in place of the one before, `+=` "
        "adds it.":
            lambda x, v_c: v_c[:, -1, -1, None, None] * x[:, v_c.shape[1] - 1 :, v_c.shape[2] - 1 :],
        "Number meets number, without sliding: it is one product for each place of the first window.":
            lambda x, v_c: x[:, : v_c.shape[1], : v_c.shape[2]] * v_c,
        "It is a product of matrices, window @ slice. The formula multiplies place by place, then adds up.":
            lambda x, v_c: (
                x.unfold(1, v_c.shape[1], 1).unfold(2, v_c.shape[2], 1) @ v_c[:, None, None]
            ).sum((3, 4)),
        "Every channel meets every slice. Channel s meets its own slice, v_c[s], alone.":
            lambda x, v_c: F.conv2d(x[:, None], v_c[:, None]),
        "A number for each channel needs its own axes: without them it meets the columns. [:, i, j, "
        "None, None].":
            _without_axes,
        "Each window gives its largest product. The formula adds the products up.":
            lambda x, v_c: (
                x.unfold(1, v_c.shape[1], 1).unfold(2, v_c.shape[2], 1) * v_c[:, None, None]
            ).amax((3, 4)),
    },
)  # fmt: skip


def true_convolution(x: Tensor, v: Tensor) -> Tensor:
    return F.conv2d(x.flip(2, 3), v).flip(2, 3)


def _true_convolution(
    x: Tensor,
    v: Tensor,
    photo: Step = as_it_is,
    turn: Step = lambda v: v.flip(2, 3),
    channels: Step = as_it_is,
    padded: bool = False,
    stride: int = 1,
    after: Step = as_it_is,
) -> Tensor:
    padding = v.shape[-1] // 2 if padded else 0
    return after(F.conv2d(photo(x), channels(turn(v)), padding=padding, stride=stride))


check_true_convolution = Exercise(
    solution=true_convolution,
    cases=[
        *[seeded((2, 3, 6, 5), (4, 3, 3, 3)), seeded((1, 2, 5, 7), (2, 2, 3, 3))],
        *[seeded((3, 1, 6, 7), (2, 1, 5, 5), seed=1), seeded((2, 2, 4, 5), (3, 2, 2, 2), seed=2)],
    ],
    shapes="x (N, C', H', W'), v (C, C', k, k) -> (N, C, H, W)",
    rules=Rules(required=("conv2d",), sealed=("v",)),
    right="Turned by half a turn, the kernel makes F.conv2d a convolution in the mathematician's sense.",
    variant=_true_convolution,
    slips={
        "turn": {
            "The kernel is not flipped: this is what F.conv2d does anyway, a cross-correlation.": as_it_is,
            "Only up and down are exchanged. A convolution flips left and right as well.":
                lambda v: v.flip(2),
            "Only left and right are exchanged. A convolution flips up and down as well.":
                lambda v: v.flip(3),
            "That transposes the kernel, or as good as that: rows for columns. The task asks for half a "
            "turn.":
                lambda v: v.transpose(2, 3),
            "The kernel is transposed as well as turned. Half a turn alone is right.":
                lambda v: v.transpose(2, 3).flip(2, 3),
            "The kernel is turned by a quarter. The task asks for half a turn.": lambda v: v.rot90(1, (2, 3)),
            "The kernel is turned by a quarter, clockwise. The task asks for half a turn.":
                lambda v: v.rot90(-1, (2, 3)),
            "The kernel's sign is turned, not its places.": lambda v: -v,
            "The kernel is inverted number by number. It is its places that turn.": lambda v: 1 / v,
        },
        "channels": {
            "The input channels are reversed too. The flip is in space; channel s still meets v_c^s.":
                lambda v: v.flip(1),
            "The channels are flipped as well. Only the two axes of the plane, 2 and 3, belong to the turn.":
                lambda v: v.flip(0, 1),
            "The output channels come in reverse order: filter c makes map c.": lambda v: v.flip(0),
        },
        "photo": {
            "It is F.conv2d(x, v) with its maps turned. Turn the photo first, and the maps at the end.":
                lambda x: x.flip(2, 3),
            "The photo is transposed. It stays as it is.": lambda x: x.transpose(2, 3),
        },
        "padded": {"There is a border of padding. The task asks for none.": True},
        "stride": {"The kernel moves two steps at a time. It should move one.": 2},
        "after": {
            "The numbers are right, but each map is turned. Turn the result back.":
                lambda u: u.flip(2, 3),
            "There is a ReLU at the end. A map may be negative.": lambda u: u.relu(),
            "The maps are averaged over the channels. Each filter makes a map of its own.":
                lambda u: u.mean(1),
            "The maps are added up over the channels. Each filter makes a map of its own.":
                lambda u: u.sum(1),
        },
    },
    mistakes={
        "It is filters and slices that are reversed, dimensions 0 and 1. Flip the plane, dimensions 2 and 3.":
            lambda x, v: F.conv2d(x, v.flip(0, 1)),
        "F.conv_transpose2d is the backward step of F.conv2d: its maps are larger than the photo, "
        "not smaller.":
            F.conv_transpose2d,
        "The photo is turned by a quarter, and the maps by another. It takes half a turn, there and back.":
            lambda x, v: F.conv2d(x.rot90(1, (2, 3)), v).rot90(1, (2, 3)),
        "The photo is turned by a quarter clockwise, and the maps by another. It takes half a turn, there "
        "and "
        "back.":
            lambda x, v: F.conv2d(x.rot90(-1, (2, 3)), v).rot90(-1, (2, 3)),
        "It is a full convolution with a border. Without padding the maps are smaller than the photo.":
            lambda x, v: F.conv2d(x, v.flip(2, 3), padding=v.shape[-1] - 1),
    },
)  # fmt: skip


def _line(
    left: Tensor,
    right: Tensor,
    of: Step = lambda colour: colour.sum(),
    apart: Callable[[Tensor, Tensor], Tensor] = lambda left, right: right - left,
    factor: float = 4 / 3,
) -> Tensor:
    return factor * apart(of(left), of(right))


def _at_the_line(left: Tensor, right: Tensor) -> Tensor:
    """What "vertical edges" finds there, on a picture of two halves."""
    x = torch.cat([left[:, None, None].expand(3, 3, 2), right[:, None, None].expand(3, 3, 2)], dim=2)
    return F.conv2d(x[None], named_filters()[[VERTICAL]])[0, 0, 0, 0]


def _colours(*pairs: tuple[tuple[float, ...], tuple[float, ...]]) -> list[tuple[Tensor, Tensor]]:
    return [(torch.tensor(left).float(), torch.tensor(right).float()) for left, right in pairs]


def _sums(result: object, left: Tensor, right: Tensor) -> str:
    """How the right number comes about."""
    wanted = float(_line(left, right))
    return (
        f"From {left.tolist()} to {right.tolist()} your function finds "
        f"{number(float(result), wanted)}, "  # type: ignore[arg-type]
        f"expected is {number(wanted)}: the sums are {number(float(left.sum()))} and "
        f"{number(float(right.sum()))}, and one channel's full step, from 0 to 1, brings 4/3."
    )


check_line = Exercise(
    solution=_at_the_line,
    cases=_colours(
        ((0, 0, 0), (1, 1, 1)),
        ((1, 0, 0), (0, 1, 0)),
        ((0.9, 0.5, 0.1), (0.2, 0.1, 0.4)),
        ((0.0, 0.3, 0.1), (0.6, 0.3, 0.8)),
        ((1, 1, 0), (0, 0, 1)),
    ),
    shapes="left (3), right (3) -> ()",
    kinds={"both colours add up to the same": lambda left, right: bool(left.sum() == right.sum())},
    reason=_sums,
    right="To this filter a colour is its sum, and a line is the difference of two sums.",
    variant=_line,
    slips={
        "of": {
            "That is the difference of the means: a convolution adds its terms up.": lambda c: c.mean(),
            "Only the strongest channel is taken. All three terms are added up.": lambda c: c.amax(),
            "Only red is taken. All three terms are added up.": lambda c: c[0],
            "Only green is taken. All three terms are added up.": lambda c: c[1],
            "Only blue is taken. All three terms are added up.": lambda c: c[2],
            "That is the length of a colour, the root of a sum of squares. The terms are added up as "
            "they are.":
                lambda c: c.norm(),
            "There is one number for each channel. The three terms are added up.": lambda c: c,
        },
        "apart": {
            "The sign is the other way round: what lies on the right counts as positive.":
                lambda left, right: left - right,
            "The sign is lost: a line that is lighter on the left than on the right counts as negative.":
                lambda left, right: (right - left).abs(),
            "What is below zero is cut off. In this notebook maps keep their sign.":
                lambda left, right: (right - left).relu(),
            "That is what lies on the right alone. The left column takes away as much as the right one adds.":
                lambda left, right: right,
            "That is what lies on the left alone. The right column adds as much as the left one takes away.":
                lambda left, right: -left,
            "The two sides are added. The left column of the filter is negative.":
                lambda left, right: right + left,
            "The two sides are multiplied. Each meets a column of its own, and the columns' sums are added.":
                lambda left, right: right * left,
        },
        "factor": {
            "That is the difference of the sums. The right column of a slice adds up to 4/3, not to 1.": 1,
            "The column has the weights 1, 2 and 1, which makes 4, but all of them divided by 3.": 4,
            "A column of the filter is counted twice: the left and the right one are both in the difference.":
                8 / 3,
            "The factor is upside down: 1, 2 and 1, divided by 3, make 4/3.": 3 / 4,
            "A column of the filter is 1, 2 and 1, divided by 3. That makes 4/3, not 2.": 2,
            "4/3 is a little more than 1.33: leave it a fraction.": 1.33,
            "4/3 is more than 1.3: leave it a fraction.": 1.3,
        },
    },
    mistakes={
        "That is the mean step of the three channels. The steps are added up, and each brings 4/3 of itself.":
            lambda left, right: (right - left).mean(),
        "The factor 4/3 is at the left sum alone: brackets around the difference put it at both.":
            lambda left, right: right.sum() - 4 / 3 * left.sum(),
        "The factor 4/3 is at the right sum alone: brackets around the difference put it at both.":
            lambda left, right: 4 / 3 * right.sum() - left.sum(),
        "Only the largest step of the three channels is taken. All three are added up.":
            lambda left, right: 4 / 3 * (right - left).amax(),
        "That is the distance of the colours, the root of a sum of squares. The steps are added up as "
        "they are.":
            lambda left, right: 4 / 3 * (right - left).norm(),
        "Only the direction of the step is told, not how large it is.":
            lambda left, right: 4 / 3 * (right - left).sum().sign(),
        "Each channel's step is counted as positive. Steps that go opposite ways cancel.":
            lambda left, right: 4 / 3 * (right - left).abs().sum(),
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
