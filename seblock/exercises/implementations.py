"""Exercises of 06_two_implementations."""

import difflib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seblock.blocks import SELayer, SqEx
from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import number


def parameters(channel: int, reduction: int, bias: bool) -> int:
    hidden = channel // reduction
    return 2 * channel * hidden + bias * (hidden + channel)


def _parameters(
    channel: int,
    reduction: int,
    bias: bool,
    hidden: Callable[[int, int], float] = lambda c, r: c // r,
    weights: Callable[[int, float], float] = lambda c, h: 2 * c * h,
    biases: Callable[[int, float], float] = lambda c, h: h + c,
    wanted: Callable[[bool], float] = lambda bias: bias,
) -> float:
    h = hidden(channel, reduction)
    return weights(channel, h) + wanted(bias) * biases(channel, h)


def _counted(result: object, channel: int, reduction: int, bias: bool) -> str:
    """The parts of the right number."""
    h = channel // reduction
    parts = f"There are {h} hidden units, so {channel} × {h} weights on the way down and as many back"
    parts += f", and {h} + {channel} biases" if bias else ", and no biases"
    given = result if isinstance(result, int | float) else "something else"
    right = parameters(channel, reduction, bias)
    return (
        f"For channel = {channel}, reduction = {reduction} and bias = {bias} your function returns {given}, "
        f"expected is {right}. {parts}."
    )


check_parameters = Exercise(
    solution=parameters,
    cases=[
        *[(64, 16, False), (64, 16, True), (256, 8, True), (512, 4, False), (32, 2, True), (48, 16, False)],
        *[(100, 16, False), (60, 16, True), (30, 4, False), (33, 5, True)],  # r does not divide C
    ],
    kinds={
        "bias is False": lambda channel, reduction, bias: not bias,
        "bias is True": lambda channel, reduction, bias: bias,
        "reduction divides channel": lambda channel, reduction, bias: channel % reduction == 0,
        "there are at least 8 hidden units": lambda channel, reduction, bias: channel // reduction >= 8,
        "there are no biases and reduction divides channel":
            lambda channel, reduction, bias: not bias and channel % reduction == 0,
    },
    reason=_counted,
    right="Two matrices of C × ⌊C/r⌋, and with biases one for each hidden unit and each gate.",
    variant=_parameters,
    slips={
        "hidden": {
            "The reduction is taken as the hidden width. It divides: there are channel // reduction units.":
                lambda c, r: r,
            "The hidden width is rounded up. channel // reduction rounds down.": lambda c, r: -(-c // r),
            "The hidden width is rounded to the nearest number. channel // reduction rounds down.":
                lambda c, r: round(c / r),
            "The hidden width is not rounded: where r does not divide C, C / r is no whole number. Use //.":
                lambda c, r: c / r,
            "The reduction is not used: the hidden layer is narrower than the outer ones.": lambda c, r: c,
            "The reduction is taken off. It divides: there are channel // reduction units.":
                lambda c, r: c - r,
            "The hidden width is what is left over by the division. It is channel // reduction.":
                lambda c, r: c % r,
            "The hidden width is at least 8 here. The task has no such limit.": lambda c, r: max(c // r, 8),
            "It is divided twice by the reduction. The hidden width is channel // reduction.":
                lambda c, r: c // r // r,
            "The hidden width is one too many.": lambda c, r: c // r + 1,
            "The hidden width is one too few.": lambda c, r: c // r - 1,
        },
        "weights": {
            "That is one matrix. There are two: down to the hidden units and back up.": lambda c, h: c * h,
            "It is four matrices. There are two: down to the hidden units and back up.":
                lambda c, h: 4 * c * h,
            "The widths are added. A matrix has rows times columns.": lambda c, h: 2 * (c + h),
            "The weights are one number for each hidden unit. A matrix has rows times columns.":
                lambda c, h: 2 * h,
            "The second matrix is h × h here. It leads back up to the channels: C × h.":
                lambda c, h: c * h + h * h,
            "The first matrix is C × C here. It leads down to the hidden units: h × C.":
                lambda c, h: c * c + c * h,
            "3 × 3 kernels are counted. The block's layers look at one number a channel.":
                lambda c, h: 18 * c * h,
            "The weights are squared. There are two matrices of C × h.": lambda c, h: (c * h) ** 2,
        },
        "biases": {
            "The hidden units' biases are missing: both Linear layers have some.": lambda c, h: c,
            "The gates' biases are missing: both Linear layers have some.": lambda c, h: h,
            "Both layers get C biases. The first one puts out only C / r numbers.": lambda c, h: 2 * c,
            "Both layers get C / r biases. The second one puts out C numbers.": lambda c, h: 2 * h,
            "Each layer gets one bias. It has one for each number that it puts out.": lambda c, h: 2,
            "Only one bias is counted. A layer has one for each number that it puts out.": lambda c, h: 1,
            "The biases are counted twice.": lambda c, h: 2 * (h + c),
            "The numbers of biases are multiplied. They add up.": lambda c, h: h * c,
        },
        "wanted": {
            "The biases are left out where bias is True.": lambda bias: 0,
            "Biases are counted where bias is False too.": lambda bias: 1,
            "Biases are counted where bias is False, and left out where it is True.": lambda bias: 1 - bias,
        },
    },
    mistakes={
        "The weights are multiplied by the number of biases. They add up.":
            lambda channel, reduction, bias: parameters(channel, reduction, False)
            * (channel // reduction + channel if bias else 1),
        "It is the size of the input and of the hidden layer, not of a matrix between them.":
            lambda channel, reduction, bias: channel + channel // reduction,
        "2 · C · C // r is rounded too late: the hidden width, C // r, is rounded down first.":
            lambda channel, reduction, bias: 2 * channel * channel // reduction
            + bias * (channel // reduction + channel),
        "C · C // r is rounded too late, and then doubled: the hidden width, C // r, is rounded down first.":
            lambda channel, reduction, bias: 2 * (channel * channel // reduction)
            + bias * (channel // reduction + channel),
    },
)  # fmt: skip


State = dict[str, Tensor]


def move(state: State) -> State:
    w1, w2 = state["fc.0.weight"], state["fc.2.weight"]
    return {
        "linear1.weight": w1,
        "linear1.bias": w1.new_zeros(len(w1)),
        "linear2.weight": w2,
        "linear2.bias": w2.new_zeros(len(w2)),
    }


def _states() -> list[tuple[State]]:
    states = []
    for seed, (channel, reduction) in enumerate([(12, 3), (8, 2)]):
        with torch.device("meta"):  # shapes alone: an import must not draw from the learner's random numbers
            state = SELayer(channel, reduction).state_dict()
        tensors = seeded(*(tuple(w.shape) for w in state.values()), seed=seed)
        states.append((dict(zip(state, tensors, strict=True)),))
    return states


OTHER = {"linear1.weight": "linear2.weight", "linear2.weight": "linear1.weight"}


def _met(name: str, given: State, wanted: State) -> int:
    """How an entry was met.

    0 missing, 1 wrong shape, 2 wrong values, 3 right, 4 transposed, 5 the other matrix, 6 that transposed.
    """
    if name not in given:
        return 0
    right = wanted[name]
    value = torch.as_tensor(given[name]).to(right.dtype)
    other = wanted[OTHER.get(name, name)]
    ways = [right, right.T if right.ndim == 2 else right, other, other.T if other.ndim == 2 else other]
    if all(value.shape != w.shape for w in ways):
        return 1
    return next((k for k, w in enumerate(ways, 3) if value.shape == w.shape and value.allclose(w)), 2)


def _found(given: State, state: State) -> list[float]:
    """How each entry of SqEx's state dict was met, how many are too many, and whether it works."""
    if not isinstance(given, dict):
        raise TypeError("a dict from names to tensors is wanted")
    for name, value in given.items():
        if not isinstance(value, Tensor | list | int | float | np.ndarray):
            raise TypeError(f"{name} is {value!r:.40}, and a tensor is wanted")
    wanted = move(state)
    found = [*(_met(name, given, wanted) for name in wanted), len(set(given) - set(wanted))]
    channel, hidden = state["fc.2.weight"].shape
    selayer, sqex = SELayer(channel, channel // hidden), SqEx(channel, channel // hidden)
    selayer.load_state_dict(state)
    try:
        sqex.load_state_dict(given)
    except Exception:
        if found == [3, 3, 3, 3, 0]:
            raise
        return [*found, 0]
    (u,) = seeded((2, channel, 4, 3))
    return [*found, float(torch.allclose(sqex(u), selayer(u), atol=1e-6))]


def _entries(given: State, state: State) -> str:
    """Each entry that is not right, in the order of SqEx."""
    wanted = move(state)
    unknown = [name for name in given if name not in wanted]
    said = []
    for name, right in wanted.items():
        met = _met(name, given, wanted)
        shape = tuple(torch.as_tensor(given[name]).shape) if met else ()
        near = difflib.get_close_matches(name, unknown, 1, 0.9)
        told = {
            0: f"is called {near[0]!r}" if near else "is missing",
            1: f"has shape {shape}, expected is {tuple(right.shape)}",
            2: "should be zero" if "bias" in name else "has the right shape and other numbers than SELayer's",
            4: "is transposed",
            5: f"is the matrix that belongs to {OTHER.get(name)}",
            6: f"is the matrix that belongs to {OTHER.get(name)}, transposed",
        }
        if met != 3:
            said.append(f"{name} {told[met]}")
    rest = [name for name in unknown if not any(repr(name) in text for text in said)]
    if rest:
        said.append(f"SqEx does not know {', '.join(map(repr, rest[:2]))}")
    return f"{'; '.join(said[:3])}."


def _with(**biases: Callable[[Tensor], Tensor]) -> Callable[[State], State]:
    """The solution with some entries made differently."""
    return lambda state: {
        name: biases[name.replace(".", "_")](value) if name.replace(".", "_") in biases else value
        for name, value in move(state).items()
    }


check_move = Exercise(
    solution=move,
    cases=_states(),
    view=_found,
    reason=_entries,
    hint="SELayer's keys are fc.0.weight and fc.2.weight; fc.1 is the ReLU and has none.",
    right="With zero biases SqEx computes what SELayer computed.",
    mistakes={
        "The biases are missing: SqEx has them, and load_state_dict is strict. Which value changes nothing?":
            lambda state: {n: w for n, w in move(state).items() if "bias" not in n},
        "The names are still SELayer's. SqEx calls its layers linear1 and linear2.":
            lambda state: state,
        "The two matrices have changed places: fc.0 leads down to the hidden units, as linear1 does.":
            lambda state: {
                **move(state),
                "linear1.weight": state["fc.2.weight"],
                "linear2.weight": state["fc.0.weight"],
            },
        "The matrices are transposed. Both layers are nn.Linear and store (outputs, inputs).":
            _with(linear1_weight=lambda w: w.T, linear2_weight=lambda w: w.T),
        "The biases are not zero, so every gate is shifted.":
            _with(linear1_bias=torch.ones_like, linear2_bias=torch.ones_like),
        "The biases' shapes are off: one for each output of the layer, len(weight) of them.":
            _with(linear1_bias=lambda b: b.new_zeros(1), linear2_bias=lambda b: b.new_zeros(1)),
        "SELayer's entries are left in beside the new ones; strict loading refuses what it does not know.":
            lambda state: {**state, **move(state)},
    },
)  # fmt: skip


def sigmoid_range(k: int) -> tuple[float, float]:
    ends = torch.tensor([0.0, 1.0], dtype=torch.double)
    for _ in range(k - 1):
        ends = ends.sigmoid()
    return float(ends[0]), float(ends[1])


def _ends(k: int, low: float, high: float) -> tuple[float, float]:
    """What is left of a range after k sigmoids."""
    ends = torch.tensor([low, high], dtype=torch.double)
    for _ in range(k):
        ends = ends.sigmoid()
    return float(ends[0]), float(ends[1])


def _falling(k: int) -> tuple[float, float]:
    """What is left of 0 to 1 after k - 1 sigmoids that fall."""
    ends = torch.tensor([0.0, 1.0], dtype=torch.double)
    for _ in range(k - 1):
        ends = (-ends).sigmoid()
    return float(ends[0]), float(ends[1])


def _last_sigmoid(result: Any, k: int) -> str:
    """What the last of k sigmoids is given and what it gives."""
    if k == 1:
        return "A single σ is given any number, and brings it to between 0 and 1."
    before, after = (" to ".join(map(number, sigmoid_range(n))) for n in (k - 1, k))
    return f"With k = {k} the last σ is given a number from {before}, and it gives one from {after}."


check_sigmoid_range = Exercise(
    solution=sigmoid_range,
    kinds={
        "k is 10, where it hardly matters from which numbers one starts": lambda k: k == 10,
        "k is 1 or 2": lambda k: k < 3,
        "k is 3 or more": lambda k: k > 2,
    },
    cases=[(1,), (2,), (3,), (5,), (10,)],
    parts=("the lowest gate", "the highest gate"),
    reason=_last_sigmoid,
    right="The range narrows to a point near 0.66: such a gate says the same whatever it is asked.",
    mistakes={
        "The first σ is given any number at all, and brings it to between 0 and 1. That one is missing.":
            lambda k: _ends(k, 0.0, 1.0),
        "Each σ is given what the last one made, not a number between 0 and 1 again.":
            lambda k: (0.0, 1.0) if k == 1 else _ends(1, 0.0, 1.0),
        "The range does not stay 0 to 1: the second σ is given no number below 0 and none above 1.":
            lambda k: (0.0, 1.0),
        "σ has the wrong sign: it is 1 / (1 + e to the minus a), and it rises.":
            lambda k: _falling(k),
        "The ends are raised to a power. Each σ is given what the one before made of them.":
            lambda k: (0.5 ** (k - 1), 0.73 ** (k - 1)),
        "The first σ is given any number, not one from -1 to 1.":
            lambda k: _ends(k, -1.0, 1.0),
        "That is the width of the range. Asked for are its two ends.":
            lambda k: sigmoid_range(k)[1] - sigmoid_range(k)[0],
        "The lower end comes first.":
            lambda k: sigmoid_range(k)[::-1],
        "The range is not halved around one half each time: put its two ends into σ.":
            lambda k: (0.5 - 0.5**k, 0.5 + 0.5**k),
        "The lower end does not stay at 0: σ of 0 is one half.":
            lambda k: (0.0, sigmoid_range(k)[1]),
        "The upper end does not stay at 1: σ of 1 is 0.73.":
            lambda k: (sigmoid_range(k)[0], 1.0),
    },
)  # fmt: skip


def brighter(s: Tensor, a: float) -> Tensor:
    return (a * s.logit()).sigmoid()


def _lit(n: int, c: int, a: float) -> Case:
    """Gates of a block without biases, some of them at rest, and how much brighter the photo gets."""
    (x,) = seeded((n, c), seed=c)
    x[0, 0] = 0
    return x.sigmoid(), a


def _one_gate(result: Any, s: Tensor, a: float) -> str:
    """What becomes of the gate that is most wrong."""
    wanted = brighter(s, a).flatten()
    k = int((torch.as_tensor(result).flatten() - wanted).abs().argmax())
    gate, given = float(s.flatten()[k]), float(torch.as_tensor(result).flatten()[k])
    return (
        f"For a = {a} the gate {number(gate)} should become {number(float(wanted[k]), given)}, and "
        f"yours becomes "
        f"{number(given)}. It came from the sum {number(float(s.logit().flatten()[k]))}: what is that "
        f"sum now?"
    )


def _logit_of_product(s: Tensor, a: float) -> Tensor:
    """The gates times a, through logit and back: NaN where that is above 1."""
    return (a * s).logit().sigmoid()


check_brighter = Exercise(
    solution=brighter,
    cases=[_lit(2, 6, 4.0), _lit(1, 5, 0.25), _lit(3, 4, 2.0), _lit(2, 3, 1.0)],
    shapes="s (N, C) -> (N, C)",
    kinds={"a is 1, and nothing changes": lambda s, a: a == 1},
    reason=_one_gate,
    right="You never saw a weight: without biases the old gates say all that there is to know.",
    mistakes={
        "s / (1 - s) is multiplied by a, or the logarithm of a is added to the sum. It is the sum that is "
        "a times "
        "as large.":
            lambda s, a: (s.logit() + math.log(a)).sigmoid(),
        "a multiplies the logarithm of s alone. The sum is log s - log (1 - s), and all of it grows.":
            lambda s, a: (a * s.log() - (1 - s).log()).sigmoid(),
        "a multiplies the gates, and some are then above 1, where logit gives NaN. It multiplies the logit.":
            _logit_of_product,
        "The gates themselves are multiplied. What grows with the light is the sum that σ is given.":
            lambda s, a: a * s,
        "The gates are multiplied and cut off at 1. What grows with the light is the sum that σ is given.":
            lambda s, a: (a * s).clamp(max=1),
        "σ is applied to the gates. First undo it: which sum gave this gate?":
            lambda s, a: (a * s).sigmoid(),
        "The distance from one half is multiplied. A gate would leave the range from 0 to 1.":
            lambda s, a: 0.5 + a * (s - 0.5),
        "That is the sum that σ is given. The gate is σ of it.": lambda s, a: a * s.logit(),
        "The logarithm of a gate is not the sum that made it. `logit` undoes σ.":
            lambda s, a: (a * s.log()).sigmoid(),
        "Open and closed are swapped: these are the gates' distances from 1.":
            lambda s, a: (-a * s.logit()).sigmoid(),
        "Nothing moves. Only a gate at one half stays where it is.":
            lambda s, a: s.clone(),
        "It goes the wrong way: the brighter the photo, the further from one half.":
            lambda s, a: (s.logit() / a).sigmoid(),
        "The sum is a times as large, not larger by a: a sum of 0 stays 0.":
            lambda s, a: (s.logit() + a).sigmoid(),
        "The gate is raised to a power. For gates near 0 that is close; near 1 it goes the wrong way.":
            lambda s, a: s**a,
        "These are odds, not gates: s / (1 - s) to the power a has to be turned back into a gate.":
            lambda s, a: (s / (1 - s)) ** a,
    },
)  # fmt: skip
