"""Exercises of 10_cifar10."""

import math
from collections.abc import Callable

from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded


def difference(plain: Tensor, with_se: Tensor) -> tuple[Tensor, Tensor]:
    return with_se.mean() - plain.mean(), _error(plain, with_se)


def _error(plain: Tensor, with_se: Tensor, correction: int = 1) -> Tensor:
    return sum(v.var(correction=correction) / len(v) for v in (plain, with_se)) ** 0.5


def _seeds(n: int, m: int) -> Case:
    plain, with_se = seeded((n,), (m,), seed=n)
    return 92 + 0.3 * plain, 92.4 + 0.2 * with_se


check_difference = Exercise(
    solution=difference,
    cases=[_seeds(3, 3), _seeds(5, 4), _seeds(2, 6)],
    right="A difference of less than two standard errors may well be the seeds'.",
    mistakes={
        "The difference is the wrong way round: with SE less plain.":
            lambda a, b: (a.mean() - b.mean(), _error(a, b)),
        "The variances divide by n. These are samples: n - 1, as `var` does by itself.":
            lambda a, b: (b.mean() - a.mean(), _error(a, b, correction=0)),
        "The last square root is missing: this is the variance of the difference.":
            lambda a, b: (b.mean() - a.mean(), _error(a, b) ** 2),
        "The variances are not divided by the number of seeds: this is the spread of one run, not of a mean.":
            lambda a, b: (b.mean() - a.mean(), (a.var() + b.var()) ** 0.5),
        "The standard errors are added. Variances add up; then comes the square root.":
            lambda a, b: (b.mean() - a.mean(), a.std() / len(a) ** 0.5 + b.std() / len(b) ** 0.5),
        "It is the difference of the best seeds. A best seed says how many were tried.":
            lambda a, b: (b.max() - a.max(), _error(a, b)),
        "It is the standard error of one network alone.":
            lambda a, b: (b.mean() - a.mean(), b.std() / len(b) ** 0.5),
        "The standard deviations are divided by n, not by its root.":
            lambda a, b: (b.mean() - a.mean(), ((a.std() / len(a)) ** 2 + (b.std() / len(b)) ** 2) ** 0.5),
    },
)  # fmt: skip


def rate(step: int, steps: int, peak: float) -> float:
    return peak * min(4 * step / steps, (steps - step) / (0.75 * steps))


check_rate = Exercise(
    solution=rate,
    cases=[
        *[(10, 100, 0.2), (25, 100, 0.2), (70, 100, 0.2), (0, 8, 1.0)],
        *[(8, 8, 1.0), (3, 12, 0.5), (7, 12, 0.5)],
    ],
    right="Up in a quarter, down in three.",
    mistakes={
        "It rises for half of the steps. The peak is at a quarter of them.":
            lambda step, steps, peak: peak * min(2 * step / steps, 2 * (steps - step) / steps),
        "It falls all the way from step 0: the first quarter goes up.":
            lambda step, steps, peak: peak * (steps - step) / steps,
        "It stays at the peak: after a quarter of the steps it falls.":
            lambda step, steps, peak: peak * min(4 * step / steps, 1),
        "The way down is too steep: it has three quarters of the steps, down to 0 at the last one.":
            lambda step, steps, peak: peak * max(0, min(4 * step / steps, 2 - 4 * step / steps)),
        "The way down starts from above the peak: the lower of the two lines counts, not the second alone.":
            lambda step, steps, peak: peak * (steps - step) / (0.75 * steps),
        "The larger of the two lines is taken. It is the lower one that counts.":
            lambda step, steps, peak: peak * max(4 * step / steps, (steps - step) / (0.75 * steps)),
        "The peak is missing: this is the share of it.":
            lambda step, steps, peak: rate(step, steps, 1.0),
    },
)  # fmt: skip


def _t(freedom: int) -> float:
    """Student's t for a 95 % interval, by its degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))


def _half(n: int, spread: float, factor: float | None = None) -> float:
    """Half of the 95 % interval of a mean of n differences, with another factor than t if given."""
    return (_t(n - 1) if factor is None else factor) * spread / math.sqrt(n)


def _first(condition: Callable[[int], bool], start: int = 2) -> int:
    return next(n for n in range(start, 10_000) if condition(n))


def seeds_needed(half: float, spread: float) -> int:
    return _first(lambda n: _half(n, spread) <= half)


check_seeds_needed = Exercise(
    solution=seeds_needed,
    cases=[(0.25, 0.41), (0.5, 0.41), (0.6, 0.41), (0.1, 0.3), (0.3, 0.6)],
    right="To halve the interval takes four times the seeds, and a little less where there are few.",
    mistakes={
        "1.96 is for a spread that is known for sure. With few seeds t is larger.":
            lambda half, spread: _first(lambda n: _half(n, spread, 1.96) <= half),
        "2 stands in for t. With few seeds t is larger: it goes by n - 1.":
            lambda half, spread: _first(lambda n: _half(n, spread, 2.0) <= half),
        "t goes by n - 1, the degrees of freedom, not by n.":
            lambda half, spread: _first(lambda n: _t(n) * spread / math.sqrt(n) <= half),
        "One seed too few: with so many the interval is still too wide.":
            lambda half, spread: max(2, seeds_needed(half, spread) - 1),
        "One seed too many: one fewer would do.":
            lambda half, spread: seeds_needed(half, spread) + 1,
        "That is for the whole width of the interval. `half` is what stands after the ±.":
            lambda half, spread: _first(lambda n: 2 * _half(n, spread) <= half),
        "That is one standard error, without t.":
            lambda half, spread: _first(lambda n: _half(n, spread, 1.0) <= half),
        "The spread is divided by n, not by its root.":
            lambda half, spread: _first(lambda n: _t(n - 1) * spread / n <= half),
    },
)  # fmt: skip
