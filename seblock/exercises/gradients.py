"""Exercises of 08_gradients."""

import torch
from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded


def grad_before_sigmoid(g: Tensor, u: Tensor, s: Tensor) -> Tensor:
    return (g * u).sum(dim=(2, 3)) * s * (1 - s)


def _pass(n: int, c: int, h: int, w: int) -> Case:
    g, u, gates = seeded((n, c, h, w), (n, c, h, w), (n, c), seed=c)
    return g, u + 0.5, gates.sigmoid()


check_grad_before_sigmoid = Exercise(
    solution=grad_before_sigmoid,
    cases=[_pass(2, 8, 5, 3), _pass(3, 4, 1, 2), _pass(1, 6, 4, 4)],
    right="A sum over the map, times a factor of at most a quarter.",
    mistakes={
        "It is ∂L/∂s: the factor s (1 − s) of the sigmoid is missing.":
            lambda g, u, s: (g * u).sum(dim=(2, 3)),
        "It is the mean over the map. The gate multiplies every position, and what comes back adds up.":
            lambda g, u, s: (g * u).mean(dim=(2, 3)) * s * (1 - s),
        "It is u's sum that is missing its g: multiply position by position, then add.":
            lambda g, u, s: g.sum(dim=(2, 3)) * u.sum(dim=(2, 3)) * s * (1 - s),
        "What the gate multiplies is u, not x̃ = s u: there is an s too many.":
            lambda g, u, s: (g * u).sum(dim=(2, 3)) * s * s * (1 - s),
        "The derivative of σ is s (1 − s). Here it is s alone.":
            lambda g, u, s: (g * u).sum(dim=(2, 3)) * s,
        "The derivative of σ is s (1 − s). Here it is 1 − s alone.":
            lambda g, u, s: (g * u).sum(dim=(2, 3)) * (1 - s),
        "The derivative is taken at s instead of at a₂: σ was applied twice.":
            lambda g, u, s: (g * u).sum(dim=(2, 3)) * s.sigmoid() * (1 - s.sigmoid()),
        "u is missing: how far x̃ follows the gate depends on what it multiplies.":
            lambda g, u, s: g.sum(dim=(2, 3)) * s * (1 - s),
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


def _everywhere(u: Tensor, grad_z: Tensor) -> Tensor:
    return grad_z[:, :, None, None].expand_as(u)


check_back_through_max = Exercise(
    solution=back_through_max,
    cases=[_squeezed(2, 8, 5, 3), _squeezed(1, 3, 2, 4), _squeezed(3, 2, 4, 1)],
    right="One position of each map hears of it, and the others learn nothing.",
    mistakes={
        "It is the gradient of the mean: every position gets the same part.":
            lambda u, grad_z: _everywhere(u, grad_z) / (u.shape[2] * u.shape[3]),
        "Every position gets the whole gradient. Only the largest one moves the maximum.":
            _everywhere,
        "The position is that of the largest |u|. The maximum knows the sign.":
            lambda u, grad_z: back_through_max(u.abs(), grad_z),
        "The position is that of the smallest value.":
            lambda u, grad_z: back_through_max(-u, grad_z),
        "It is multiplied by u. The maximum passes on the gradient itself.":
            lambda u, grad_z: back_through_max(u, grad_z) * u,
        "The largest position is marked, but ∂L/∂z is missing.":
            lambda u, grad_z: back_through_max(u, torch.ones_like(grad_z)),
        "It is divided by H · W. There is one largest position, and it moves z by as much as itself.":
            lambda u, grad_z: back_through_max(u, grad_z) / (u.shape[2] * u.shape[3]),
    },
)  # fmt: skip
