"""Exercises of 12_one_dimmer."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seblock.exercises.errors import Rules
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


def _at_place_k(s: Tensor, labels: Tensor) -> Tensor:
    """A zero for each image, but for places that are the number of a class: these hold its mean."""
    means = torch.zeros_like(s)
    for k in labels.unique():
        means[k] = s[labels == k].mean()
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
    rules=Rules(forbidden=("class_specificity",)),
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
        "The class means' variance is counted in the whole twice, and each class once: s.var() holds it all.":
            lambda s, labels: _means(s, labels).var() / (_means(s, labels).var() + s.var()),
        "Each class's distance is counted once. Its square counts for each of the class's images.":
            lambda s, labels: (_means(s, labels) - s.mean()).square().sum() / (s - s.mean()).square().sum(),
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
        "m[k] is place k, one number a class. A mask, m[labels == k], fills the places of the class's "
        "images.":
            lambda s, labels: _at_place_k(s, labels).var() / s.var(),
        "Each class has its median. The variance between classes is that of their means.":
            lambda s, labels: _filled(s, labels, Tensor.median).var() / s.var(),
        "It is the distance from the lowest class mean to the highest. The task asks for a share of "
        "variance.":
            lambda s, labels: _means(s, labels).max() - _means(s, labels).min(),
        "It is in per cent. The task asks for a number from 0 to 1.":
            lambda s, labels: 100 * specificity(s, labels),
    },
)  # fmt: skip


Folded = tuple[Tensor, Tensor]
Factor = Callable[[Tensor, Tensor, Tensor, float], Tensor]


def _factor(s: Tensor, gamma: Tensor, var: Tensor, eps: float) -> Tensor:
    return s * gamma / (var + eps).sqrt()


def fold_all(
    w: Tensor,
    mean: Tensor,
    var: Tensor,
    gamma: Tensor,
    beta: Tensor,
    s: Tensor,
    eps: float,
    factor: Factor = _factor,
    filters: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor] = lambda w, f, s, beta: w * f,
    shift: Callable[[Tensor, Tensor], Tensor] = lambda s, beta: s * beta,
    centre: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda f, mean, s: f * mean,
) -> Folded:
    """The folded convolution; each of the last four is a step of it."""
    f, up = factor(s, gamma, var, eps), (..., None, None, None)
    return filters(w, f[up], s[up], beta[up]), shift(s, beta) - centre(f, mean, s)


def _layers(c: int, c_in: int, eps: float) -> Case:
    """A convolution, the statistics and parameters of the BatchNorm after it, and constant gates."""
    w, mean, var, gamma, beta, s = seeded((c, c_in, 3, 3), *[(c,)] * 5, seed=c)
    return w, mean, var.abs() + 0.1, gamma, beta, s.sigmoid(), eps


def _both(result: Any, w: Tensor, *_: object) -> Tensor:
    """Filters and biases, in one row."""
    if not isinstance(result, list | tuple) or len(result) != 2:
        raise TypeError("two results are wanted, the filters and a bias for each")
    filters, bias = (torch.as_tensor(part) for part in result)
    if filters.shape == w.shape[:1] and bias.shape == w.shape:
        raise ValueError("the two are exchanged: the filters come first, then the biases")
    if filters.shape != w.shape or bias.shape != w.shape[:1]:
        shapes = f"{tuple(w.shape)} and {tuple(w.shape[:1])}"
        raise ValueError(f"expected shapes {shapes}, got {tuple(filters.shape)} and {tuple(bias.shape)}")
    return torch.cat([filters.flatten(), bias])


def _which_part(result: Any, *case: Any) -> str:
    """Whether the filters or the biases are wrong, and what they should be for filter 0."""
    filters, bias = (torch.as_tensor(part) for part in result)
    right_filters, right_bias = fold_all(*case)
    w, _, var, gamma, _, s, eps = case
    said = []
    if torch.allclose(filters, right_filters, rtol=1e-3, atol=1e-5):
        said.append("The filters are right.")
    else:
        said.append(
            "The filters are wrong: of what the gate makes of the BatchNorm's formula, they take "
            "what multiplies u."
        )
        ratio = (filters / w).flatten(1)
        if torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3, atol=1e-4):
            given, right = float(ratio[0, 0]), float(_factor(s, gamma, var, eps)[0])
            said.append(
                f"Yours multiply filter 0 by {number(given, right)}, expected is {number(right, given)}."
            )
        else:
            said.append("Yours are not the old filters, each times a number.")
    if torch.allclose(bias, right_bias, rtol=1e-3, atol=1e-5):
        said.append("The biases are right.")
    else:
        given, right = float(bias[0]), float(right_bias[0])
        said.append(
            f"Bias 0 is {number(given, right)}, expected is {number(right, given)}: what comes out of "
            f"the gate where "
            "u is 0."
        )
    return " ".join(said)


check_fold_all = Exercise(
    solution=fold_all,
    cases=[_layers(4, 3, 1e-5), _layers(3, 3, 0.1), _layers(5, 2, 1e-3)],
    view=_both,
    reason=_which_part,
    hint="It returns two tensors: the filters, of w's shape, and a bias for each.",
    right="Convolution, BatchNorm and constant gate are one convolution with biases.",
    variant=fold_all,
    slips={
        "factor": {
            "The gate is missing in what multiplies "
            "u.": lambda s, gamma, var, eps: gamma / (var + eps).sqrt(),
            "γ is missing in what multiplies u.": lambda s, gamma, var, eps: s / (var + eps).sqrt(),
            "BatchNorm divides by the root of the variance, not by the variance.":
                lambda s, gamma, var, eps: s * gamma / (var + eps),
            "The root of the variance multiplies. It divides.":
                lambda s, gamma, var, eps: s * gamma * (var + eps).sqrt(),
            "The variance is left out: BatchNorm divides by its root.": lambda s, gamma, var, eps: s * gamma,
            "eps is left out, or is a number of your own. It is an argument, and may count where var "
            "is small.":
                lambda s, gamma, var, eps: s * gamma / var.sqrt(),
            "eps is added to the standard deviation. BatchNorm adds it to the variance.":
                lambda s, gamma, var, eps: s * gamma / (var.sqrt() + eps),
            "eps is added to the quotient. BatchNorm adds it to the variance.":
                lambda s, gamma, var, eps: s * gamma / var.sqrt() + eps,
        },
        "filters": {
            "The filters are as they were. What multiplies u goes into them.": lambda w, f, s, beta: w,
            "The filters are multiplied by the gate alone. All that multiplies u goes into them.":
                lambda w, f, s, beta: w * s,
            "The gate is in the filters twice.": lambda w, f, s, beta: w * f * s,
            "β is added to the filters. It does not depend on u, so it belongs to the bias.":
                lambda w, f, s, beta: w * f + beta,
        },
        "shift": {
            "The gate multiplies β as well: it comes after the whole BatchNorm.": lambda s, beta: beta,
            "β is forgotten. Where u is at its mean, that is what BatchNorm gives.": lambda s, beta: 0 * beta,
            "β is taken off. It is added.": lambda s, beta: -s * beta,
        },
        "centre": {
            "The gate multiplies the mean's part as well: it comes after the whole BatchNorm.":
                lambda f, mean, s: f / s * mean,
            "The gate multiplies the mean's part twice: the factor holds it already.":
                lambda f, mean, s: f * s * mean,
            "The mean is forgotten: BatchNorm takes it off before it "
            "multiplies.": lambda f, mean, s: 0 * mean,
            "The mean is taken off as it is. It is multiplied by the factor like everything before β.":
                lambda f, mean, s: mean,
            "The mean is multiplied by the gate alone. It is multiplied by all that multiplies u.":
                lambda f, mean, s: s * mean,
            "The mean's sign is wrong: it is taken off.": lambda f, mean, s: -f * mean,
        },
    },
    mistakes={
        "The gate is missing.":
            lambda w, mean, var, gamma, beta, s, eps: fold_all(
                w, mean, var, gamma, beta, torch.ones_like(s), eps),
        "The gate is in the bias alone. It multiplies the filters as well.":
            lambda w, mean, var, gamma, beta, s, eps: (
                fold_all(w, mean, var, gamma, beta, torch.ones_like(s), eps)[0],
                fold_all(w, mean, var, gamma, beta, s, eps)[1]),
        "The gate is in the filters alone. It comes after the whole BatchNorm, so it multiplies the "
        "bias as well.":
            lambda w, mean, var, gamma, beta, s, eps: (
                fold_all(w, mean, var, gamma, beta, s, eps)[0],
                fold_all(w, mean, var, gamma, beta, torch.ones_like(s), eps)[1]),
        "The mean is taken off the filters. It is taken off the maps, so it belongs to the bias.":
            lambda w, mean, var, gamma, beta, s, eps: (
                (w - mean[:, None, None, None]) * _factor(s, gamma, var, eps)[:, None, None, None], s * beta),
        "The factors went to the channels that come in, dimension 1. There is one for each filter, "
        "dimension 0.":
            lambda w, mean, var, gamma, beta, s, eps: (
                w * _factor(s, gamma, var, eps)[None, :, None, None] if len(w) == w.shape[1] else w[:0],
                fold_all(w, mean, var, gamma, beta, s, eps)[1]),
    },
)  # fmt: skip


def _along(
    s: Tensor,
    mean: Callable[[Tensor], Tensor] = lambda s: s.mean(dim=0),
    off: Callable[[Tensor], Tensor] = lambda s: s.mean(dim=0),
    placed: Callable[[Tensor, Tensor], Tensor] = lambda s, centred: centred,
    pattern: Callable[[Tensor], Tensor] = lambda v: v[:1],
    size: Callable[[Tensor, Tensor], Tensor] = lambda a, spread: a,
    back: Callable[[Tensor, Tensor], Tensor] = lambda mean, moved: mean + moved,
) -> Tensor:
    centred = s - off(s)
    _, spread, v = torch.linalg.svd(centred, full_matrices=False)
    chosen = pattern(v)
    return back(mean(s), size(placed(s, centred) @ chosen.T, spread) @ chosen)


def _other_axis(s: Tensor) -> Tensor:
    """Along the first column of Vᵀ, as if it were the pattern, with the setting found by it."""
    centred = s - s.mean(dim=0)
    chosen = torch.linalg.svd(centred, full_matrices=False)[2][:, 0]
    return s.mean(dim=0) + (centred @ chosen)[:, None] * chosen


def _row_of_eigenvectors(s: Tensor) -> Tensor:
    """Along the last row of the eigenvectors, which are columns."""
    centred = s - s.mean(dim=0)
    chosen = torch.linalg.eigh(centred.T @ centred)[1][-1]
    return s.mean(dim=0) + (centred @ chosen)[:, None] * chosen


def _standardised(s: Tensor, back: bool) -> Tensor:
    """Along the first pattern of gates that were divided by their spread, multiplied by it again or not."""
    spread = s.std(dim=0)
    moved = _along((s - s.mean(dim=0)) / spread)
    return s.mean(dim=0) + (moved * spread if back else moved)


def _means_left_in(s: Tensor) -> Tensor:
    """Along the first pattern of s with its means left in."""
    chosen = torch.linalg.svd(s, full_matrices=False)[2][:1]
    return s.mean(dim=0) + (s - s.mean(dim=0)) @ chosen.T @ chosen


def along_one(s: Tensor) -> Tensor:
    return _along(s)


def _moving(n: int, c: int) -> Case:
    """Gates that move along two patterns, one stronger than the other, and a little at random."""
    settings, patterns, noise = seeded((n, 2), (2, c), (n, c), seed=n)
    a = settings @ (torch.tensor([1.0, 0.5])[:, None] * patterns) + 0.1 * noise
    return ((a + 0.7).sigmoid(),)


check_along_one = Exercise(
    solution=along_one,
    cases=[_moving(20, 6), _moving(9, 4), _moving(30, 10)],
    right="One number an image is left of all its gates.",
    shapes="s (N, C) -> (N, C)",
    variant=_along,
    slips={
        "mean": {
            "The channels' means are missing: add them again at the end.": lambda s: 0 * s[0],
            "It is the images' means that are added, dimension 1. It is the channels', over dimension 0.":
                lambda s: s.mean(dim=1, keepdim=True),
            "It is the mean of all gates that is added. Each channel has a mean of its own, over "
            "dimension 0.":
                lambda s: s.mean(),
        },
        "off": {
            "The means were not taken off first. The first pattern then is mostly the mean itself.":
                lambda s: 0 * s[0],
            "Each image's mean is taken off before the patterns are found. It is each channel's, "
            "dimension 0.":
                lambda s: s.mean(dim=1, keepdim=True),
            "One mean for all channels is taken off before the patterns are found. Each channel has its own, "
            "s.mean(dim=0).":
                lambda s: s.mean(),
        },
        "placed": {
            "The setting is taken from s itself. It says how far an image is from the channels' means: take "
            "them off first.":
                lambda s, centred: s,
        },
        "pattern": {
            "That is the second pattern.": lambda v: v[1:2],
            "That is the last pattern.": lambda v: v[-1:],
            "Two patterns are kept. The first alone is asked for.": lambda v: v[:2],
            "All patterns are kept, so nothing has changed.": lambda v: v,
        },
        "size": {
            "The setting has no size left: it is divided by S[0], or its spread, and not multiplied again.":
                lambda a, spread: a / spread[0],
            "The setting is divided by its spread once too often.": lambda a, spread: a / a.std(),
            "The setting is multiplied by its spread once too often.": lambda a, spread: a * a.std(),
            "The first pattern's share of the variance is multiplied in. All of the setting is kept.":
                lambda a, spread: a * spread[0] ** 2 / spread.square().sum(),
            "The settings have lost their sign.": lambda a, spread: a.abs(),
            "S[0] is multiplied in twice. U · S[0] is the setting already.": lambda a, spread: a * spread[0],
        },
        "back": {
            "The first pattern is taken off. It should be added.": lambda mean, moved: mean - moved,
        },
    },
    mistakes={
        "The means were not taken off first, and are not added: the first pattern then is mostly the mean.":
            lambda s: _along(s, off=lambda s: 0 * s[0], mean=lambda s: 0 * s[0]),
        "One mean for all channels is taken off and added again. Each channel has its own, s.mean(dim=0).":
            lambda s: _along(s, off=lambda s: s.mean(), mean=lambda s: s.mean()),
        "The pattern was found in s with its means left in. Take the channels' means off before the SVD.":
            _means_left_in,
        "The pattern is taken along the wrong axis. From torch.linalg.svd it is the row Vh[0], from "
        "torch.svd the column V[:, 0].":
            _other_axis,
        "That is a row of the eigenvectors' matrix. An eigenvector is a column, and the largest comes last.":
            _row_of_eigenvectors,
        "The gates are divided by their spread first. Only the channels' means are taken off.":
            lambda s: _standardised(s, back=False),
        "The gates are divided by their spread before the patterns are found. Only means are taken off.":
            lambda s: _standardised(s, back=True),
        "That is all but the first pattern: what is left of the gates without it.":
            lambda s: s - along_one(s) + s.mean(dim=0),
        "The first pattern is added to the gates themselves. It is added to the channels' means.":
            lambda s: s + along_one(s) - s.mean(dim=0),
        "That is the rest, what the first pattern leaves.":
            lambda s: s - along_one(s),
        "Each image's mean is taken off. It is each channel's, over the images, dimension 0.":
            lambda s: along_one(s.T).T,
        "Every image has the mean gates: none of them moves.":
            lambda s: s.mean(dim=0).expand_as(s),
        "All gates of an image move by the same. A pattern has a number for each channel.":
            lambda s: s.mean(dim=0) + (s - s.mean(dim=0)).mean(dim=1, keepdim=True),
        "The pattern is a column of Vᵀ. It is a row.":
            lambda s: _first_column(s),
        "These are the settings alone, one number an image. Each is multiplied by the pattern.":
            lambda s: (s - s.mean(dim=0)) @ torch.linalg.svd(s - s.mean(dim=0), full_matrices=False)[2][0],
    },
)  # fmt: skip


def _first_column(s: Tensor) -> Tensor:
    """Along the first column of Vᵀ, as if it were the pattern."""
    u, spread, v = torch.linalg.svd(s - s.mean(dim=0), full_matrices=False)
    return s.mean(dim=0) + u[:, :1] * spread[0] * v[:, 0]
