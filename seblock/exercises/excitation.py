"""Exercises of 04_excitation."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from seblock.exercises.criteria import first_unmet
from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.functional import excite, squeeze
from seblock.photos import BRIGHT, GREEN, RED, features, load

check_excite = Exercise(
    solution=excite,
    cases=[
        seeded((2, 6), (2, 6), (6, 2)),
        seeded((5, 8), (4, 8), (8, 4), seed=1),
        seeded((1, 3), (1, 3), (3, 1), seed=2),
    ],
    hint="z holds one image in each row, so W₁ z is z @ w1.T in code.",
    right="C numbers became C gates, each between 0 and 1, none at another's cost.",
    mistakes={
        "The ReLU δ is missing: without it, W₂ W₁ is one linear map.":
            lambda z, w1, w2: torch.sigmoid(z @ w1.T @ w2.T),
        "The sigmoid σ is missing: these are not gates yet, they can be negative or large.":
            lambda z, w1, w2: (z @ w1.T).relu() @ w2.T,
        "There is a softmax where σ should be: an image's gates add up to 1, so channels compete.":
            lambda z, w1, w2: ((z @ w1.T).relu() @ w2.T).softmax(1),
        "The softmax runs over the images, dimension 0. The task is a sigmoid of each number.":
            lambda z, w1, w2: ((z @ w1.T).relu() @ w2.T).softmax(0),
        "The last step is a ReLU: a gate then has no upper limit, and is 0 wherever its sum is negative.":
            lambda z, w1, w2: ((z @ w1.T).relu() @ w2.T).relu(),
        "There is a ReLU before σ too: no gate can fall below 0.5.":
            lambda z, w1, w2: torch.sigmoid(((z @ w1.T).relu() @ w2.T).relu()),
        "δ and σ have changed places: the sigmoid comes last, the ReLU in the middle.":
            lambda z, w1, w2: (torch.sigmoid(z @ w1.T) @ w2.T).relu(),
        "δ comes after W₂, which is too late: W₂ W₁ is a single matrix. It belongs between the two.":
            lambda z, w1, w2: torch.sigmoid((z @ w1.T @ w2.T).relu()),
        "The gates are multiplied by z at the end. The excitation returns the gates alone.":
            lambda z, w1, w2: z * excite(z, w1, w2),
        "These are 1 - s: open and closed are swapped.":
            lambda z, w1, w2: 1 - excite(z, w1, w2),
        "δ works on z, before W₁. It belongs between W₁ and W₂.":
            lambda z, w1, w2: torch.sigmoid(z.relu() @ w1.T @ w2.T),
        "Both non-linearities are sigmoids; the one in the middle, δ, is a ReLU.":
            lambda z, w1, w2: torch.sigmoid(torch.sigmoid(z @ w1.T) @ w2.T),
        "The last step is tanh: a gate below zero would change a map's sign.":
            lambda z, w1, w2: torch.tanh((z @ w1.T).relu() @ w2.T),
    },
)  # fmt: skip


def gate_weights() -> tuple[Tensor, Tensor]:
    w1, w2 = torch.zeros(2, 6), torch.zeros(6, 2)
    w1[0, GREEN], w1[0, BRIGHT] = 100, -50
    w2[GREEN, 0] = -4
    return w1, w2


def _gates_of_the_photos(weights: tuple[Tensor, Tensor]) -> Tensor:
    """Closed (-1), at rest (0) or open (1): green for temple and flower, then whether others moved."""
    w1, w2 = (torch.as_tensor(w).float() for w in weights)
    if w1.shape != (2, 6) or w2.shape != (6, 2):
        raise ValueError(f"expected shapes (2, 6) and (6, 2), got {tuple(w1.shape)} and {tuple(w2.shape)}")
    s = excite(squeeze(features(load())), w1, w2)
    if not s.isfinite().all():
        raise ValueError("a gate is not a finite number")
    green, others = s[:, GREEN], s[:, [c for c in range(6) if c != GREEN]]
    state = (green > 0.51).double() - (green < 0.1).double()
    state[(green >= 0.1) & (green < 0.49)] = -0.5  # half closed
    return torch.cat([state, ((others - 0.5).abs().amax() > 0.01).double()[None]])


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
    whole = pushed * math.exp(push) + channels - pushed
    return math.exp(push) / whole, 1 / whole


def _gates_of(channels: int, pushed: int, push: float) -> Tensor:
    """Their softmax, computed: a pushed channel's gate and another's."""
    a = torch.zeros(channels)
    a[:pushed] = push
    return a.softmax(0)[[0, -1]]


check_softmax_gates = Exercise(
    solution=_gates_of,
    cases=[(6, 2, 4.0), (64, 8, 4.0), (256, 1, 2.0), (5, 4, -1.0), (12, 3, 0.5)],
    right="Shares of one: the more channels, the less is left for each.",
    mistakes={
        "That is the sigmoid, number by number. A softmax divides by a sum over all channels.":
            lambda channels, pushed, push: (1 / (1 + math.exp(-push)), 0.5),
        "The pushed ones get the whole, 1 divided by their number. The others get something too.":
            lambda channels, pushed, push: (1 / pushed, 0.0),
        "The channels that nobody pushes count as well: e to the 0 is 1, for each of them.":
            lambda channels, pushed, push: (1 / pushed, math.exp(-push) / pushed),
        "Only one of the pushed channels is in the sum. Each of them adds e to the push.":
            lambda channels, pushed, push: (
                math.exp(push) / (math.exp(push) + channels - 1), 1 / (math.exp(push) + channels - 1)),
        "The others are counted wrongly: all channels less the pushed ones are left.":
            lambda channels, pushed, push: (
                math.exp(push) / (pushed * math.exp(push) + channels),
                1 / (pushed * math.exp(push) + channels)),
        "The two are exchanged: first a channel that is pushed, then one that is not.":
            lambda channels, pushed, push: softmax_gates(channels, pushed, push)[::-1],
        "A gate that nobody pushes is not 0: its share is 1 over the sum.":
            lambda channels, pushed, push: (softmax_gates(channels, pushed, push)[0], 0.0),
        "A gate that nobody pushes does not stay at 0.5: the shares add up to 1.":
            lambda channels, pushed, push: (softmax_gates(channels, pushed, push)[0], 0.5),
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
        "The units do as before, but the gates have changed: column h of W₂ listens to unit h.":
            lambda w1, w2: (w1 / w1.abs().max(), w2 / w1.abs().max()),
    },
)  # fmt: skip
