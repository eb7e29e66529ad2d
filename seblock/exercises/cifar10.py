"""Exercises of 10_cifar10."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import number


def difference(plain: Tensor, with_se: Tensor) -> tuple[Tensor, Tensor]:
    return with_se.mean() - plain.mean(), _error(plain, with_se)


def _error(plain: Tensor, with_se: Tensor, correction: int = 1) -> Tensor:
    return sum(v.var(correction=correction) / len(v) for v in (plain, with_se)) ** 0.5


def _difference(
    plain: Tensor,
    with_se: Tensor,
    apart: Callable[[Tensor, Tensor], Tensor] = lambda a, b: b.mean() - a.mean(),
    error: Callable[[Tensor, Tensor], Tensor] = _error,
) -> tuple[Tensor, Tensor]:
    return apart(plain, with_se), error(plain, with_se)


def _root(a: Tensor, b: Tensor, of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The root of a sum over both networks, of(network, the other one)."""
    return (of(a, b) + of(b, a)) ** 0.5


def _pooled(a: Tensor, b: Tensor) -> Tensor:
    n, m = len(a), len(b)
    variance = ((n - 1) * a.var() + (m - 1) * b.var()) / (n + m - 2)
    return (variance * (1 / n + 1 / m)) ** 0.5


def _in_steps(result: Any, plain: Tensor, with_se: Tensor) -> str:
    """How the standard error comes about, in numbers, and the difference where it is wrong too."""
    apart, ours = float(with_se.mean() - plain.mean()), float(result[0])
    first = f"The means are {number(apart, ours)} apart, and you return {number(ours, apart)}. "
    if math.isclose(apart, ours, rel_tol=1e-3, abs_tol=1e-5):
        first = ""
    given, right = float(result[1]), float(_error(plain, with_se))
    a, b = (float(v.var()) for v in (plain, with_se))
    total = a / len(plain) + b / len(with_se)
    return first + (
        f"For {len(plain)} runs of plain and {len(with_se)} with SE the error is {number(given, right)}, "
        f"expected is {number(right, given)}. The variances are {number(a)} and {number(b)}; divided by "
        f"{len(plain)} and {len(with_se)} they add up to {number(total)}, and the root of that is wanted."
    )


def _seeds(n: int, m: int, lead: float = 0.4) -> Case:
    plain, with_se = seeded((n,), (m,), seed=n)
    return 92 + 0.3 * plain, 92 + lead + 0.2 * with_se


check_difference = Exercise(
    solution=difference,
    cases=[_seeds(3, 3), _seeds(5, 4), _seeds(2, 6), _seeds(4, 7, lead=-0.9), _seeds(6, 3, lead=-0.5)],
    parts=("the difference", "its standard error"),
    kinds={
        "SE is ahead": lambda plain, with_se: bool(with_se.mean() > plain.mean()),
        "both networks have as many runs": lambda plain, with_se: len(plain) == len(with_se),
        "plain has more runs": lambda plain, with_se: len(plain) > len(with_se),
    },
    reason=_in_steps,
    right="A difference of less than two standard errors may well be the seeds'.",
    variant=_difference,
    slips={
        "apart": {
            "The difference is the wrong way round: with SE less plain.": lambda a, b: a.mean() - b.mean(),
            "The difference has lost its sign. If SE is worse, it is negative.":
                lambda a, b: (b.mean() - a.mean()).abs(),
            "It is the difference of the best seeds. A best seed says how many were tried.":
                lambda a, b: b.max() - a.max(),
            "It is the difference of the worst seeds. Take the means.": lambda a, b: b.min() - a.min(),
            "It is the difference of the medians. The task asks for the means.":
                lambda a, b: b.median() - a.median(),
            "It is the difference of the sums, which grows with the number of runs. Take the means.":
                lambda a, b: b.sum() - a.sum(),
            "The means are added. The task asks how far they are apart.": lambda a, b: b.mean() + a.mean(),
            "The difference is a share of plain's mean. The task asks for the difference itself.":
                lambda a, b: (b.mean() - a.mean()) / a.mean(),
            "It is a ratio of the means. The task asks for their difference.":
                lambda a, b: b.mean() / a.mean(),
            "It is SE's mean alone. Take plain's off.": lambda a, b: b.mean(),
            "The difference is divided by its error. The task asks for both apart.":
                lambda a, b: (b.mean() - a.mean()) / _error(a, b),
            "It is the lower end of an interval. The task asks for the difference itself.":
                lambda a, b: b.mean() - a.mean() - _error(a, b),
        },
        "error": {
            "The variances divide by n. These are samples: n - 1, as `var` does by itself.":
                lambda a, b: _error(a, b, correction=0),
            "The last square root is missing: this is the variance of the difference.":
                lambda a, b: _error(a, b) ** 2,
            "The variances divide by n, and the last square root is missing.":
                lambda a, b: _error(a, b, correction=0) ** 2,
            "The variances are not divided by the number of seeds: this is the spread of one run, "
            "not of a mean.":
                lambda a, b: (a.var() + b.var()) ** 0.5,
            "The standard errors are added. Variances add up; then comes the square root.":
                lambda a, b: a.std() / len(a) ** 0.5 + b.std() / len(b) ** 0.5,
            "The standard deviations are added. Variances, each divided by its number of runs, add up.":
                lambda a, b: a.std() + b.std(),
            "It is the standard error with SE alone. Both networks vary.":
                lambda a, b: b.std() / len(b) ** 0.5,
            "It is the standard error of plain alone. Both networks vary.":
                lambda a, b: a.std() / len(a) ** 0.5,
            "The standard deviations are divided by n, not by its root.":
                lambda a, b: _root(a, b, lambda v, w: (v.std() / len(v)) ** 2),
            "The variances are divided by n - 1. `var` has done that; now divide by the number of runs.":
                lambda a, b: _root(a, b, lambda v, w: v.var() / (len(v) - 1)),
            "Standard deviations stand where variances should be.":
                lambda a, b: _root(a, b, lambda v, w: v.std() / len(v)),
            "The two variances, each divided by its number of runs, are multiplied. They add up.":
                lambda a, b: (a.var() / len(a) * b.var() / len(b)) ** 0.5,
            "The variances are squared. They are squares already.":
                lambda a, b: _root(a, b, lambda v, w: v.var() ** 2 / len(v)),
            "Each variance is divided by the other network's number of runs. Divide it by its own.":
                lambda a, b: _root(a, b, lambda v, w: v.var() / len(w)),
            "Both variances are divided by plain's number of runs. Divide each by its own.":
                lambda a, b: ((a.var() + b.var()) / len(a)) ** 0.5,
            "Both variances are divided by SE's number of runs. Divide each by its own.":
                lambda a, b: ((a.var() + b.var()) / len(b)) ** 0.5,
            "The sum of the variances is divided by all runs together. Divide each by its own number.":
                lambda a, b: ((a.var() + b.var()) / (len(a) + len(b))) ** 0.5,
            "The sum of the variances is divided by all runs together, and the root is missing.":
                lambda a, b: (a.var() + b.var()) / (len(a) + len(b)),
            "One variance is taken off the other. Both make the difference less sure: add them.":
                lambda a, b: (a.var() / len(a) - b.var() / len(b)) ** 0.5,
            "One variance is taken off the other. Both make the difference less sure: they add up.":
                lambda a, b: (a.var() / len(a) - b.var() / len(b)).abs() ** 0.5,
            "SE's variance stands for both, divided by plain's number of runs. Each network has its own.":
                lambda a, b: (2 * b.var() / len(a)) ** 0.5,
            "Plain's variance is counted twice. Each network has its own.":
                lambda a, b: (2 * a.var() / len(a)) ** 0.5,
            "SE's variance is counted twice. Each network has its own.":
                lambda a, b: (2 * b.var() / len(b)) ** 0.5,
            "All runs are thrown together. Each network varies about a mean of its own.":
                lambda a, b: torch.cat([a, b]).std() / (len(a) + len(b)) ** 0.5,
            "The variance is pooled, as if both networks varied alike. The task keeps each network's own.":
                _pooled,
            "The factor 1.96 turns it into half an interval. The task asks for the standard error.":
                lambda a, b: 1.96 * _error(a, b),
            "The factor 2 turns it into half an interval. The task asks for the standard error.":
                lambda a, b: 2 * _error(a, b),
            "It is the mean of the two standard errors. Variances add up; then comes the square root.":
                lambda a, b: (a.std() / len(a) ** 0.5 + b.std() / len(b) ** 0.5) / 2,
            "It is the upper end of an interval. The task asks for the standard error itself.":
                lambda a, b: b.mean() - a.mean() + _error(a, b),
            "It is the spread of the differences, run by run. The runs are not paired: add variances.":
                lambda a, b: (b - a).std(),
            "The sum of the variances, each divided by its number of runs, is halved. Its root is asked for.":
                lambda a, b: _error(a, b) ** 2 / 2,
            "It is the difference itself again.": lambda a, b: b.mean() - a.mean(),
        },
    },
    mistakes={
        "The two are exchanged: the difference comes first, then its standard error.":
            lambda a, b: difference(a, b)[::-1],
        "The runs are taken in pairs, run by run. They are not paired here: each network has its own "
        "variance.":
            lambda a, b: ((b - a).mean(), (b - a).std() / len(a) ** 0.5),
        "It is the difference alone. The task asks for its standard error too: return two numbers.":
            lambda a, b: b.mean() - a.mean(),
        "It is the standard error alone. The difference comes first: return two numbers.": _error,
        "The difference is divided by its standard error. The task asks for both, as two numbers.":
            lambda a, b: (b.mean() - a.mean()) / _error(a, b),
    },
)  # fmt: skip


def rate(step: int, steps: int, peak: float) -> float:
    return peak * min(4 * step / steps, (steps - step) / (0.75 * steps))


def _rate(
    step: int,
    steps: int,
    peak: float,
    top: Callable[[int], float] = lambda steps: steps / 4,
    up: Callable[[float], float] = lambda part: part,
    down: Callable[[float], float] = lambda part: 1 - part,
    shifted: int = 0,
    height: Callable[[float], float] = lambda peak: peak,
) -> float:
    """up and down are given which part of their way is done, 0 to 1."""
    step, quarter = step + shifted, top(steps)
    part = step / quarter if step < quarter else (step - quarter) / (steps - quarter)
    return height(peak) * (up(part) if step < quarter else down(part))


def _on_the_way(result: Any, step: int, steps: int, peak: float) -> str:
    """Where this step lies, and what the rate is there."""
    right = rate(step, steps, peak)
    place = (
        "the rate starts at 0" if step == 0
        else "the rate is back at 0" if step == steps
        else "the peak is reached" if 4 * step == steps
        else f"{number(4 * step / steps)} of the way up is done" if 4 * step < steps
        else f"{number((steps - step) / (0.75 * steps))} of the way down is still to go"
    )  # fmt: skip
    got = number(float(result), right)
    return (
        f"For step = {step} of {steps} and peak = {peak} your function returns {got}. "
        f"There {place}: it should be {number(right, float(result))}."
    )


def _cosine_down(part: float) -> float:
    return (1 + math.cos(math.pi * part)) / 2


check_rate = Exercise(
    solution=rate,
    cases=[
        *[(0, 8, 1.0), (25, 100, 0.2), (8, 8, 1.0), (10, 100, 0.2), (70, 100, 0.2), (3, 12, 0.5)],
        *[(7, 12, 0.5), (1, 10, 0.1), (3, 10, 0.1), (8, 10, 0.1), (1, 7, 2.0), (2, 7, 2.0), (5, 7, 2.0)],
        *[(13, 103, 0.4), (26, 103, 0.4), (90, 103, 0.4), (2, 30, 0.3), (0, 5, 0.7), (5, 5, 0.7)],
    ],
    kinds={
        "steps is a multiple of 4": lambda step, steps, peak: steps % 4 == 0,
        "step is in the first quarter": lambda step, steps, peak: 4 * step < steps,
        "step is in the first quarter or at the peak": lambda step, steps, peak: 4 * step <= steps,
        "step is after the first quarter": lambda step, steps, peak: 4 * step > steps,
        "step is at the peak or after it": lambda step, steps, peak: 4 * step >= steps,
        "step is at the peak": lambda step, steps, peak: 4 * step == steps,
        "step is 0": lambda step, steps, peak: step == 0,
        "step is the last one": lambda step, steps, peak: step == steps,
        "step is 0 or the last one": lambda step, steps, peak: step in (0, steps),
        "step is 0, at the peak or the last one": lambda step, steps, peak: step in (0, steps / 4, steps),
        "step is 0 or after the first quarter": lambda step, steps, peak: step == 0 or 4 * step > steps,
        "step is 0 or at the peak or after it": lambda step, steps, peak: step == 0 or 4 * step >= steps,
        "step is in the first quarter, at the peak or the last one":
            lambda step, steps, peak: 4 * step <= steps or step == steps,
        "step is in the first quarter or the last one":
            lambda step, steps, peak: 4 * step < steps or step == steps,
        "peak is 1": lambda step, steps, peak: peak == 1,
        "steps is 100 or step is 0": lambda step, steps, peak: steps == 100 or step == 0,
        "steps is 100": lambda step, steps, peak: steps == 100,
    },
    reason=_on_the_way,
    right="Up in a quarter, down in three.",
    variant=_rate,
    slips={
        "top": {
            "It rises for half of the steps. The peak is at a quarter of them.": lambda steps: steps / 2,
            "The peak is at three quarters of the steps. It should be at one quarter.":
                lambda steps: 0.75 * steps,
            "The peak is at 0.3 of the steps. It should be at a quarter.": lambda steps: 0.3 * steps,
            "The peak is at a third of the steps. It should be at a quarter.": lambda steps: steps / 3,
            "The peak is at a fifth of the steps. It should be at a quarter.": lambda steps: steps / 5,
            "The peak is at a tenth of the steps. It should be at a quarter.": lambda steps: steps / 10,
            "A quarter of the steps need not be a whole number: steps // 4 rounds it down, steps / 4 "
            "does not.":
                lambda steps: steps // 4,
            "A quarter of the steps need not be a whole number: it is rounded here.":
                lambda steps: round(steps / 4),
        },
        "up": {
            "The way up follows a cosine. The task asks for a straight line.":
                lambda part: 1 - _cosine_down(part),
            "The way up follows a sine. The task asks for a straight line.":
                lambda part: math.sin(math.pi / 2 * part),
            "The way up is a parabola. The task asks for a straight line.": lambda part: part**2,
            "The way up does not start from 0: there is a lowest rate of a 25th of the peak.":
                lambda part: 0.04 + 0.96 * part,
            "The way up does not start from 0: there is a lowest rate of a tenth of the peak.":
                lambda part: 0.1 + 0.9 * part,
            "The way up is as flat as if it took all the steps. It takes a quarter of them.":
                lambda part: part / 4,
            "The way up divides by 4 where it should multiply: step / (steps / 4).": lambda part: part / 16,
            "The way up ends at half of the peak. It should end at the peak.": lambda part: part / 2,
            "It stays at 0 until the peak, as with // for /. The first quarter goes up in a straight line.":
                lambda part: 0.0,
            "It is at the peak from the start. The first quarter goes up from 0.": lambda part: 1.0,
            "It falls on the way up: the first quarter goes from 0 to the peak.": lambda part: 1 - part,
            "The fraction of the way up is upside down.": lambda part: 1 / part,
        },
        "down": {
            "The way down follows a cosine. The task asks for a straight line.": _cosine_down,
            "The way down is a parabola. The task asks for a straight line.": lambda part: (1 - part) ** 2,
            "The way down is a parabola, flat at first. The task asks for a straight line.":
                lambda part: 1 - part**2,
            "It stays at the peak: after a quarter of the steps it falls.": lambda part: 1.0,
            "It is 0 after the peak. It falls to 0 in a straight line, over three quarters of the steps.":
                lambda part: 0.0,
            "It rises on the way down. After the peak it falls to 0.": lambda part: part,
            "The way down is too steep: it has three quarters of the steps, down to 0 at the last one.":
                lambda part: max(0.0, 1 - 3 * part),
            "The way down falls below 0: it has three quarters of the steps, down to 0 at the last one.":
                lambda part: 1 - 3 * part,
            "The way down starts too low: it is a line from the peak at step 0, not from a quarter on.":
                lambda part: 0.75 * (1 - part),
            "The way down is too flat: it divides by all the steps, not by the three quarters that are left.":
                lambda part: 1 - 0.75 * part,
            "The way down multiplies by 3/4 where it should divide.": lambda part: 0.5625 * (1 - part),
            "The way down ends at half of the peak. It should end at 0.": lambda part: 1 - part / 2,
            "It goes on rising after the peak. From there it falls to 0.": lambda part: 1 + 3 * part,
            "The way down is taken off the line that goes on rising. From the peak on, it falls alone.":
                lambda part: 1 + 3 * part - (1 - part),
        },
        "shifted": {
            "It is one step ahead: step 0 has the rate 0.": 1,
            "It is one step behind.": -1,
        },
        "height": {
            "The peak is missing: this is the share of it.": lambda peak: 1.0,
            "The peak is taken twice.": lambda peak: peak * peak,
            "It is half as high as it should be.": lambda peak: peak / 2,
            "It is divided by the peak. It should be multiplied.": lambda peak: 1 / peak,
        },
    },
    mistakes={
        "It falls all the way from step 0: the first quarter goes up.":
            lambda step, steps, peak: peak * (steps - step) / steps,
        "The way down starts from above the peak: the lower of the two lines counts, not the second alone.":
            lambda step, steps, peak: peak * (steps - step) / (0.75 * steps),
        "The larger of the two lines is taken. It is the lower one that counts.":
            lambda step, steps, peak: peak * max(4 * step / steps, (steps - step) / (0.75 * steps)),
        "It only rises, along one line through all the steps.":
            lambda step, steps, peak: peak * step / steps,
        "It is an arch of a sine, with its peak in the middle. The task asks for two straight lines.":
            lambda step, steps, peak: peak * math.sin(math.pi * step / steps),
        "On the way up the peak is missing: only the second line is multiplied by it.":
            lambda step, steps, peak: min(4 * step / steps, peak * (steps - step) / (0.75 * steps)),
        "On the way down the peak is missing: only the first line is multiplied by it.":
            lambda step, steps, peak: min(peak * 4 * step / steps, (steps - step) / (0.75 * steps)),
        "It is the mean of the two lines. The lower one counts.":
            lambda step, steps, peak: peak * (4 * step / steps + (steps - step) / (0.75 * steps)) / 2,
        "It is the sum of the two lines. The lower one counts.":
            lambda step, steps, peak: peak * (4 * step / steps + (steps - step) / (0.75 * steps)),
        "The two lines are multiplied. The lower one counts.":
            lambda step, steps, peak: peak * (4 * step / steps) * ((steps - step) / (0.75 * steps)),
        "It is the rate at the start of PyTorch's OneCycleLR, whatever the step. Write the two lines "
        "yourself.":
            lambda step, steps, peak: peak / 25,
    },
)  # fmt: skip


def _t(freedom: int, below: float = 0.975) -> float:
    """Student's t for a 95 % interval, by its degrees of freedom."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, below))


def _half(n: int, spread: float, factor: float | None = None) -> float:
    """Half of the 95 % interval of a mean of n differences, with another factor than t if given."""
    return (_t(n - 1) if factor is None else factor) * spread / math.sqrt(n)


def _first(condition: Callable[[int], bool], start: int = 2) -> int:
    return next(n for n in range(start, 10_000) if condition(n))


def seeds_needed(half: float, spread: float) -> int:
    return _first(lambda n: _half(n, spread) <= half)


def _how_wide(result: Any, half: float, spread: float) -> str:
    """How wide the interval is with that many pairs, and with the right number."""
    n, right = float(result), seeds_needed(half, spread)
    if n != int(n) or n < 2:
        return f"For half = {half}, spread = {spread} you return {number(n)}. Pairs come whole, two at least."
    widths = ", ".join(
        f"± {number(_half(k, spread), half)} with {k}"
        for k in dict.fromkeys((int(n), right - 1, right))
        if k > 1
    )
    return (
        f"For half = {half}, spread = {spread} you return {number(n)}. The interval is {widths}: it "
        f"should first be "
        f"± {half} or less."
    )


check_seeds_needed = Exercise(
    solution=seeds_needed,
    cases=[
        *[(0.25, 0.41), (0.5, 0.41), (0.6, 0.41), (0.1, 0.3), (0.3, 0.6), (2.0, 1.5)],
        *[(9.2, 1.0), (0.05, 0.41)],  # the least there is, and many
    ],
    reason=_how_wide,
    right="To halve the interval takes four times the seeds, and a little less where there are few.",
    mistakes={
        "1.96 is for a spread that is known for sure. With few seeds t is larger.":
            lambda half, spread: _first(lambda n: _half(n, spread, 1.96) <= half),
        "2 stands in for t. With few seeds t is larger: it goes by n - 1.":
            lambda half, spread: _first(lambda n: _half(n, spread, 2.0) <= half),
        "With few seeds t is larger than 1.96, and two pairs are the least.":
            lambda half, spread: math.ceil((1.96 * spread / half) ** 2),
        "With few seeds t is larger than 2, and two pairs are the least.":
            lambda half, spread: math.ceil((2 * spread / half) ** 2),
        "t goes by n - 1, the degrees of freedom, not by n.":
            lambda half, spread: _first(lambda n: _t(n) * spread / math.sqrt(n) <= half),
        "The search begins at 3. Two pairs may be enough.":
            lambda half, spread: max(3, seeds_needed(half, spread)),
        "One seed too few: with so many the interval is still too wide.":
            lambda half, spread: max(2, seeds_needed(half, spread) - 1),
        "One seed too many: one fewer would do.":
            lambda half, spread: seeds_needed(half, spread) + 1,
        "That is for the whole width of the interval. `half` is what stands after the ±.":
            lambda half, spread: _first(lambda n: 2 * _half(n, spread) <= half),
        "That is for an interval of 90 %: 2.5 % lie beyond either end, so it is t's 0.975.":
            lambda half, spread: _first(lambda n: _half(n, spread, _t(n - 1, 0.95)) <= half),
        "The spread is divided by the root of n - 1. t has the n - 1; the root is that of n.":
            lambda half, spread: _first(lambda n: _half(n, spread) * math.sqrt(n / (n - 1)) <= half),
        "The spread is squared: that is a variance.":
            lambda half, spread: _first(lambda n: _half(n, spread**2) <= half),
        "`half` and `spread` are exchanged.":
            lambda half, spread: _first(lambda n: _half(n, half) <= spread),
        "It is 1, whatever is asked. With one pair there is no spread and no t, so a loop that begins there "
        "ends at once.":
            lambda half, spread: 1,
        "It is 2, the least, whatever is asked: the loop ends while the interval is still too wide.":
            lambda half, spread: 2,
        "That is one standard error, without t.":
            lambda half, spread: _first(lambda n: _half(n, spread, 1.0) <= half),
        "The spread is divided by n, not by its root.":
            lambda half, spread: _first(lambda n: _t(n - 1) * spread / n <= half),
    },
)  # fmt: skip
