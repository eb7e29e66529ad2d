"""Exercises of 12_one_dimmer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import number
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


def _of_each(s: Tensor, labels: Tensor) -> Tensor:
    """Each image's class's mean."""
    return torch.stack([s[labels == k].mean() for k in labels])


def _variances(s: Tensor, labels: Tensor, correction: int) -> Tensor:
    """Each class's own variance, once a class; NaN where a class has too few images for it."""
    return torch.stack([s[labels == k].var(correction=correction) for k in labels.unique()])


def _share(result: Any, s: Tensor, labels: Tensor) -> str:
    """What shows in a number that is no share."""
    value = float(result)
    where = f"For {len(s)} gates with labels = {labels.tolist()} your function returns {number(value)}"
    if value > 1 + 1e-6 or value < -1e-6:
        return f"{where}. A share lies between 0 and 1: divide a part of the variance by all of it."
    right = number(specificity(s, labels), value)
    return f"{where}, expected is {right}: the variance of each image's class mean, over all variance."


def _straight(s: Tensor, labels: Tensor) -> Tensor:
    """The correlation of gate and label, as if labels were amounts."""
    return torch.corrcoef(torch.stack([s, labels.to(s.dtype)]))[0, 1]


def _filled(s: Tensor, labels: Tensor, of: Callable[[Tensor], Tensor], last: bool = True) -> Tensor:
    """Each image with its class's number, the class with the highest label left out or not."""
    means = torch.zeros_like(s)
    for k in labels.unique():
        if last or k < labels.max():
            means[labels == k] = of(s[labels == k])
    return means


check_specificity = Exercise(
    solution=specificity,
    cases=[
        *map(_classes, ([0, 1, 2, 1, 0, 2, 2, 2, 0], [0, 0, 1, 1, 1, 1], [2, 1, 0, 2, 1, 1, 1])),
        *map(_classes, ([0, 0, 1, 1], [3, 3, 0, 0, 0, 3, 5, 5, 5, 5], [1, 1, 2, 2, 2, 4, 4, 4])),
    ],
    shapes="s (N,), labels (N,) -> ()",
    kinds={
        "all classes have as many images": lambda s, labels: len(set(labels.bincount().tolist())) == 1,
        "there are two classes": lambda s, labels: len(labels.unique()) == 2,
        "labels run from 0 without a gap": lambda s, labels: bool((labels.bincount() > 0).all()),
        "labels run from 0 to 2": lambda s, labels: labels.unique().tolist() == [0, 1, 2],
    },
    reason=_share,
    right="The rest lies within the classes.",
    mistakes={
        "It is the share within the classes. The task asks for the one between them.":
            lambda s, labels: 1 - specificity(s, labels),
        "It is the variance between the classes, not its share of all variance.":
            lambda s, labels: specificity(s, labels) * s.var(correction=0),
        "It is the variance between the classes, not its share of all variance: divide by s.var().":
            lambda s, labels: specificity(s, labels) * s.var(),
        "Each class counts once, however many images it has. Weigh it by their number.":
            lambda s, labels: _means(s, labels).var(correction=0) / s.var(correction=0),
        "Each class counts once, and the variance of the means divides by their number less one.":
            lambda s, labels: _means(s, labels).var() / s.var(),
        "Each class counts once, and neither is it a share: it is the variance of the classes' means.":
            lambda s, labels: _means(s, labels).var(),
        "It is between over within. The share is between over the sum of both.":
            lambda s, labels: specificity(s, labels) * s.var(correction=0) / _within(s, labels),
        "It is all variance over that between the classes: the share is upside down.":
            lambda s, labels: 1 / specificity(s, labels),
        "It is a ratio of standard deviations. Only variances add up to a whole.":
            lambda s, labels: specificity(s, labels) ** 0.5,
        "A variance is divided by a standard deviation. Divide it by the variance of s.":
            lambda s, labels: _of_each(s, labels).var() / s.std(),
        "The variance between the classes is counted in the whole twice: s.var() holds it already.":
            lambda s, labels: _of_each(s, labels).var() / (_of_each(s, labels).var() + s.var()),
        "One variance divides by N, the other by N - 1. Take the same for both.":
            lambda s, labels: _of_each(s, labels).var(correction=0) / s.var(),
        "One variance divides by N - 1, the other by N. Take the same for both.":
            lambda s, labels: _of_each(s, labels).var() / s.var(correction=0),
        "It is the variance within the classes, not a share.":
            lambda s, labels: _within(s, labels),
        "Within the classes, each class's variance counts once and divides by its number less one. "
        "Weigh it by its images.":
            lambda s, labels: 1 - _variances(s, labels, 1).mean() / s.var(),
        "Within the classes, each class's variance counts once. Weigh it by its images.":
            lambda s, labels: 1 - _variances(s, labels, 0).mean() / s.var(correction=0),
        "The mean variance within a class is divided by all variance. The task asks for what lies "
        "between them.":
            lambda s, labels: _variances(s, labels, 1).mean() / s.var(),
        "The mean variance within a class is divided by all variance. Asked for is what lies between "
        "classes.":
            lambda s, labels: _variances(s, labels, 0).mean() / s.var(correction=0),
        "Inside the classes the variance divides by N, in all by N - 1. Take the same for both.":
            lambda s, labels: 1 - _within(s, labels) / s.var(),
        "The variance within the classes divides by N, that of all by N - 1, and it is not what is "
        "asked for.":
            lambda s, labels: _within(s, labels) / s.var(),
        "It is how s and the labels go together in a straight line. Labels are names, not amounts.":
            _straight,
        "It is the square of a correlation. Labels are names, not amounts.":
            lambda s, labels: _straight(s, labels).square(),
        "s[labels] takes images 0, 1, 2 … by number. A mask, s[labels == k], takes the images of class k.":
            lambda s, labels: s[labels].var() / s.var(),
        "The class with the highest label is left out: range(n) ends at n - 1.":
            lambda s, labels: _filled(s, labels, Tensor.mean, last=False).var() / s.var(),
        "Each class has its median. The variance between classes is that of their means.":
            lambda s, labels: _filled(s, labels, Tensor.median).var() / s.var(),
        "It is the distance from the lowest class mean to the highest. The task asks for a share of "
        "variance.":
            lambda s, labels: _means(s, labels).max() - _means(s, labels).min(),
        "It is in per cent. The task asks for a number from 0 to 1.":
            lambda s, labels: 100 * specificity(s, labels),
    },
)  # fmt: skip


def fold_into_norm(gamma: Tensor, beta: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    return s * gamma, s * beta


def _fold(
    gamma: Tensor,
    beta: Tensor,
    s: Tensor,
    gate: Callable[[Tensor], Tensor] = lambda s: s,
    for_gamma: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda g, b, s: s * g,
    for_beta: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda g, b, s: s * b,
) -> tuple[Tensor, Tensor]:
    s = gate(s)
    return for_gamma(gamma, beta, s), for_beta(gamma, beta, s)


def _norm(channels: int) -> Case:
    gamma, beta, s = seeded(*[(channels,)] * 3, seed=channels)
    return gamma, beta, s.sigmoid()


check_fold_into_norm = Exercise(
    solution=fold_into_norm,
    cases=[_norm(3), _norm(5), _norm(2), _norm(8)],
    shapes="gamma (C,), beta (C,), s (C,) -> (2, C)",
    parts=("the new γ", "the new β"),
    right="A frozen gate costs nothing: it disappears in the layer before it.",
    variant=_fold,
    slips={
        "gate": {
            "All channels get the mean gate.": lambda s: s.mean().expand_as(s),
            "All channels get the first gate.": lambda s: s[:1].expand_as(s),
            "All channels get the sum of the gates.": lambda s: s.sum().expand_as(s),
            "The gate works the wrong way round, as 1 - s.": lambda s: 1 - s,
            "The root of the gate is folded in. Both terms get the gate itself.": lambda s: s.sqrt(),
            "The square of the gate is folded in. Both terms get the gate itself.": lambda s: s.square(),
            "The gate goes through another sigmoid. It is a gate already.": lambda s: s.sigmoid(),
            "The gate goes through a softmax. It is a gate already.": lambda s: s.softmax(0),
            "The gates are in reverse order. Gate c belongs to channel c.": lambda s: s.flip(0),
        },
        "for_gamma": {
            "γ is left as it was: it is the map's own factor, and the gate multiplies it.": lambda g, b, s: g,
            "γ is divided by the gate. It is multiplied.": lambda g, b, s: g / s,
            "The gate is added to γ. It multiplies.": lambda g, b, s: g + s,
            "γ gets the gate twice.": lambda g, b, s: g * s * s,
            "The new γ is made of β. It is s γ.": lambda g, b, s: s * b,
            "β is added in the new γ. It is s γ alone; β has a place of its own.":
                lambda g, b, s: s * (g + b),
            "The new γ is the gate alone. It is s γ.": lambda g, b, s: s,
            "The new γ is γ β s. It is s γ alone.": lambda g, b, s: g * b * s,
            "The new γ is made 1 + s times as large. It is s γ alone.": lambda g, b, s: g + s * g,
        },
        "for_beta": {
            "β is left as it was. The gate multiplies all that comes out of the BatchNorm, β too.":
                lambda g, b, s: b,
            "β is divided by the gate. It is multiplied.": lambda g, b, s: b / s,
            "The gate is added to β. It multiplies.": lambda g, b, s: b + s,
            "β gets the gate twice.": lambda g, b, s: b * s * s,
            "β is lost: the gate scales it, it does not take it away.": lambda g, b, s: 0 * b,
            "The new β is made of γ. It is s β.": lambda g, b, s: s * g,
            "γ is added in the new β. It is s β alone.": lambda g, b, s: s * g + b,
            "γ is multiplied into the new β. It is s β alone.": lambda g, b, s: g * b * s,
            "The new β is the gate alone. It is s β.": lambda g, b, s: s,
            "The new β is made 1 + s times as large. It is s β alone.": lambda g, b, s: b + s * b,
            "The sign of the new β is the wrong way round.": lambda g, b, s: -s * b,
        },
    },
    mistakes={
        "The two are exchanged: γ comes first.":
            lambda gamma, beta, s: (s * beta, s * gamma),
        "They are divided by the gate.":
            lambda gamma, beta, s: (gamma / s, beta / s),
        "The gate is added to both. It multiplies.":
            lambda gamma, beta, s: (gamma + s, beta + s),
        "Nothing has changed: the gate is not used.":
            lambda gamma, beta, s: (gamma, beta),
        "It is one tensor, γ and β added up. They stay apart: return two.":
            lambda gamma, beta, s: s * (gamma + beta),
        "It is one tensor, s γ + β. They stay apart: return two.":
            lambda gamma, beta, s: s * gamma + beta,
        "It is the new γ alone. The new β is wanted too: return two.":
            lambda gamma, beta, s: s * gamma,
        "The new γ and β are joined end to end. Return two.":
            lambda gamma, beta, s: torch.cat([s * gamma, s * beta]),
        "s is returned as well. Once it is folded in, it is no longer needed: return two.":
            lambda gamma, beta, s: (s * gamma, s * beta, s),
        "@ adds up over the channels. Each channel has its own: use *.":
            lambda gamma, beta, s: (gamma @ s, beta @ s),
    },
)  # fmt: skip
