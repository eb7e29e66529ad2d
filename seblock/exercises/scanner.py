"""Exercises of 11_text_scanner."""

import math

from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded


def twin_gates(s: Tensor) -> Tensor:
    return s.roll(len(s) // 2, 0)


check_twin_gates = Exercise(
    solution=twin_gates,
    cases=[seeded((6, 4)), seeded((8, 3), seed=1), seeded((10, 10), seed=2)],
    right="Every line gets the gates of the same words, turned.",
    mistakes={
        "These are its own gates: nothing is exchanged.":
            lambda s: s.clone(),
        "The order is reversed: the first line gets the gates of the last turned one, which has other words.":
            lambda s: s.flip(0),
        "Each line gets its neighbour's gates. The twin of line n stands N rows further on.":
            lambda s: s.roll(1, 0),
        "Lines are exchanged in pairs of neighbours. The upright lines come first, then all turned ones.":
            lambda s: s.view(len(s) // 2, 2, -1).flip(1).view_as(s),
        "The channels have moved, dimension 1. The lines should move, dimension 0.":
            lambda s: s.roll(s.shape[1] // 2, 1),
        "Both halves hold the turned lines' gates. The turned lines should get those of the upright ones.":
            lambda s: s[len(s) // 2 :].repeat(2, 1),
        "Both halves hold the upright lines' gates. The upright lines should get those of the turned ones.":
            lambda s: s[: len(s) // 2].repeat(2, 1),
        "It is the mean of a line's gates and its twin's.":
            lambda s: (s + s.roll(len(s) // 2, 0)) / 2,
    },
)  # fmt: skip


def paired_interval(right: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    change = (right - own).mean(0)
    return change.mean(), 1.96 * change.std() / len(change) ** 0.5


def _answers(lines: int, seed: int) -> Case:
    """Answers for lines both ways, those with other gates a little worse; a line's two go together."""
    hard, a, b = seeded((1, lines), (2, lines), (2, lines), seed=seed)
    return ((hard + 0.7 * a < 0.4).double(), (hard + 0.3 * b < 1.2).double())


def _with(change: Tensor, spread: Tensor, count: int) -> tuple[Tensor, Tensor]:
    return change.mean(), 1.96 * spread / math.sqrt(count)


check_paired_interval = Exercise(
    solution=paired_interval,
    cases=[_answers(40, 0), _answers(25, 1), _answers(60, 2)],
    right="Each line counts once, with its two images together, and is compared with itself.",
    mistakes={
        "The difference is the wrong way round: with the other gates less with its own.":
            lambda right, own: paired_interval(own, right),
        "Every image counts as one of its own. A line's two go together: average over dimension 0 first.":
            lambda right, own: _with(right - own, (right - own).std(), right.numel()),
        "The spreads of both are added as if they were different lines. They are the same: subtract first.":
            lambda right, own: _with(
                right - own, (right.mean(0).var() + own.mean(0).var()).sqrt(), right.shape[1]
            ),
        "It is the spread between lines, not of their mean: divide by the root of how many there are.":
            lambda right, own: _with(right - own, (right - own).mean(0).std(), 1),
        "The spread is divided by the number of lines, not by its root.":
            lambda right, own: _with(right - own, (right - own).mean(0).std(), right.shape[1] ** 2),
        "The factor 1.96 is missing: this is one standard error.":
            lambda right, own: _with(right - own, (right - own).mean(0).std() / 1.96, right.shape[1]),
        "It is the whole width of the interval. What is asked for is half of it, as after ±.":
            lambda right, own: _with(right - own, 2 * (right - own).mean(0).std(), right.shape[1]),
        "The spread is that of the other gates' answers alone, not of the difference.":
            lambda right, own: _with(right - own, right.mean(0).std(), right.shape[1]),
        "The lines are averaged, dimension 1. Average a line's two directions, dimension 0.":
            lambda right, own: _with(right - own, (right - own).mean(1).std(), 2),
    },
)  # fmt: skip
