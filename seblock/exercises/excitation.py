"""Exercises of 04_excitation."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seblock.exercises.criteria import first_unmet
from seblock.exercises.errors import Rules
from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import number
from seblock.functional import excite, squeeze
from seblock.photos import BRIGHT, GREEN, RED, features, load

Step = Callable[[Tensor], Tensor]


def as_it_is(t: Tensor) -> Tensor:
    return t


def _excite(
    z: Tensor,
    w1: Tensor,
    w2: Tensor,
    squeezed: Step = as_it_is,
    down: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda z, w1, w2: z @ w1.T,
    delta: Step = F.relu,
    up: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda h, w1, w2: h @ w2.T,
    sigma: Step = torch.sigmoid,
    after: Callable[[Tensor, Tensor], Tensor] = lambda s, z: s,
) -> Tensor:
    return after(sigma(up(delta(down(squeezed(z), w1, w2)), w1, w2)), z)


def _seen(s: Any, z: Tensor, w1: Tensor, w2: Tensor) -> str:
    """What shows in the gates that no excitation gives."""
    s = torch.as_tensor(s).detach()
    if s.shape != z.shape or s.is_complex():
        return ""
    if ((s == 0) | (s == 1)).all():
        return "Every gate is 0 or 1. A gate lies between the two, so that it can learn."
    if s.min() < 0:
        return "Some of these are negative. A gate lies between 0 and 1: σ comes last."
    if s.max() > 1:
        return "Some of these are larger than 1. A gate lies between 0 and 1: σ comes last."
    if torch.allclose(s.sum(1), torch.ones(len(s), dtype=s.dtype), atol=1e-4) and s.shape[1] > 1:
        return "An image's gates add up to 1, so its channels compete. σ works on each number alone."
    if s.min() >= 0.5:
        return "No gate is below 0.5: what goes into σ is nowhere negative, and it should be in some places."
    return ""


def excite_in_columns(z: Tensor, w1: Tensor, w2: Tensor) -> Tensor:
    return torch.sigmoid((w2 @ F.relu(w1 @ z.T)).T)


check_excite = Exercise(
    solution=excite_in_columns,
    cases=[
        *[seeded((2, 6), (2, 6), (6, 2)), seeded((5, 8), (4, 8), (8, 4), seed=1)],
        *[seeded((1, 3), (1, 3), (3, 1), seed=6), seeded((4, 4), (4, 4), (4, 4), seed=3)],
        seeded((1, 5), (2, 5), (5, 2), seed=5),
    ],
    shapes="z (N, C), w1 (h, C), w2 (C, h) -> (N, C)",
    hint="z holds one image in each row, and W₁ on the left wants it in a column: w1 @ z.T.",
    kinds={
        "there is one image, N = 1": lambda z, w1, w2: len(z) == 1,
        "N, C and C/r are all equal": lambda z, w1, w2: z.shape == w1.shape == w2.shape,
        "there is one hidden unit": lambda z, w1, w2: len(w1) == 1,
    },
    reason=_seen,
    rules=Rules(forbidden=("excite",), required=("matmul", "mm", "mv", "bmm"), sealed=("w1", "w2")),
    right="C numbers became C gates, each between 0 and 1, none at another's cost.",
    variant=_excite,
    slips={
        "squeezed": {
            "δ works on z, before W₁. It belongs between W₁ and W₂.": F.relu,
            "There is a sigmoid on z, before W₁. σ belongs at the end.": torch.sigmoid,
            "There is a softmax on z, before W₁. z goes in as it is.": lambda z: z.softmax(1),
            "Every image gets the first image's numbers. Each has its own z.":
                lambda z: z[:1].expand_as(z),
            "z is averaged over the images. Each image has gates of its own.":
                lambda z: z.mean(0, keepdim=True).expand_as(z),
        },
        "down": {
            "That is z W₁, not W₁ z. The weights stand on the left, and an image in each column: w1 @ z.T.":
                lambda z, w1, w2: z @ w1,
            "The images are taken for channels: W₁ wants an image in each column, w1 @ z.T.":
                lambda z, w1, w2: (w1 @ z),
            "W₂ stands where W₁ should be. W₁ leads down to the hidden units.":
                lambda z, w1, w2: z @ w2,
            "A 1 is added to what W₁ gives. The formula has no bias.": lambda z, w1, w2: z @ w1.T + 1,
        },
        "delta": {
            "The ReLU δ is missing: without it, W₂ W₁ is one linear map.": as_it_is,
            "The middle step is a sigmoid. δ is a ReLU; the sigmoid comes at the end alone.": torch.sigmoid,
            "The middle step is tanh. δ is a ReLU.": torch.tanh,
            "The middle step is a GELU. δ is a ReLU: what is negative becomes 0.": F.gelu,
            "The middle step is a leaky ReLU. δ is a ReLU: what is negative becomes 0.": F.leaky_relu,
            "The middle step is SiLU (Swish). δ is a ReLU: what is negative becomes 0.": F.silu,
            "The middle step is an ELU. δ is a ReLU: what is negative becomes 0.": F.elu,
            "The middle step is softplus. δ is a ReLU: what is negative becomes 0.": F.softplus,
            "The middle step is ReLU6, with an upper limit. δ is a ReLU, without one.": F.relu6,
            "The middle step is cut off at 1 as well as at 0. δ has no upper limit.": lambda h: h.clamp(0, 1),
            "The middle step is cut off at 1 and at -1. δ cuts off at 0, and has no upper limit.":
                lambda h: h.clamp(-1, 1),
            "The middle step keeps what is negative. δ keeps what is positive.": lambda h: h.clamp(max=0),
            "The middle step is |·|. δ is a ReLU: what is negative becomes 0.": torch.abs,
            "The middle step is a square. δ is a ReLU: what is negative becomes 0.": torch.square,
            "The middle step says only whether a unit is above 0. δ keeps how far.": lambda h: (h > 0).to(h),
            "The hidden units are normalised. δ is a ReLU alone.":
                lambda h: F.layer_norm(F.relu(h), h.shape[-1:]),
            "The middle step is a softmax. δ is a ReLU: units do not compete.": lambda h: h.softmax(1),
        },
        "up": {
            "W₂ is left out: what comes out is one number for each hidden unit. W₂ leads back to C gates.":
                lambda h, w1, w2: h,
            "W₁ stands where W₂ should be. W₂ leads back up to the gates.": lambda h, w1, w2: h @ w1,
            "That is δ W₂, not W₂ δ. The weights stand on the left, and an image's units in a column.":
                lambda h, w1, w2: h @ w2,
            "These are 1 - s: open and closed are swapped, as where σ gets the wrong sign.":
                lambda h, w1, w2: -(h @ w2.T),
        },
        "sigma": {
            "The sigmoid σ is missing: these are not gates yet, they can be negative or large.": as_it_is,
            "There is a softmax where σ should be: an image's gates add up to 1, so channels compete.":
                lambda a: a.softmax(1),
            "The softmax runs over the images, dimension 0. The task is a sigmoid of each number.":
                lambda a: a.softmax(0),
            "The last step is a ReLU: a gate then has no upper limit, and is 0 wherever its sum is negative.":
                F.relu,
            "There is a ReLU before σ too: no gate can fall below 0.5.": lambda a: a.relu().sigmoid(),
            "There is an absolute value before σ: no gate can fall below 0.5.": lambda a: a.abs().sigmoid(),
            "There are two sigmoids at the end. One is enough.": lambda a: a.sigmoid().sigmoid(),
            "The last step is tanh: a gate below zero would change a map's sign.": torch.tanh,
            "The last step is tanh, moved to lie between 0 and 1. That is a sigmoid of twice the number.":
                lambda a: (1 + a.tanh()) / 2,
            "The last step is a hard sigmoid, made of straight lines. σ is the smooth one.": F.hardsigmoid,
            "The last step cuts off at 0 and at 1. σ comes close to them, smoothly.":
                lambda a: a.clamp(0, 1),
            "The last step is the logarithm of σ. The gates are σ itself.": F.logsigmoid,
            "The last step is softplus, which has no upper limit. σ is the sigmoid.": F.softplus,
            "The last step is exp, which has no upper limit. σ is 1 / (1 + exp(-a)).": torch.exp,
            "The gates are only 0 or 1. σ says how far open a gate is.": lambda a: (a > 0).to(a),
        },
        "after": {
            "The gates are multiplied by z at the end. The excitation returns the gates alone.":
                lambda s, z: z * s,
            "z is added at the end. The excitation returns the gates alone.": lambda s, z: z + s,
            "There is a factor 2 at the end: a gate lies between 0 and 1.": lambda s, z: 2 * s,
            "The gates are averaged over the images. Each image has gates of its own.":
                lambda s, z: s.mean(0, keepdim=True).expand_as(s),
            "The gates are averaged over the channels. Each channel has a gate of its own.":
                lambda s, z: s.mean(1, keepdim=True).expand_as(s),
            "The result is transposed. Images belong in the rows.": lambda s, z: s.T,
            "Gates go to the wrong images: reshape reads W₂'s result row by row, and a row is one channel.":
                lambda s, z: s.T.reshape(s.shape),
        },
    },
    mistakes={
        "δ and σ have changed places: the sigmoid comes last, the ReLU in the middle.":
            lambda z, w1, w2: (torch.sigmoid(z @ w1.T) @ w2.T).relu(),
        "σ stands before W₂, where δ belongs: a ReLU there, and the sigmoid after W₂.":
            lambda z, w1, w2: torch.sigmoid(z @ w1.T).relu() @ w2.T,
        "δ comes after W₂, which is too late: W₂ W₁ is a single matrix. It belongs between the two.":
            lambda z, w1, w2: torch.sigmoid((z @ w1.T @ w2.T).relu()),
        "These are the sigmoid of z itself. Both matrices are missing.":
            lambda z, w1, w2: torch.sigmoid(z),
    },
)  # fmt: skip


def gate_weights() -> tuple[Tensor, Tensor]:
    w1, w2 = torch.zeros(2, 6), torch.zeros(6, 2)
    w1[0, GREEN], w1[0, BRIGHT] = 100, -50
    w2[GREEN, 0] = -4
    return w1, w2


def _weights(given: Any) -> tuple[Tensor, Tensor]:
    """Both matrices. Raises ValueError, with the end of a sentence, if they cannot be used."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise ValueError("two are wanted, W₁ and W₂: return w1, w2")
    w1, w2 = (torch.as_tensor(w).float() for w in given)
    if w1.shape == (6, 2) and w2.shape == (2, 6):
        raise ValueError("W₁ is (2, 6) and W₂ is (6, 2), and yours are the other way round")
    if w1.shape != (2, 6) or w2.shape != (6, 2):
        raise ValueError(
            f"expected shapes are (2, 6) and (6, 2), got {tuple(w1.shape)} and {tuple(w2.shape)}"
        )
    return w1, w2


def _gates_of_the_photos(weights: Any) -> Tensor:
    """Closed (-1), at rest (0) or open (1): green for temple and flower, then whether others moved."""
    w1, w2 = _weights(weights)
    s = excite(squeeze(features(load())), w1, w2)
    if not s.isfinite().all():
        raise ValueError("a gate is not a finite number")
    green, others = s[:, GREEN], s[:, [c for c in range(6) if c != GREEN]]
    state = (green > 0.51).double() - (green < 0.1).double()
    state[(green >= 0.1) & (green < 0.49)] = -0.5  # half closed
    return torch.cat([state, ((others - 0.5).abs().amax() > 0.01).double()[None]])


def _what_the_gates_do(weights: Any) -> str:
    """What is still to be mended, with the numbers that decide it."""
    w1, w2 = _weights(weights)
    z = squeeze(features(load()))
    s, hidden = excite(z, w1, w2), F.relu(z @ w1.T)
    temple, flower = s[:, GREEN].tolist()
    others = [c for c in range(6) if c != GREEN and (s[:, c] - 0.5).abs().max() > 0.01]
    names = ("bright", "horizontal edges", "vertical edges", "red", "green", "blue")
    text = f'The gate of "green" is {temple:.2f} for the temple and {flower:.2f} for the flower.'
    if not 0.49 <= temple <= 0.51 and any(hidden[0] > 0):
        units = " and ".join(f"{h:.2g}" for h in hidden[0].tolist())
        text += f" For the temple both units should be 0, so that the gate rests; they are {units}."
    elif flower >= 0.1 and not any(hidden[1] > 0):
        text += (
            " No hidden unit is above 0 for the flower, so nothing closes its gate: check the signs in W₁."
        )
    elif flower >= 0.1 and not any(w2[GREEN][hidden[1] > 0]):
        text += " A hidden unit is above 0 for the flower, but W₂ does not lead from it to green, row 4."
    elif flower > 0.51:
        text += " The flower's should close: the weight in W₂ has to be negative."
    elif flower >= 0.1:
        text += " The flower's has to come below 0.1: larger weights push further."
    if others:
        text += f" Other gates move too: {', '.join(names[c] for c in others)}; their rows in W₂ should be 0."
    return text


def _changed(green: float, bright: float, close: float, row: int | slice = GREEN) -> tuple[Tensor, Tensor]:
    w1, w2 = torch.zeros(2, 6), torch.zeros(6, 2)
    w1[0, GREEN], w1[0, BRIGHT] = green, bright
    w2[row, 0] = close
    return w1, w2


def _with_second_unit() -> tuple[Tensor, Tensor]:
    """The solution, and a second hidden unit that opens the temple's gate."""
    w1, w2 = gate_weights()
    w1[1, BRIGHT], w1[1, GREEN], w2[GREEN, 1] = 50, -100, 1
    return w1, w2


check_gate_weights = Exercise(
    solution=gate_weights,
    cases=[()],
    view=_gates_of_the_photos,
    reason=_what_the_gates_do,
    hint="It takes no arguments and returns two tensors, W₁ of shape (2, 6) and W₂ of shape (6, 2).",
    right='"Green" is closed for the flower, at rest for the temple, and no other gate moved.',
    mistakes={
        "The flower's gate opens instead of closing: the weight in W₂ has the wrong sign.":
            lambda: _changed(100, -50, 4),
        "The temple's gate closes and the flower's does not: W₁ z is above zero for the wrong photo.":
            lambda: _changed(-100, 50, -4),
        "It closes for both photos: compare green with something, such as bright.":
            lambda: _changed(100, 0, -4),
        "The temple's gate opens; it should stay at rest, near 0.5. No other hidden unit is needed.":
            _with_second_unit,
        "Nothing moves: either W₁ z is negative for both photos, and δ cuts it off, or a weight is zero.":
            lambda: _changed(-100, -50, -4),
        "The gate begins to close for the flower, but stays above 0.1: it takes larger weights.":
            lambda: _changed(10, -5, -4),
        "Other gates move as well: only the row of green in W₂ should differ from zero.":
            lambda: _changed(100, -50, -4, slice(None)),
        'Another gate moves, not green: in code, "green" is row 4 of W₂.':
            lambda: _changed(100, -50, -4, RED),
    },
)  # fmt: skip


def softmax_gates(channels: int, pushed: int, push: float) -> tuple[float, float]:
    return _softmax(channels, pushed, push)


def _softmax(
    channels: int,
    pushed: int,
    push: float,
    power: Callable[[float], float] = math.exp,
    whole: Callable[[float, int, int], float] = lambda e, pushed, others: pushed * e + others,
    first: Callable[[float, int], float] = lambda e, pushed: e,
    second: Callable[[float, float, int], float] = lambda whole, e, others: 1 / whole,
) -> tuple[float, float]:
    e, others = power(push), channels - pushed
    total = whole(e, pushed, others)
    return first(e, pushed) / total, second(total, e, others)


def _terms_of(result: Any, channels: int, pushed: int, push: float) -> str:
    """The terms of the sum."""
    e = math.exp(push)
    return (
        f"For channels = {channels}, pushed = {pushed}, push = {push} the sum has {channels} terms: "
        f"{pushed} of "
        f"e to the {push}, {number(e)}, and {channels - pushed} of 1. Together they make "
        f"{number(pushed * e + channels - pushed)}, and a gate is one term of it."
    )


check_softmax_gates = Exercise(
    solution=softmax_gates,
    cases=[(6, 2, 4.0), (64, 8, 4.0), (256, 1, 2.0), (5, 4, -1.0), (12, 3, 0.5)],
    parts=("the gate of a pushed channel", "the gate of another"),
    kinds={"one channel is pushed": lambda channels, pushed, push: pushed == 1},
    reason=_terms_of,
    rules=Rules(forbidden=("softmax",)),
    right="Shares of one: the more channels, the less is left for each.",
    variant=_softmax,
    slips={
        "power": {
            "The push itself stands where e to the push should be.": lambda push: push,
            "It is 2 to the push. A softmax takes e.": lambda push: 2**push,
            "It is e to the minus push, so a channel that is pushed up loses.": lambda push: math.exp(-push),
        },
        "whole": {
            "The channels that nobody pushes count as well: e to the 0 is 1, for each of them.":
                lambda e, pushed, others: pushed * e,
            "The pushes themselves are added up in the sum. Each of those channels adds e to the push.":
                lambda e, pushed, others: pushed * math.log(e) + others,
            "Only one of the pushed channels is in the sum. Each of them adds e to the push.":
                lambda e, pushed, others: e + pushed - 1 + others,
            "Only one of the pushed channels is in the sum, and the others of them are in none.":
                lambda e, pushed, others: e + others,
            "The others are counted wrongly: all channels less the pushed ones are left.":
                lambda e, pushed, others: pushed * e + pushed + others,
            "Each channel that nobody pushes adds e to the 0, which is 1. It is not e.":
                lambda e, pushed, others: pushed * e + others * math.e,
            "All channels are taken as pushed in the sum. Those that are not add 1 each.":
                lambda e, pushed, others: (pushed + others) * e,
            "It is divided by the number of channels, not by a sum over them.":
                lambda e, pushed, others: pushed + others,
            "The pushes are added up before e is raised to them. Each channel has a term of its own.":
                lambda e, pushed, others: e**pushed + others,
        },
        "first": {
            "That is the share of all pushed channels together. One of them is asked for.":
                lambda e, pushed: pushed * e,
        },
        "second": {
            "A gate that nobody pushes is not 0: its share is 1 over the sum.": lambda whole, e, others: 0.0,
            "A gate that nobody pushes does not stay at 0.5: the shares add up to 1.":
                lambda whole, e, others: 0.5,
            "That is the share of all others together. One of them is asked for.":
                lambda whole, e, others: others / whole,
            "The second is what one pushed channel leaves over. All other channels share that.":
                lambda whole, e, others: 1 - e / whole,
            "The second is 1 over the number of the others. They share only what the pushed ones leave.":
                lambda whole, e, others: 1 / others,
        },
    },
    mistakes={
        "That is the sigmoid, number by number. A softmax divides by a sum over all channels.":
            lambda channels, pushed, push: (1 / (1 + math.exp(-push)), 0.5),
        "As if there were two channels, one pushed and one not. The sum has a term for every channel.":
            lambda channels, pushed, push: softmax_gates(2, 1, push),
        "These are sigmoids, divided by their sum. A softmax takes e to the push, and e to the 0, which "
        "is 1.":
            lambda channels, pushed, push: (
                (s := 1 / (1 + math.exp(-push))) / (total := pushed * s + (channels - pushed) / 2),
                0.5 / total),
        "The pushed ones get the whole, 1 divided by their number. The others get something too.":
            lambda channels, pushed, push: (1 / pushed, 0.0),
        "The two are exchanged: first a channel that is pushed, then one that is not.":
            lambda channels, pushed, push: softmax_gates(channels, pushed, push)[::-1],
        "These are all the gates. Two are asked for: one of a pushed channel, one of another.":
            lambda channels, pushed, push: torch.tensor(
                [push] * pushed + [0.0] * (channels - pushed)).softmax(0),
    },
)  # fmt: skip


Weights = tuple[Tensor, Tensor]


def small_weights(w1: Tensor, w2: Tensor) -> Weights:
    size = w1.abs().amax(dim=1).clamp(min=1)
    return w1 / size[:, None], w2 * size


def _kept(weights: Weights, w1: Tensor, w2: Tensor) -> int:
    """Which of the things that are wanted of the new weights they lack, counted from 1; 0 if none."""
    if not isinstance(weights, list | tuple) or len(weights) != 2:
        raise TypeError("expected two tensors, W₁ and W₂")
    new_1, new_2 = (torch.as_tensor(w).float() for w in weights)
    if new_1.shape != w1.shape or new_2.shape != w2.shape:
        shapes = f"{tuple(w1.shape)} and {tuple(w2.shape)}"
        raise ValueError(f"expected shapes {shapes}, got {tuple(new_1.shape)} and {tuple(new_2.shape)}")
    (z,) = seeded((50, w1.shape[1]), seed=3)

    def criteria() -> Iterator[bool]:
        yield bool(new_1.isfinite().all()) and bool(new_2.isfinite().all())
        yield not (torch.equal(new_1, w1) and torch.equal(new_2, w2))
        yield bool(new_1.abs().max() <= 1.0001)
        off = (excite(z, new_1, new_2) - excite(z, w1, w2)).abs().amax(0)
        hidden, wanted = (z @ new_1.T).relu(), (z @ w1.T).relu()
        yield not (bool(off.max() > 1e-3) and torch.allclose(new_2, w2))
        yield not (bool(off.max() > 1e-3) and not torch.equal(hidden > 0, wanted > 0))
        yield bool(off.max() <= 1e-3)

    return first_unmet(criteria())


def _large(seed: int, channels: int, units: int) -> Case:
    """Weights of which many are larger than 1 in W₁, and a unit that looks at nothing."""
    w1, w2 = seeded((units, channels), (channels, units), seed=seed)
    w1 = w1 * torch.linspace(2, 20, units)[:, None] * 10**seed
    w1[-1] = 0
    return w1, w2 / 10


check_small_weights = Exercise(
    solution=small_weights,
    cases=[_large(0, 6, 3), _large(1, 8, 4), _large(2, 5, 2)],
    view=_kept,
    hint="It returns two tensors, of the shapes of w1 and w2.",
    right="δ passes a positive factor on, so W₁ can give it to W₂. Only products of the two are to be seen.",
    mistakes={
        "Not all numbers are finite. A unit that looks at nothing has nothing to divide by.":
            lambda w1, w2: (w1 / w1.abs().amax(dim=1)[:, None], w2 * w1.abs().amax(dim=1)),
        "The weights are the old ones.":
            lambda w1, w2: (w1.clone(), w2.clone()),
        "A weight in W₁ is still larger than 1, or smaller than -1.":
            lambda w1, w2: (w1 / 2, w2 * 2),
        "The gates have changed: what is taken from W₁ has to be given to W₂.":
            lambda w1, w2: (w1.clamp(-1, 1), w2.clone()),
        "Some units speak and keep silent for other images than before: each unit's weights need one factor.":
            lambda w1, w2: (w1.clamp(-1, 1), 2 * w2),
        "The units do as before, but the gates have changed: what unit h lost in W₁, column h of W₂ has to "
        "gain.":
            lambda w1, w2: (w1 / w1.abs().max(), w2 / w1.abs().max()),
    },
)  # fmt: skip
