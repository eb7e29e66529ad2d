"""Exercises of 11_text_scanner."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from seblock.exercises.criteria import first_unmet
from seblock.exercises.exercise import Case, Exercise, seeded


def exposure(spread: Tensor, wanted: float) -> Tensor:
    return (wanted / spread.clamp(min=1e-12)).clamp(max=1)


def _spreads(seed: int, n: int, wanted: float) -> Case:
    """Spreads of maps, above and below the wanted one, and one map that is empty."""
    (noise,) = seeded((n,), seed=seed)
    spread = noise.abs() + 0.1
    spread[1] = 0
    return spread, wanted


check_exposure = Exercise(
    solution=exposure,
    cases=[_spreads(0, 8, 0.5), _spreads(1, 5, 0.2), _spreads(2, 6, 1.0)],
    right="A gate can only turn down: what is paler than wanted passes whole, and stays too pale.",
    mistakes={
        "A gate cannot be larger than 1: what is too faint stays so.":
            lambda spread, wanted: wanted / spread,
        "An empty map is faint, so its gate is open, at 1, not shut.":
            lambda spread, wanted: exposure(spread, wanted) * (spread > 0),
        "It is the wrong way round: the fainter the maps, the wider the gate.":
            lambda spread, wanted: (spread / wanted).clamp(max=1),
        "That is what comes out, the gate times the spread. The task asks for the gate.":
            lambda spread, wanted: exposure(spread, wanted) * spread,
        "All maps get the same gate. Each has a spread of its own.":
            lambda spread, wanted: (wanted / spread.mean()).clamp(max=1).expand_as(spread),
        "The spread is taken off. A gate multiplies: gate times spread should be what is wanted.":
            lambda spread, wanted: (1 - (spread - wanted)).clamp(0, 1),
        "It is 0 where the maps are too faint. What cannot be made stronger should at least pass.":
            lambda spread, wanted: (wanted / spread.clamp(min=1e-12)) * (spread >= wanted),
    },
)  # fmt: skip


def other_lines(s: Tensor) -> Tensor:
    return torch.cat([half.roll(1, 0) for half in s.chunk(2)])


def _where_from(given: Tensor, s: Tensor) -> int:
    """What is wrong with the lines that the gates come from, counted from 1; 0 if nothing."""
    given = torch.as_tensor(given).to(s)
    if given.shape != s.shape:
        raise ValueError(f"expected gates of shape {tuple(s.shape)}, got {tuple(given.shape)}")
    n = len(s) // 2
    same = (given[:, None] - s).abs().amax(dim=2) < 1e-6  # which row each row is
    row, source = torch.arange(2 * n), same.int().argmax(dim=1)

    def criteria() -> Iterator[bool]:
        yield bool(same.any(dim=1).all())
        yield bool((source != row).all())
        yield not bool((source % n == row % n).all())
        yield bool(((source < n) == (row < n)).all())
        yield len(source.unique()) == 2 * n

    return first_unmet(criteria())


check_other_lines = Exercise(
    solution=other_lines,
    cases=[seeded((6, 4)), seeded((8, 3), seed=1), seeded((10, 10), seed=2)],
    view=_where_from,
    hint="It returns gates of the same shape, (2N, C).",
    right="Only the words are exchanged. What the twins' swap does beyond that is the direction's doing.",
    mistakes={
        "Not every row is one line's gates: they are whole lines that change places, nothing is averaged.":
            lambda s: (s + s.roll(1, 0)) / 2,
        "A line has kept its own gates.":
            lambda s: s.clone(),
        "Every line has its twin's gates: the same words, the other direction. Make it the reverse.":
            lambda s: s.roll(len(s) // 2, 0),
        "A line has gates of the other direction. The upright lines come first: mind the middle.":
            lambda s: s.roll(1, 0),
        "Some line's gates are used twice and another's never. Use each once.":
            lambda s: torch.cat([s[1:2], s[:1].expand(len(s) // 2 - 1, -1), other_lines(s)[len(s) // 2 :]]),
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
