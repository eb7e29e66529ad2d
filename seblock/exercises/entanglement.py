"""Exercises of 02_entanglement."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import number, numbers
from seblock.photos import RED, VERTICAL, named_filters


def changed_rows(first: int, last: int, layers: int, rows: int) -> tuple[int, int]:
    return max(0, first - layers), min(rows - 1, last + layers)


def _changed(
    first: int,
    last: int,
    layers: int,
    rows: int,
    reach: Callable[[int], int] = lambda n: n,
    up: Callable[[int, int, int], int] = lambda first, n, rows: max(0, first - n),
    down: Callable[[int, int, int], int] = lambda last, n, rows: min(rows - 1, last + n),
) -> tuple[int, int]:
    return up(first, reach(layers), rows), down(last, reach(layers), rows)


def _between(result: Any, first: int, last: int, layers: int, rows: int) -> str:
    """How the right rows come about."""
    given, (a, b) = " to ".join(str(row) for row in result), changed_rows(first, last, layers, rows)
    return (
        f"For rows {first} to {last} of {rows} and layers = {layers} you return {given}, expected is "
        f"{a} to {b}: "
        "each layer adds one row above and one below, as long as the photo has one."
    )


check_changed_rows = Exercise(
    solution=changed_rows,
    cases=[
        *[(120, 159, 1, 160), (60, 79, 3, 160), (2, 5, 4, 30)],
        *[(10, 10, 2, 14), (0, 19, 7, 20), (3, 9, 0, 12), (1, 9, 5, 40)],
    ],
    parts=("the first row", "the last row"),
    kinds={
        "the photo does not end within reach": lambda first, last, layers, rows: (
            layers <= first and last + layers < rows),
        "there is one layer or none": lambda first, last, layers, rows: layers < 2,
    },
    reason=_between,
    right="One row for each layer in either direction, and no farther than the photo.",
    variant=_changed,
    slips={
        "reach": {
            "That is one layer. Each further layer looks at what the one before has changed.": lambda n: 1,
            "A window of 3 × 3 reaches one row up and one down, not three.": lambda n: 3 * n,
            "A window of 3 × 3 reaches one row up and one down, not two.": lambda n: 2 * n,
            "That is half a row for each layer. A window of 3 × 3 reaches a whole one.": lambda n: n // 2,
            "That doubles with each layer. Each adds one row.": lambda n: 2**n,
            "That is one row too many on either side: without a layer nothing but the patch changes.":
                lambda n: n + 1,
            "That is one row too few on either side: the first layer reaches one row already.":
                lambda n: n - 1,
            "That is the patch itself. The rows around it have it in their windows.": lambda n: 0,
        },
        "up": {
            "The photo ends: there is no row before row 0.": lambda first, n, rows: first - n,
            "The first row of a photo is row 0, not 1.": lambda first, n, rows: max(1, first - n),
            "Only downwards: the rows above the patch see it too.": lambda first, n, rows: first,
            "abs makes of row -2 row 2. There is no row above row 0.":
                lambda first, n, rows: abs(first - n),
            "Above row 0 it goes on from below, as with %. A photo is no ring.":
                lambda first, n, rows: (first - n) % rows,
            "The patch grows with every layer. The first row moves up, to smaller numbers.":
                lambda first, n, rows: first + n,
            "min and max are exchanged: the larger one of 0 and first - layers counts.":
                lambda first, n, rows: min(0, first - n),
        },
        "down": {
            "The photo ends: there is none after the last row, rows - 1.": lambda last, n, rows: last + n,
            "Rows are counted from 0, so the last one is rows - 1.":
                lambda last, n, rows: min(rows, last + n),
            "Only upwards: the rows below the patch see it too.": lambda last, n, rows: last,
            "Below the last row it goes on from above, as with %. A photo is no ring.":
                lambda last, n, rows: (last + n) % rows,
            "The patch grows with every layer. The last row moves down, to larger numbers.":
                lambda last, n, rows: last - n,
            "min and max are exchanged: the smaller one of rows - 1 and last + layers counts.":
                lambda last, n, rows: max(rows - 1, last + n),
            "The last row is one too far. It is the last one that changes, not the one after it.":
                lambda last, n, rows: min(rows - 1, last + n) + 1,
        },
    },
    mistakes={
        "The photo ends: no row before row 0, and none after the last one, rows - 1.":
            lambda first, last, layers, rows: (first - layers, last + layers),
        "The two are exchanged: the first row, then the last one.":
            lambda first, last, layers, rows: changed_rows(first, last, layers, rows)[::-1],
    },
)  # fmt: skip


def _slices(made: Tensor, wanted: Tensor, names: Sequence[str]) -> str:
    """By what each slice, along dimension 0, differs from the right one."""
    said = []
    for name, m, w in zip(names, made, wanted, strict=True):
        if torch.allclose(m, w, rtol=1e-3, atol=1e-5):
            continue
        factor = float((m * w).sum() / w.square().sum().clamp(min=1e-12))
        if w.abs().max() > 1e-6 and torch.allclose(m, factor * w, rtol=1e-3, atol=1e-4):
            said.append(f"{name} is {number(factor, 1)} times what it should be")
        elif w.abs().max() <= 1e-6:
            said.append(f"{name} should be all zeros")
        else:
            said.append(f"{name} has another pattern than it should have")
    return f"{'; '.join(said[:3])}."


def dusk_filters(v: Tensor, t: float) -> Tensor:
    return v / torch.tensor([1 - t, 1, 1 + t])[:, None, None]


def _by_channel(v: Tensor, *factors: float) -> Tensor:
    return v * torch.tensor(factors)[:, None, None]


def _at_dusk(v_new: Tensor, v: Tensor, t: float) -> Tensor:
    """What they find in a photo at dusk, too dark for anything to be cut off."""
    v_new = numbers(v_new).float()
    if v_new.shape != v.shape:
        raise ValueError(f"expected filters of shape {tuple(v.shape)}, got {tuple(v_new.shape)}")
    (x,) = seeded((1, 3, 6, 7), seed=len(v))
    return F.conv2d(_by_channel(x, 1 - t, 1, 1 + t), v_new)


def _filters(n: int, k: int, t: float) -> Case:
    return *seeded((n, 3, k, k), seed=n), t


def _dusk_slices(result: Any, v: Tensor, t: float) -> str:
    """Which of the three slices are wrong, and by what."""
    made, wanted = (torch.as_tensor(f).transpose(0, 1) for f in (result, dusk_filters(v, t)))
    names = ("the red slice", "the green slice", "the blue slice")
    return f"For t = {t} {_slices(made, wanted, names)} A factor for each channel that comes in is enough."


check_dusk_filters = Exercise(
    solution=dusk_filters,
    cases=[_filters(6, 3, 0.4), _filters(3, 3, 0.2), _filters(2, 5, -0.3), _filters(4, 3, 0.0)],
    view=_at_dusk,
    reason=_dusk_slices,
    kinds={"t is 0, and it is day": lambda v, t: t == 0},
    hint="It returns filters of the same shape as v.",
    right="At this dusk they find what v finds by day. By day they are wrong, and at another dusk as well.",
    mistakes={
        "The slices are multiplied by what the light was multiplied by. They have to make up for it: divide.":
            lambda v, t: _by_channel(v, 1 - t, 1, 1 + t),
        "Red and blue are exchanged. Dusk takes red away, so the red slice has to be stronger.":
            lambda v, t: _by_channel(v, 1 / (1 + t), 1, 1 / (1 - t)),
        "The factors went to the filters, dimension 0. They belong to the channels that come in.":
            lambda v, t: v / torch.tensor([1 - t, 1, 1 + t])[:, None, None, None] if len(v) == 3 else v[:0],
        "Filters 0 and 2 have changed, along dimension 0. It is slices 0 and 2 of every filter, dimension 1.":
            lambda v, t: torch.stack([v[0] / (1 - t), v[1], v[2] / (1 + t), *v[3:]]),
        "1 + t does not undo 1 - t: 0.6 times 1.4 is 0.84. Divide by the factor itself.":
            lambda v, t: _by_channel(v, 1 + t, 1, 1 - t),
        "The factors belong to red and blue, slices 0 and 2. Green stays as it is.":
            lambda v, t: _by_channel(v, 1 / (1 - t), 1 / (1 + t), 1),
        "The strength is taken off. Light multiplies what comes in, so divide the slice.":
            lambda v, t: v - torch.tensor([-t, 0, t])[:, None, None],
        "The factors run along the kernel's columns, dimension 3. They belong to dimension 1: [:, "
        "None, None].":
            lambda v, t: v / torch.tensor([1 - t, 1, 1 + t]) if v.shape[3] == 3 else v[:0],
        "The factors run along the kernel's rows, dimension 2. They belong to dimension 1: [:, None, None].":
            lambda v, t: v / torch.tensor([1 - t, 1, 1 + t])[:, None] if v.shape[3] == 3 else v[:0],
        "Nothing has changed: these are the filters for daylight.":
            lambda v, t: v.clone(),
        "Only red is made up for. Dusk has changed blue as well.":
            lambda v, t: _by_channel(v, 1 / (1 - t), 1, 1),
        "Only blue is made up for. Dusk has changed red as well.":
            lambda v, t: _by_channel(v, 1, 1, 1 / (1 + t)),
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
            "The dilations are multiplied up, as strides are, and each counts from the next layer on. It "
            "belongs "
            "to its own layer alone.":
                lambda layers: [
                    (k, math.prod(d for _, d in layers[:i])) for i, (k, _) in enumerate(layers)
                ],
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
            "The dilation counts 1 too many. With dilation 1 a layer adds k - 1.":
                lambda k, d: (k - 1) * (d + 1),
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


Parts = tuple[Tensor, Tensor]


def colour_and_pattern(v_c: Tensor) -> Parts:
    colours, sizes, patterns = torch.linalg.svd(v_c.flatten(1), full_matrices=False)
    return colours[:, 0] * sizes[0], patterns[0].view(v_c.shape[1:])


def _put_together(parts: Parts, v_c: Tensor) -> Tensor:
    """The filter that a colour and a pattern make."""
    if not isinstance(parts, list | tuple) or len(parts) != 2:
        raise TypeError("expected two tensors, a colour and a pattern")
    colour, pattern = (torch.as_tensor(part).float() for part in parts)
    if colour.shape == v_c.shape[1:] and pattern.shape == v_c.shape[:1]:
        raise ValueError("the two are exchanged: the colour comes first, then the pattern")
    if colour.shape != v_c.shape[:1] or pattern.shape != v_c.shape[1:]:
        shapes = f"{tuple(v_c.shape[:1])} and {tuple(v_c.shape[1:])}"
        raise ValueError(f"expected shapes {shapes}, got {tuple(colour.shape)} and {tuple(pattern.shape)}")
    made = colour[:, None, None] * pattern
    if not made.isfinite().all():
        raise ValueError(
            "not all numbers are finite: what is divided by? A channel that does not count is zero, so is "
            "a place where the pattern is, and a sum or a mean may cancel to zero"
        )
    return made


def _product(*zeros: int, seed: int, channels: int = 3, k: int = 3) -> tuple[Tensor]:
    """A colour times a pattern; these channels do not count at all."""
    colour, pattern = seeded((channels,), (k, k), seed=seed)
    colour[list(zeros)] = 0
    return (colour[:, None, None] * pattern,)


def _made(parts: Any, v_c: Tensor) -> str:
    """In which slices the product of colour and pattern is not the filter."""
    made = _put_together(parts, v_c)
    return (
        f"Colour times pattern is not the filter: "
        f"{_slices(made, v_c, [f'slice {c}' for c in range(len(v_c))])}"
    )


check_colour_and_pattern = Exercise(
    solution=colour_and_pattern,
    cases=[
        *[_product(seed=1), _product(0, seed=2), _product(1, 2, seed=3), _product(seed=4, channels=5, k=5)],
        _product(2, 3, seed=5, channels=4),
        *[(named_filters()[RED],), (named_filters()[VERTICAL],)],  # a colour, a pattern that adds up to zero
    ],
    view=_put_together,
    reason=_made,
    kinds={
        "every channel counts": lambda v_c: bool((v_c.abs().amax((1, 2)) > 0).all()),
        "the first channel counts": lambda v_c: bool(v_c[0].abs().max() > 0),
    },
    right="Any factor may go over from the one to the other: only their product is in the filter.",
    mistakes={
        "The pattern is the first slice. What if channel 1 does not count at all?":
            lambda v_c: (
                (v_c * v_c[0]).sum((1, 2)) / v_c[0].square().sum().clamp(min=1e-9), v_c[0]),
        "The singular value is missing: U and Vᵀ alone have length 1.":
            lambda v_c: (
                torch.linalg.svd(v_c.flatten(1), full_matrices=False)[0][:, 0],
                torch.linalg.svd(v_c.flatten(1), full_matrices=False)[2][0].view(v_c.shape[1:])),
        "The singular value is in both parts. It belongs to their product once.":
            lambda v_c: (colour_and_pattern(v_c)[0], colour_and_pattern(v_c)[1] * v_c.norm()),
        "The signs are lost: a colour may take away.":
            lambda v_c: (colour_and_pattern(v_c)[0].abs(), colour_and_pattern(v_c)[1].abs()),
        "These are the mean of each slice and the mean slice: right up to one factor. Which one?":
            lambda v_c: (v_c.mean((1, 2)), v_c.mean(0)),
        "These are the sum of each slice and the sum of the slices: right up to one factor. Which one?":
            lambda v_c: (v_c.sum((1, 2)), v_c.sum(0)),
        "Only sizes are kept: the colour is the length of each slice, which has no sign.":
            lambda v_c: (v_c.flatten(1).norm(dim=1), colour_and_pattern(v_c)[1]),
    },
)  # fmt: skip
