"""Exercises of 12_one_dimmer."""

import torch
from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.gates import class_specificity


def specificity(s: Tensor, labels: Tensor) -> float:
    return class_specificity(s[:, None], labels)


def _classes(labels: list[int]) -> Case:
    (noise,) = seeded((len(labels),), seed=len(labels))
    s = 0.5 + 0.1 * torch.tensor(labels) * (torch.tensor(labels) - 1.2) + 0.1 * noise
    return s, torch.tensor(labels)


def _means(s: Tensor, labels: Tensor) -> Tensor:
    """Each class's mean, once a class."""
    return torch.stack([s[labels == k].mean() for k in labels.unique()])


def _within(s: Tensor, labels: Tensor) -> Tensor:
    """The variance within classes, weighted by how many images each has."""
    return torch.stack(
        [(s[labels == k] - s[labels == k].mean()).square().sum() for k in labels.unique()]
    ).sum() / len(s)


check_specificity = Exercise(
    solution=specificity,
    cases=list(map(_classes, ([0, 1, 2, 1, 0, 2, 2, 2, 0], [0, 0, 1, 1, 1, 1], [2, 1, 0, 2, 1, 1, 1]))),
    right="The rest lies within the classes.",
    mistakes={
        "It is the share within the classes. The task asks for the one between them.":
            lambda s, labels: 1 - specificity(s, labels),
        "It is the variance between the classes, not its share of all variance.":
            lambda s, labels: specificity(s, labels) * s.var(correction=0),
        "Each class counts once, however many images it has. Weigh it by their number.":
            lambda s, labels: _means(s, labels).var(correction=0) / s.var(correction=0),
        "Each class counts once, and the variance of the means divides by their number less one.":
            lambda s, labels: _means(s, labels).var() / s.var(),
        "It is between over within. The share is between over the sum of both.":
            lambda s, labels: specificity(s, labels) * s.var(correction=0) / _within(s, labels),
        "It is a ratio of standard deviations. Only variances add up to a whole.":
            lambda s, labels: specificity(s, labels) ** 0.5,
        "It is the variance within the classes, not a share.":
            lambda s, labels: _within(s, labels),
    },
)  # fmt: skip


def fold_into_norm(gamma: Tensor, beta: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    return s * gamma, s * beta


def _norm(channels: int) -> Case:
    gamma, beta, s = seeded(*[(channels,)] * 3, seed=channels)
    return gamma, beta, s.sigmoid()


check_fold_into_norm = Exercise(
    solution=fold_into_norm,
    cases=[_norm(3), _norm(5)],
    right="A frozen gate costs nothing: it disappears in the layer before it.",
    mistakes={
        "β is left as it was. The gate multiplies all that comes out of the BatchNorm, β too.":
            lambda gamma, beta, s: (s * gamma, beta),
        "γ is left as it was: it is the map's own factor, and the gate multiplies it.":
            lambda gamma, beta, s: (gamma, s * beta),
        "They are divided by the gate.":
            lambda gamma, beta, s: (gamma / s, beta / s),
        "The gate is added to γ. It multiplies.":
            lambda gamma, beta, s: (gamma + s, beta),
        "The two are exchanged: γ comes first.":
            lambda gamma, beta, s: (s * beta, s * gamma),
        "The gate is added to both. It multiplies.":
            lambda gamma, beta, s: (gamma + s, beta + s),
        "All channels get the mean gate.":
            lambda gamma, beta, s: (s.mean() * gamma, s.mean() * beta),
    },
)  # fmt: skip
