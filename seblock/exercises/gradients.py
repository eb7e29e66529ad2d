"""Exercises of 08_gradients."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded


def grad_before_sigmoid(g: Tensor, u: Tensor, s: Tensor) -> Tensor:
    return (g * u).sum(dim=(2, 3)) * s * (1 - s)


def _pass(n: int, c: int, h: int, w: int) -> Case:
    g, u, gates = seeded((n, c, h, w), (n, c, h, w), (n, c), seed=c)
    return g, u + 0.5, gates.sigmoid()


def _grad(
    g: Tensor,
    u: Tensor,
    s: Tensor,
    product: Callable[[Tensor, Tensor], Tensor] = lambda g, u: g * u,
    gather: Callable[[Tensor], Tensor] = lambda t: t.sum((2, 3)),
    slope: Callable[[Tensor], Tensor] = lambda s: s * (1 - s),
    join: Callable[[Tensor, Tensor], Tensor] = lambda a, b: a * b,
) -> Tensor:
    return join(gather(product(g, u)), slope(s))


check_grad_before_sigmoid = Exercise(
    solution=grad_before_sigmoid,
    cases=[_pass(2, 8, 5, 3), _pass(3, 4, 1, 2), _pass(1, 6, 4, 4), _pass(2, 3, 3, 3), _pass(4, 5, 2, 6)],
    shapes="g (N, C, H, W), u (N, C, H, W), s (N, C) -> (N, C)",
    right="A sum over the map, times a factor of at most a quarter.",
    variant=_grad,
    slips={
        "product": {
            "u is missing: how far x̃ follows the gate depends on what it multiplies.": lambda g, u: g,
            "g is missing: what comes back from the loss has to be multiplied in.": lambda g, u: u,
            "g and u are both missing.": lambda g, u: torch.ones_like(u),
            "u is added to g. It multiplies: x̃ = s u.": lambda g, u: g + u,
            "g is divided by u. It is multiplied: x̃ = s u.": lambda g, u: g / u,
            "g · |u| is added up: the sign of u counts.": lambda g, u: g * u.abs(),
            "Only where u is above zero it counts. There is no ReLU between u and x̃.":
                lambda g, u: g * u.relu(),
            "|g u| is added up: what comes back may cancel.": lambda g, u: (g * u).abs(),
        },
        "gather": {
            "It is the mean over the map. The gate multiplies every position, and what comes back adds up.":
                lambda t: t.mean((2, 3)),
            "It is the largest over the map. What comes back from all positions adds up.":
                lambda t: t.amax((2, 3)),
            "Images are added up as well. Each image has gates of its own.":
                lambda t: t.sum((0, 2, 3), keepdim=True)[..., 0, 0].expand(t.shape[:2]),
            "Channels are added up as well. Each channel has a gate of its own.":
                lambda t: t.sum((1, 2, 3))[:, None].expand(t.shape[:2]),
            "The absolute value of the sum is taken. A gradient has a sign.": lambda t: t.sum((2, 3)).abs(),
        },
        "slope": {
            "It is ∂L/∂s: the factor s (1 − s) of the sigmoid is missing.": lambda s: torch.ones_like(s),
            "What the gate multiplies is u, not x̃ = s u: there is an s too many.": lambda s: s * s * (1 - s),
            "The derivative of σ is s (1 − s). Here it is s alone.": lambda s: s,
            "The derivative of σ is s (1 − s). Here it is 1 − s alone.": lambda s: 1 - s,
            "The derivative of σ is s (1 − s). Here it is s (1 + s).": lambda s: s * (1 + s),
            "The derivative of σ is s (1 − s). Here it is 1 − s², which belongs to tanh.":
                lambda s: 1 - s * s,
            "The derivative of σ is s (1 − s). Here it is s².": lambda s: s * s,
            "The derivative of σ is s (1 − s). Here it is s (1 − s)².": lambda s: s * (1 - s) ** 2,
            "The derivative of σ is s (1 − s), squared here.": lambda s: (s * (1 - s)) ** 2,
            "The sign is wrong: the derivative of σ is s (1 − s), not s (s − 1).": lambda s: s * (s - 1),
            "It is divided by s (1 − s). The chain rule multiplies.": lambda s: 1 / (s * (1 - s)),
            "A quarter is the largest value of s (1 − s), not its value for every gate.":
                lambda s: torch.full_like(s, 0.25),
            "The derivative is taken at s instead of at a₂: σ was applied twice.":
                lambda s: s.sigmoid() * (1 - s.sigmoid()),
        },
        "join": {
            "The slope of σ is added. The chain rule multiplies.": lambda a, b: a + b,
            "Axes of size 1 are left over: (N, C, 1, 1).": lambda a, b: (a * b)[:, :, None, None],
        },
    },
    mistakes={
        "It is u's sum that is missing its g: multiply position by position, then add.":
            lambda g, u, s: g.sum(dim=(2, 3)) * u.sum(dim=(2, 3)) * s * (1 - s),
        "The means of g and u are multiplied. Multiply position by position, then add.":
            lambda g, u, s: g.mean(dim=(2, 3)) * u.mean(dim=(2, 3)) * s * (1 - s),
        "It is the slope of σ alone, s (1 − s). g and u are missing, multiplied and added up over the map.":
            lambda g, u, s: s * (1 - s),
        "g stands in the place of u, s in the place of g: it is (g u), added up, that counts.":
            lambda g, u, s: (g * s[:, :, None, None]).sum((2, 3)) * s * (1 - s),
        "There are brackets missing: a · s − s² is not a · s (1 − s).":
            lambda g, u, s: (g * u).sum(dim=(2, 3)) * s - s**2,
        "There are brackets missing: a · s · 1 − s is not a · s (1 − s).":
            lambda g, u, s: (g * u).sum(dim=(2, 3)) * s - s,
        "There are brackets missing: a · s − a is not a · s (1 − s).":
            lambda g, u, s: (g * u).sum(dim=(2, 3)) * (s - 1),
        "The positions are not added up yet: a gate hears from its whole map.":
            lambda g, u, s: g * u * (s * (1 - s))[:, :, None, None],
        "Each gate's number is spread over its map. The task asks for one number a gate.":
            lambda g, u, s: grad_before_sigmoid(g, u, s)[:, :, None, None].expand_as(u),
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
    forbidden=("backward", "grad"),
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
