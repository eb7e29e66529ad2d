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


Folded = tuple[Tensor, Tensor]


def fold_all(
    w: Tensor, mean: Tensor, var: Tensor, gamma: Tensor, beta: Tensor, s: Tensor, eps: float
) -> Folded:
    factor = s * gamma / (var + eps).sqrt()
    return w * factor[:, None, None, None], s * beta - factor * mean


def _layers(c: int, c_in: int, eps: float) -> Case:
    """A convolution, the statistics and parameters of the BatchNorm after it, and constant gates."""
    w, mean, var, gamma, beta, s = seeded((c, c_in, 3, 3), *[(c,)] * 5, seed=c)
    return w, mean, var.abs() + 0.1, gamma, beta, s.sigmoid(), eps


check_fold_all = Exercise(
    solution=fold_all,
    cases=[_layers(4, 3, 1e-5), _layers(3, 3, 0.1), _layers(5, 2, 1e-3)],
    view=lambda result, *_: torch.cat([torch.as_tensor(part).flatten() for part in result]),
    hint="It returns two tensors: the filters, of w's shape, and a bias for each.",
    right="Convolution, BatchNorm and constant gate are one convolution with biases.",
    mistakes={
        "The gate multiplies β as well: it comes after the whole BatchNorm.":
            lambda w, mean, var, gamma, beta, s, eps: (
                fold_all(w, mean, var, gamma, beta, s, eps)[0],
                beta - s * gamma * mean / (var + eps).sqrt()),
        "The gate multiplies the mean's part as well: it comes after the whole BatchNorm.":
            lambda w, mean, var, gamma, beta, s, eps: (
                fold_all(w, mean, var, gamma, beta, s, eps)[0],
                s * beta - gamma * mean / (var + eps).sqrt()),
        "The gate is missing.":
            lambda w, mean, var, gamma, beta, s, eps: fold_all(
                w, mean, var, gamma, beta, torch.ones_like(s), eps),
        "The mean is forgotten: BatchNorm takes it off before it multiplies.":
            lambda w, mean, var, gamma, beta, s, eps: (
                fold_all(w, mean, var, gamma, beta, s, eps)[0], s * beta),
        "The mean is taken off as it is. It is multiplied by the factor like everything before β.":
            lambda w, mean, var, gamma, beta, s, eps: (
                fold_all(w, mean, var, gamma, beta, s, eps)[0], s * beta - mean),
        "BatchNorm divides by the root of the variance, not by the variance.":
            lambda w, mean, var, gamma, beta, s, eps: fold_all(
                w, mean, (var + eps) ** 2, gamma, beta, s, 0.0),
        "eps is left out. It is small, but with a small variance it counts.":
            lambda w, mean, var, gamma, beta, s, eps: fold_all(w, mean, var, gamma, beta, s, 0.0),
        "eps is added to the standard deviation. BatchNorm adds it to the variance.":
            lambda w, mean, var, gamma, beta, s, eps: fold_all(
                w, mean, (var.sqrt() + eps) ** 2, gamma, beta, s, 0.0),
        "The mean's sign is wrong: it is taken off.":
            lambda w, mean, var, gamma, beta, s, eps: fold_all(w, -mean, var, gamma, beta, s, eps),
    },
)  # fmt: skip


def along_one(s: Tensor) -> Tensor:
    mean = s.mean(dim=0)
    pattern = torch.linalg.svd(s - mean, full_matrices=False)[2][0]
    return mean + ((s - mean) @ pattern)[:, None] * pattern


def _moving(n: int, c: int) -> Case:
    """Gates that move along two patterns, one stronger than the other, and a little at random."""
    settings, patterns, noise = seeded((n, 2), (2, c), (n, c), seed=n)
    a = settings @ (torch.tensor([1.0, 0.5])[:, None] * patterns) + 0.1 * noise
    return ((a + 0.7).sigmoid(),)


check_along_one = Exercise(
    solution=along_one,
    cases=[_moving(20, 6), _moving(9, 4), _moving(30, 10)],
    right="One number an image is left of all its gates.",
    mistakes={
        "The channels' means are missing: add them again at the end.":
            lambda s: along_one(s) - s.mean(dim=0),
        "The means were not taken off first. The first pattern then is mostly the mean itself.":
            lambda s: (s @ torch.linalg.svd(s, full_matrices=False)[2][0])[:, None]
            * torch.linalg.svd(s, full_matrices=False)[2][0],
        "That is all but the first pattern: what is left of the gates without it.":
            lambda s: s - along_one(s) + s.mean(dim=0),
        "That is the rest, what the first pattern leaves.":
            lambda s: s - along_one(s),
        "Each image's mean is taken off. It is each channel's, over the images, dimension 0.":
            lambda s: along_one(s.T).T,
        "Every image has the mean gates: none of them moves.":
            lambda s: s.mean(dim=0).expand_as(s),
        "All gates of an image move by the same. A pattern has a number for each channel.":
            lambda s: s.mean(dim=0) + (s - s.mean(dim=0)).mean(dim=1, keepdim=True),
        "That is the second pattern.":
            lambda s: s.mean(dim=0)
            + ((s - s.mean(dim=0)) @ torch.linalg.svd(s - s.mean(dim=0), full_matrices=False)[2][1])[:, None]
            * torch.linalg.svd(s - s.mean(dim=0), full_matrices=False)[2][1],
    },
)  # fmt: skip
