"""Exercises of 08_gradients."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seblock.exercises.errors import Rules
from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import number


def gate_left(share: float) -> float:
    return (1 + math.sqrt(1 - share)) / 2


def _slope_there(result: Any, share: float) -> str:
    """The slope at the gate that was given, beside the one that is wanted."""
    s = float(result)
    if not 0 < s < 1:
        return f"For share = {share} you return {number(s)}. A gate above one half lies between 0.5 and 1."
    return (
        f"For share = {share} you return {number(s, gate_left(share))}. There the slope s (1 - s) is "
        f"{number(s * (1 - s), share / 4)}; wanted is {share} of 0.25, {number(share / 4, s * (1 - s))}. "
        f"Your gate is {number(abs(s - 0.5))} from one half, and the square of that, "
        f"{number((s - 0.5) ** 2, (1 - share) / 4)}, should be what the slope has lost, "
        f"{number((1 - share) / 4, (s - 0.5) ** 2)}."
    )


check_gate_left = Exercise(
    solution=gate_left,
    cases=[(1.0,), (0.5,), (0.1,), (0.75,), (0.01,)],
    reason=_slope_there,
    kinds={"the share is 1": lambda share: share == 1},
    right="Half of the slope is still there at 0.85. From there on it falls fast.",
    mistakes={
        "That is the other gate with this slope, below one half. The task asks for the one above.":
            lambda share: (1 - math.sqrt(1 - share)) / 2,
        "The share is of the largest slope, 0.25, not of 1: s (1 - s) = share / 4.":
            lambda share: (1 + math.sqrt(max(0.0, 1 - 4 * share))) / 2,
        "The root is of 1 - 4 · share, which may be negative. The share is of 0.25: s (1 - s) = "
        "share / 4.":
            lambda share: (1 + math.sqrt(1 - 4 * share)) / 2,
        "The root is of 1 - 4 · share, and of something negative it is NaN. The share is of 0.25, the "
        "largest slope.":
            lambda share: (1 + math.sqrt(1 - 4 * share)) / 2 if share <= 0.25 else math.nan,
        "The root is not halved: d² = 0.25 (1 - share), and the root of 0.25 is a half.":
            lambda share: 0.5 + math.sqrt(1 - share),
        "The root is missing: 0.25 (1 - share) is d², the square of the distance from 0.5.":
            lambda share: 0.5 + (1 - share) / 4,
        "It grows with the share. The more of the slope is left, the nearer the gate is to one half.":
            lambda share: 0.5 + share / 4,
        "That gate grows with the share. The more of the slope is left, the nearer it is to one half.":
            lambda share: (1 + share) / 2,
        "That is half the root of the share. Which s gives s (1 - s) = share / 4?":
            lambda share: math.sqrt(share) / 2,
        "Under the root the share is divided by 4 once too often: with the factor 0.5 outside it is 1 - "
        "share.":
            lambda share: (1 + math.sqrt(1 - share / 4)) / 2,
        "Both gates have this slope. The task asks for the one above one half.":
            lambda share: ((1 - math.sqrt(1 - share)) / 2, (1 + math.sqrt(1 - share)) / 2),
        "That is 1 less half the root of the share. Write s = 0.5 + d: what is d² then?":
            lambda share: 1 - math.sqrt(share) / 2,
        "Near 1 the slope is about 1 - s, but only near 1: solve s (1 - s) = share / 4.":
            lambda share: 1 - share / 4,
        "The gate is not one less the share. The slope is s (1 - s), a parabola.":
            lambda share: 1 - share,
        "A straight line from 0.5 to 1: the slope falls slowly at first and then fast.":
            lambda share: 1 - share / 2,
        "That is the slope, not the gate.":
            lambda share: share / 4,
        "That is what σ is given, a₂. The gate is σ of it.":
            lambda share: math.log(gate_left(share) / (1 - gate_left(share))),
        "The root is of 1 - share. Put your gate back into s (1 - s).":
            lambda share: 0.5 + 0.5 * math.sqrt(share),
        "The root is halved once too often: 0.25 (1 - share) has the root 0.5 times that of 1 - share.":
            lambda share: 0.5 + math.sqrt(1 - share) / 4,
        "That is the root alone. s is 0.5 plus half of it.": lambda share: math.sqrt(1 - share),
        "That is the root of the share. Which s gives s (1 - s) = share / 4?":
            lambda share: math.sqrt(share),
    },
)  # fmt: skip


def grad_from_output(g: Tensor, x_tilde: Tensor, s: Tensor) -> Tensor:
    return (g * x_tilde).sum(dim=(2, 3)) * (1 - s)


def _pass(n: int, c: int, h: int, w: int) -> Case:
    g, u, gates = seeded((n, c, h, w), (n, c, h, w), (n, c), seed=c)
    return g, (u + 0.5) * gates.sigmoid()[:, :, None, None], gates.sigmoid()


def _from_output(
    g: Tensor,
    x_tilde: Tensor,
    s: Tensor,
    join: Callable[[Tensor, Tensor], Tensor] = lambda g, x: g * x,
    gather: Callable[[Tensor], Tensor] = lambda t: t.sum(dim=(2, 3)),
    factor: Callable[[Tensor], Tensor] = lambda s: 1 - s,
) -> Tensor:
    return gather(join(g, x_tilde)) * factor(s)


check_grad_from_output = Exercise(
    solution=grad_from_output,
    shapes="g (N, C, H, W), x_tilde (N, C, H, W), s (N, C) -> (N, C)",
    variant=_from_output,
    slips={
        "join": {
            "x̃ is left out. Each position's g is multiplied by what the gate multiplied there.":
                lambda g, x: g,
            "g is left out. It says how much each position of the output matters.": lambda g, x: x,
            "g and x̃ are added. They are multiplied, position by position.": lambda g, x: g + x,
        },
        "gather": {
            "It is the mean over the map. The gate multiplies every position, and what comes back adds up.":
                lambda t: t.mean(dim=(2, 3)),
            "It is the largest product of the map. The gate multiplies every position, and what comes "
            "back adds "
            "up.":
                lambda t: t.amax(dim=(2, 3)),
            "Everything is added up. Each channel of each image keeps its own sum: dimensions 2 and 3 go.":
                lambda t: t.sum().expand(t.shape[:2]),
            "The images are added up as well. Each keeps its own sum: only dimensions 2 and 3 go.":
                lambda t: t.sum((0, 2, 3)).expand(t.shape[:2]),
            "The channels are added up as well. Each keeps its own sum: only dimensions 2 and 3 go.":
                lambda t: t.sum((1, 2, 3))[:, None].expand(t.shape[:2]),
        },
        "factor": {
            "There is an s too many: x̃ = s u holds it already.": lambda s: s * (1 - s),
            "There are two s too many: x̃ = s u holds one already, and s (1 - s) has one.":
                lambda s: s * s * (1 - s),
            "That is ∂L/∂s, from u = x̃ / s. The sigmoid's factor s (1 - s) is still missing.":
                lambda s: 1 / s,
            "That is the sum over g x̃. To get back to u, divide by s; then comes the sigmoid.":
                lambda s: torch.ones_like(s),
            "That divides by s once too often.": lambda s: (1 - s) / s,
            "The factor is s alone. Divide s (1 - s) by s, and 1 - s is left.": lambda s: s,
            "1 - s divides here. It multiplies: it is what is left of s (1 - s).": lambda s: 1 / (1 - s),
            "1 - s is squared. It comes in once, with the sigmoid.": lambda s: (1 - s) ** 2,
            "It is s - 1, and should be 1 - s: all signs are the wrong way round.": lambda s: s - 1,
        },
    },
    cases=[_pass(2, 8, 5, 3), _pass(3, 4, 1, 2), _pass(1, 6, 4, 4)],
    right="x̃ already holds one s of s (1 - s). So the block could forget u and still learn.",
    mistakes={
        "The sums are multiplied. Multiply position by position first, then add up.":
            lambda g, x_tilde, s: g.sum(dim=(2, 3)) * x_tilde.sum(dim=(2, 3)) * (1 - s),
        "The means are multiplied. Multiply position by position first, then add up.":
            lambda g, x_tilde, s: g.mean(dim=(2, 3)) * x_tilde.mean(dim=(2, 3)) * (1 - s),
        "s is taken off. 1 - s multiplies: it is what is left of s (1 - s).":
            lambda g, x_tilde, s: (g * x_tilde).sum(dim=(2, 3)) - s,
    },
)  # fmt: skip


def waking_bias(w: Tensor, z: Tensor, k: int) -> float:
    a = (z @ w).sort(descending=True).values
    above = a[k - 1] if k else a[0] + 1
    below = a[k] if k < len(a) else a[-1] - 1
    return float(-(above + below) / 2)


def _stepped(w: Tensor, z: Tensor, k: int, step: float) -> float:
    """A fixed step below the k-th sum, or above the one after it."""
    a = (z @ w).sort(descending=True).values
    if step > 0:
        return float(step - a[k - 1]) if k else float(-a[0] - 1)
    return float(step - a[k]) if k < len(a) else float(1 - a[-1])


def _close(k: int) -> Case:
    """Sums of which two are near to each other."""
    return torch.tensor([1.0]), torch.tensor([[0.5], [1.0], [0.1], [0.5005]]), k


def _equal(k: int) -> Case:
    """Sums of which the two largest are equal: they are of two images all the same."""
    return torch.tensor([1.0]), torch.tensor([[0.5], [1.0], [0.25], [1.0]]), k


def _woken(bias: float, w: Tensor, z: Tensor, k: int) -> int:
    """For how many images the unit is on with this bias."""
    if torch.as_tensor(bias).numel() != 1:
        raise ValueError("one number is wanted, the bias, and not one for each image")
    return int((z @ w + float(bias) > 0).sum())


def _unit(n: int, c: int, k: int) -> Case:
    z, w = seeded((n, c), (c,), seed=n)
    return w, z.abs(), k


def _which_sum(bias: float, sums: Tensor) -> str:
    """Which of the sums, the largest first, a bias is made of, as a sentence with a space before it."""
    for told, value in ((" It is minus the sum", -bias), (" It is the sum", bias)):
        near = ((sums - value).abs() < 1e-5).nonzero().flatten().tolist()
        if near:
            sign = ", at which that image is just off" if value != bias else ": the sign has to turn round"
            return f"{told} that is number {near[0] + 1} from above{sign}."
    return ""


def _zero_between(result: Any, w: Tensor, z: Tensor, k: int) -> str:
    """For how many images the unit is on, and what has to lie above zero."""
    bias, sums = float(result), (z @ w).sort(descending=True).values
    text = (
        f"With your bias, {number(bias)}, the unit is on for {_woken(bias, w, z, k)} of {len(sums)} "
        f"images, and it should be for k = {k}.{_which_sum(bias, sums)}"
    )
    if k == 0:
        return f"{text} So all sums have to stay below zero, the largest, {number(float(sums[0]))}, as well."
    if k == len(sums):
        smallest = number(float(sums[-1]))
        return (
            f"{text} So all sums have to come above zero, the smallest, {smallest}, too: at 0 a unit is off."
        )
    above, below = (number(float(sums[i])) for i in (k - 1, k))
    return (
        f"{text} Sum number {k} from above, {above}, has to come above zero, and the next one, {below}, has "
        f"to stay below."
    )


def _without_ends(w: Tensor, z: Tensor, k: int, first: bool = False, last: bool = False) -> float:
    """Half-way between two sums, where there are two; the ends are seen to or not."""
    a = (z @ w).sort(descending=True).values
    if (first and k == 0) or (last and k == len(a)):
        return waking_bias(w, z, k)
    return float(-(a[k - 1] + a[k]) / 2)


check_waking_bias = Exercise(
    solution=waking_bias,
    cases=[
        *[_unit(9, 5, 3), _unit(12, 4, 1), _unit(7, 6, 7), _unit(8, 3, 0), _unit(6, 8, 2)],
        *[_close(2), _equal(2)],
    ],
    view=_woken,
    reason=_zero_between,
    hint="It returns one number.",
    kinds={
        "no two sums are equal": lambda w, z, k: len((z @ w).unique()) == len(z),
        "k is 0": lambda w, z, k: k == 0,
        "k is N, all images": lambda w, z, k: k == len(z),
        "k is 0 or N": lambda w, z, k: k in (0, len(z)),
    },
    right="A bias decides how many images a unit speaks for. One step too low, and it is silent for all.",
    mistakes={
        "The sign is the wrong way round: a sum of -2 is lifted above 0 by a bias above 2.":
            lambda w, z, k: -waking_bias(w, z, k),
        "With k counted from 0, that is one image too many.":
            lambda w, z, k: waking_bias(w, z, min(k + 1, len(z))),
        "One image too few: at the bias itself the sum is exactly 0, and a unit at 0 is off.":
            lambda w, z, k: waking_bias(w, z, max(k - 1, 0)),
        "It is on for all but k of the images: sort from the largest sum down.":
            lambda w, z, k: waking_bias(w, z, len(z) - k),
        "The unit is on for every image. Too large a bias says nothing about the image.":
            lambda w, z, k: 1e6,
        "The unit is silent for every image, so nothing reaches its weights.":
            lambda w, z, k: -1e6,
        "A fixed step may jump over the next sum. Put zero half-way between the two sums.":
            lambda w, z, k: _stepped(w, z, k, 0.01),
        "A fixed step may jump over the sum above. Put zero half-way between the two sums.":
            lambda w, z, k: _stepped(w, z, k, -0.01),
        "There is no a[N], and a[-1] is the smallest sum: for k = 0 and for k = N go beyond the last sum by "
        "a step.":
            _without_ends,
        "There is no sum a[N]: for k = N the bias lifts the smallest sum above 0, by any step.":
            lambda w, z, k: _without_ends(w, z, k, first=True),
        "For k = 0, a[k - 1] is a[-1], the smallest sum. Go beyond the largest instead, by any step.":
            lambda w, z, k: _without_ends(w, z, k, last=True),
        "Half of the images, whatever k is. It takes the sum that is k-th from above, and the one after it.":
            lambda w, z, k: float(-(z @ w).median()),
    },
)  # fmt: skip


def back_through_max(u: Tensor, grad_z: Tensor) -> Tensor:
    n, c, h, w = u.shape
    largest = u.flatten(2).argmax(dim=2, keepdim=True)
    grad_u = torch.zeros(n, c, h * w, dtype=u.dtype)
    return grad_u.scatter(2, largest, grad_z[:, :, None]).view_as(u)


def _squeezed(n: int, c: int, h: int, w: int) -> Case:
    u, grad_z = seeded((n, c, h, w), (n, c), seed=h)
    return u, grad_z


def _after_relu() -> Case:
    """Maps as a ReLU leaves them: one is 0 everywhere, one has its largest value twice."""
    u, grad_z = _squeezed(2, 3, 3, 4)
    u = u.relu()
    u[0, 1] = 0
    u[1, 0, 0, 1] = u[1, 0, 2, 3] = 4
    return u, grad_z


def _where_it_stands(given: object, u: Tensor, grad_z: Tensor) -> str:
    """What the first map that is wrong should hold, and what it holds."""
    if not isinstance(given, Tensor) or given.shape != u.shape:
        return ""
    wanted = back_through_max(u, grad_z)
    wrong = (_at_the_first(given, u, grad_z) - wanted).abs().amax((2, 3)) > 1e-4
    n, c = wrong.nonzero()[0].tolist()
    row, column = (wanted[n, c] != 0).nonzero()[0].tolist()
    text = f"In the map of image {n}, channel {c}, all of ∂L/∂z should be at row {row}, column {column}"
    where = given[n, c].nonzero().tolist()
    if not where:
        return f"{text}; yours is 0 everywhere."
    if len(where) > 3:
        return f"{text}; yours is not 0 at {len(where)} of {u[n, c].numel()} positions."
    found = " and ".join(f"row {i}, column {j}: {given[n, c, i, j]:.2g}" for i, j in where)
    return f"{text}: {grad_z[n, c]:.2g}. Yours has {found}."


def _at_the_first(given: Any, u: Tensor, grad_z: Tensor) -> Any:
    """The gradient, moved to the first of several largest positions wherever they share ∂L/∂z among them.

    Which of them gets it is a matter of taste: `max` with a dimension chooses one, `amax` shares it out.
    """
    if not isinstance(given, Tensor) or given.shape != u.shape:
        return given
    largest = (u == u.amax((2, 3), keepdim=True)).flatten(2)
    flat = given.detach().to(u.dtype).flatten(2)
    part = flat / grad_z[:, :, None]
    fair = (part * ~largest == 0).all(2) & (part > -1e-5).all(2) & ((part.sum(2) - 1).abs() < 1e-3)
    moved = torch.zeros_like(flat).scatter(2, u.flatten(2).argmax(2, keepdim=True), grad_z[:, :, None])
    return torch.where(fair[:, :, None], moved, flat).view_as(u)


def _everywhere(u: Tensor, grad_z: Tensor) -> Tensor:
    return grad_z[:, :, None, None].expand_as(u)


def _where_max(u: Tensor, grad_z: Tensor, dim: int | tuple[int, ...]) -> Tensor:
    return torch.where(u == u.amax(dim, keepdim=True), _everywhere(u, grad_z), 0)


check_back_through_max = Exercise(
    solution=back_through_max,
    cases=[
        *[_squeezed(2, 8, 5, 3), _squeezed(1, 3, 2, 4), _squeezed(3, 2, 4, 1), _squeezed(2, 2, 3, 3)],
        _after_relu(),
    ],
    view=_at_the_first,
    reason=_where_it_stands,
    shapes="u (N, C, H, W), grad_z (N, C) -> (N, C, H, W)",
    rules=Rules(forbidden=("backward", "grad")),
    kinds={
        "one position of each map is the largest": lambda u, grad_z: bool(
            ((u == u.amax((2, 3), keepdim=True)).sum((2, 3)) == 1).all()
        ),
        "H and W are equal": lambda u, grad_z: u.shape[2] == u.shape[3],
        "W is 1": lambda u, grad_z: u.shape[3] == 1,
    },
    right="One position of each map hears of it, and the others learn nothing.",
    mistakes={
        "It is the gradient of the mean: every position gets the same part.":
            lambda u, grad_z: _everywhere(u, grad_z) / (u.shape[2] * u.shape[3]),
        "Every position gets the whole gradient. Only the largest one moves the maximum.":
            _everywhere,
        "Where several positions are the largest, as in a map of zeros, all of them get the whole gradient. "
        "Choose one.":
            lambda u, grad_z: _where_max(u, grad_z, (2, 3)),
        "The largest positions are marked, but ∂L/∂z is missing, and of several that are equal one counts.":
            lambda u, grad_z: _where_max(u, torch.ones_like(grad_z), (2, 3)),
        "The position is that of the largest |u|. The maximum knows the sign.":
            lambda u, grad_z: back_through_max(u.abs(), grad_z),
        "The position is that of the smallest value.":
            lambda u, grad_z: back_through_max(-u, grad_z),
        "The positions are those of the smallest values. It should be the largest one.":
            lambda u, grad_z: _where_max(-u, grad_z, (2, 3)),
        "It is multiplied by u. The maximum passes on the gradient itself.":
            lambda u, grad_z: back_through_max(u, grad_z) * u,
        "Every position gets ∂L/∂z times u. The maximum passes it on to the largest position alone.":
            lambda u, grad_z: _everywhere(u, grad_z) * u,
        "Every position gets ∂L/∂z times the maximum. It goes to the largest position alone, without "
        "a factor.":
            lambda u, grad_z: _everywhere(u, grad_z) * u.amax((2, 3), keepdim=True),
        "The largest position is marked, but ∂L/∂z is missing.":
            lambda u, grad_z: back_through_max(u, torch.ones_like(grad_z)),
        "It is divided by H · W. There is one largest position, and it moves z by as much as itself.":
            lambda u, grad_z: back_through_max(u, grad_z) / (u.shape[2] * u.shape[3]),
        "It is divided by H · W, and several that are the largest all get it. There is one, and it moves "
        "z by "
        "as much as itself.":
            lambda u, grad_z: _where_max(u, grad_z, (2, 3)) / (u.shape[2] * u.shape[3]),
        "It is the largest of each column that gets the gradient. A map has one largest position.":
            lambda u, grad_z: _where_max(u, grad_z, 2),
        "It is the largest of each row that gets the gradient. A map has one largest position.":
            lambda u, grad_z: _where_max(u, grad_z, 3),
        "Positions that are the largest of their row and of their column get it. A map has one "
        "largest position.":
            lambda u, grad_z: _where_max(u, grad_z, 2) * (u == u.amax(3, keepdim=True)),
        "It is the largest of each whole image that gets the gradient. Each map has one.":
            lambda u, grad_z: _where_max(u, grad_z, (1, 2, 3)),
        "It is the largest of the whole batch that gets the gradient. Each map has one.":
            lambda u, grad_z: _where_max(u, grad_z, (0, 1, 2, 3)),
        "Everything above zero gets the gradient, as behind a ReLU. A map has one largest position.":
            lambda u, grad_z: _everywhere(u, grad_z) * (u > 0),
        "A softmax shares it out. The maximum passes it on to one position.":
            lambda u, grad_z: u.flatten(2).softmax(2).view_as(u) * _everywhere(u, grad_z),
        "The rest of the map is left as it was. What is not the largest gets 0.":
            lambda u, grad_z: torch.where(
                u == u.amax((2, 3), keepdim=True), _everywhere(u, grad_z), u
            ),
        "It is the gradient ∂L/∂z itself. It has to be put where the largest value of each map is.":
            lambda u, grad_z: grad_z,
        "The numbers are right, but each map is one long row: view_as(u) gives it H and W again.":
            lambda u, grad_z: back_through_max(u, grad_z).flatten(2),
    },
)  # fmt: skip
