"""Exercises of 11_text_scanner."""

from collections.abc import Callable

import torch
from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded


def twin_gates(s: Tensor) -> Tensor:
    return s.roll(len(s) // 2, 0)


def _twins(
    s: Tensor,
    order: Callable[[Tensor], Tensor] = twin_gates,
    after: Callable[[Tensor], Tensor] = lambda t: t,
) -> Tensor:
    return after(order(s))


check_twin_gates = Exercise(
    solution=twin_gates,
    cases=[seeded((6, 4)), seeded((8, 3), seed=1), seeded((10, 10), seed=2), seeded((2, 5), seed=3)],
    shapes="s (2N, C) -> (2N, C)",
    kinds={
        "there are two lines": lambda s: len(s) == 2,
        "there are six lines": lambda s: len(s) == 6,
        "there are eight lines": lambda s: len(s) == 8,
        "there are ten lines": lambda s: len(s) == 10,
    },
    right="Every line gets the gates of the same words, turned.",
    variant=_twins,
    slips={
        "order": {
            "These are its own gates: nothing is exchanged.": lambda s: s.clone(),
            "The order is reversed: the first line gets the gates of the last turned one, which has "
            "other words.":
                lambda s: s.flip(0),
            "Each half is reversed in its place. The halves have to be exchanged, each in its own order.":
                lambda s: torch.cat([s[: len(s) // 2].flip(0), s[len(s) // 2 :].flip(0)]),
            "Each line gets its neighbour's gates. The twin of line n is N rows further on.":
                lambda s: s.roll(1, 0),
            "Each line gets the gates of the one after it. The twin of line n is N rows further on.":
                lambda s: s.roll(-1, 0),
            "Lines are exchanged in pairs of neighbours. The upright lines come first, then all turned ones.":
                lambda s: s.view(len(s) // 2, 2, -1).flip(1).view_as(s),
            "Every other line is taken. The upright lines come first, then all turned ones.":
                lambda s: torch.cat([s[1::2], s[::2]]),
            "Every other line is taken, the even ones first. The upright lines come first, then the "
            "turned ones.":
                lambda s: torch.cat([s[::2], s[1::2]]),
            "The channels have moved, dimension 1. The lines should move, dimension 0.":
                lambda s: s.roll(s.shape[1] // 2, 1),
            "The channels are in reverse order, dimension 1. The lines should move, dimension 0.":
                lambda s: s.flip(1),
            "Without a dimension, `roll` moves the numbers one after the other, not by lines. Give dims=0.":
                lambda s: s.roll(len(s) // 2),
            "Both halves hold the turned lines' gates. The turned lines should get those of the "
            "upright ones.":
                lambda s: s[len(s) // 2 :].repeat(2, 1),
            "Both halves hold the upright lines' gates. The upright lines should get those of the "
            "turned ones.":
                lambda s: s[: len(s) // 2].repeat(2, 1),
            "It is the mean of a line's gates and its twin's.":
                lambda s: (s + s.roll(len(s) // 2, 0)) / 2,
            "Every line gets the mean gates of all lines. Its twin's are wanted.":
                lambda s: s.mean(0, keepdim=True).expand_as(s),
            "The halves lie one behind the other on a new axis. Join them: torch.cat.":
                lambda s: torch.stack([s[len(s) // 2 :], s[: len(s) // 2]]),
            "The halves lie side by side, along dimension 1. Join them along dimension 0.":
                lambda s: torch.cat([s[len(s) // 2 :], s[: len(s) // 2]], 1),
            "It is transposed. Lines stay in rows.": lambda s: s.T,
            "It is the turned half alone. The upright lines' gates follow it.": lambda s: s[len(s) // 2 :],
            "It is the upright half alone. The turned lines' gates come before it.":
                lambda s: s[: len(s) // 2],
        },
        "after": {
            "It is 1 minus the gates.": lambda t: 1 - t,
            "The last line is missing.": lambda t: t[:-1],
            "The first line is missing.": lambda t: t[1:],
        },
    },
)  # fmt: skip


def paired_interval(right: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    change = (right - own).mean(0)
    return change.mean(), 1.96 * change.std() / len(change) ** 0.5


def _answers(lines: int, seed: int) -> Case:
    """Answers for lines both ways, those with other gates a little worse; a line's two go together."""
    hard, a, b = seeded((1, lines), (2, lines), (2, lines), seed=seed)
    return ((hard + 0.7 * a < 0.4).double(), (hard + 0.3 * b < 1.2).double())


def _interval(
    right: Tensor,
    own: Tensor,
    change: Callable[[Tensor, Tensor], Tensor] = lambda right, own: right - own,
    by_line: Callable[[Tensor], Tensor] = lambda d: d.mean(0),
    spread: Callable[[Tensor], Tensor] = lambda c: c.std(),
    root: Callable[[Tensor, Tensor], float] = lambda c, right: len(c) ** 0.5,
    factor: float = 1.96,
) -> tuple[Tensor, Tensor]:
    c = by_line(change(right, own))
    return c.mean(), factor * spread(c) / root(c, right)


def _unpaired(right: Tensor, own: Tensor, variance: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The interval as if different lines had been read."""
    n = right.shape[1]
    return (right - own).mean(), 1.96 * ((variance(right) + variance(own)) / n) ** 0.5


check_paired_interval = Exercise(
    solution=paired_interval,
    cases=[_answers(40, 0), _answers(25, 1), _answers(60, 2), _answers(12, 3), _answers(9, 5)],
    shapes="right (2, N), own (2, N) -> (2,)",
    parts=("the mean difference", "half of the interval"),
    right="Each line counts once, with its two images together, and is compared with itself.",
    variant=_interval,
    slips={
        "change": {
            "The difference is the wrong way round: with the other gates less with its own.":
                lambda right, own: own - right,
            "The differences have lost their sign. What gets better makes up for what gets worse.":
                lambda right, own: (right - own).abs(),
            "It is in per cent. The task keeps 1 for right and 0 for wrong.":
                lambda right, own: 100 * (right - own),
            "It is about the other gates' answers alone, not about the difference.": lambda right, own: right,
            "It is about its own gates' answers alone, not about the difference.": lambda right, own: own,
            "The answers are added. Take one off the other.": lambda right, own: right + own,
        },
        "by_line": {
            "Every image counts as one of its own. A line's two go together: average over dimension 0 first.":
                lambda d: d.flatten(),
            "The lines are averaged, dimension 1. Average a line's two directions, dimension 0.":
                lambda d: d.mean(1),
            "A line's two directions are added up. Average them: then a line counts once.":
                lambda d: d.sum(0),
            "Only the first direction is used. Average a line's two.": lambda d: d[0],
            "Only the second direction is used. Average a line's two.": lambda d: d[1],
        },
        "spread": {
            "The standard deviation divides by N. These are samples: N - 1, as `std` does by itself.":
                lambda c: c.std(correction=0),
            "The variance stands where the standard deviation should be. A root is missing.":
                lambda c: c.var(),
            "It is the root of the standard deviation.": lambda c: c.std().sqrt(),
        },
        "root": {
            "It is the spread between lines, not of their mean: divide by the root of how many there are.":
                lambda c, right: 1,
            "The spread is divided by the number of lines, not by its root.": lambda c, right: len(c),
            "The spread is divided by the root of N - 1. `std` has used N - 1 already; here it is N.":
                lambda c, right: (len(c) - 1) ** 0.5,
            "The spread is divided by the root of all images, 2N. Lines are independent, their two "
            "images are not.":
                lambda c, right: right.numel() ** 0.5,
            "len(right) is 2, its directions. Divide by the root of the number of lines.":
                lambda c, right: len(right) ** 0.5,
            "The spread is multiplied by the root of the number of lines. It is divided.":
                lambda c, right: len(c) ** -0.5,
        },
        "factor": {
            "The factor 1.96 is missing: this is one standard error.": 1.0,
            "The factor is 2. The task says 1.96.": 2.0,
            "It is the whole width of the interval. What is asked for is half of it, as after ±.": 3.92,
            "It is the whole width of the interval, with 2 for 1.96. Half of it is asked for.": 4.0,
            "The factor is 1.645, which is that of 90 %. For 95 % it is 1.96.": 1.645,
            "The factor is 2.576, which is that of 99 %. For 95 % it is 1.96.": 2.576,
            "It is half of what it should be: 1.96 standard errors are half of the interval already.": 0.98,
        },
    },
    mistakes={
        "The spreads of both are added as if they were different lines. They are the same: subtract first.":
            lambda right, own: _unpaired(right, own, lambda a: a.mean(0).var()),
        "p (1 − p) takes both for different lines, each read once. They are the same: subtract first.":
            lambda right, own: _unpaired(right, own, lambda a: a.mean() * (1 - a.mean())),
        "The spreads of both are added, image by image. They are the same lines: subtract first, "
        "line by line.":
            lambda right, own: _unpaired(right, own, lambda a: a.var()),
        "The spreads of both are added, image by image, over 2N images. Subtract first, line by line.":
            lambda right, own: _unpaired(right, own, lambda a: a.var() / 2),
        "One spread is taken off the other. Subtract the answers first, then take the spread.":
            lambda right, own: (
                (right - own).mean(), 1.96 * (right.std() - own.std()) / right.shape[1] ** 0.5
            ),
        "The spread is that of the other gates' answers alone, not of the difference.":
            lambda right, own: ((right - own).mean(), paired_interval(right, 0 * own)[1]),
        "The spread is that of its own gates' answers alone, not of the difference.":
            lambda right, own: ((right - own).mean(), paired_interval(own, 0 * own)[1]),
        "These are the two ends of the interval. The task asks for the difference and half of the interval.":
            lambda right, own: (
                paired_interval(right, own)[0] - paired_interval(right, own)[1],
                paired_interval(right, own)[0] + paired_interval(right, own)[1],
            ),
        "The two are exchanged: the difference comes first, then half of the interval.":
            lambda right, own: paired_interval(right, own)[::-1],
        "It is the mean difference alone. The task asks for half of the interval too: return two numbers.":
            lambda right, own: (right - own).mean(),
    },
)  # fmt: skip
