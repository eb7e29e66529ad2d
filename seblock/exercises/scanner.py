"""Exercises of 11_text_scanner."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from seblock.exercises.criteria import first_unmet
from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import number, numbers


def exposure(spread: Tensor, wanted: float) -> Tensor:
    return (wanted / spread.clamp(min=1e-12)).clamp(max=1)


def _spreads(seed: int, n: int, wanted: float) -> Case:
    """Spreads of maps, above and below the wanted one, and one map that is empty."""
    (noise,) = seeded((n,), seed=seed)
    spread = noise.abs() + 0.1
    spread[1] = 0
    return spread, wanted


def _at_the_worst(result: Any, spread: Tensor, wanted: float) -> str:
    """What comes of the map for which the gate is most wrong."""
    given, right = torch.as_tensor(result), exposure(spread, wanted)
    k = int((given - right).abs().argmax())
    gate, of = float(given[k]), float(spread[k])
    text = (
        f"For a map with the spread {number(of)} your gate is {number(gate)}, which makes it "
        f"{number(gate * of)}"
    )
    if of < wanted:
        return f"{text}. Wanted is {wanted}, and a gate of 1 comes nearest: no gate makes a map stronger."
    return f"{text}; wanted is {wanted}, and {number(float(right[k]))} makes it so."


check_exposure = Exercise(
    solution=exposure,
    cases=[_spreads(0, 8, 0.5), _spreads(1, 5, 0.2), _spreads(2, 6, 1.0)],
    shapes="spread (C,) -> (C,)",
    reason=_at_the_worst,
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
        "`clamp` is at the wrong end, or both cases are exchanged: a gate is 1 at most, max=1.":
            lambda spread, wanted: torch.where(spread > wanted, 1, wanted / spread),
        "There is a sigmoid at the end. wanted / spread is the gate itself, as far as it is below 1.":
            lambda spread, wanted: (wanted / spread).sigmoid(),
        "The gate is 0 or 1. It may stand anywhere between, so that gate times spread is what is wanted.":
            lambda spread, wanted: (spread > wanted).float(),
        "The gate is 1 or 0: a map that is too strong is turned down, not off.":
            lambda spread, wanted: (spread <= wanted).float(),
        "All maps get the gate of the strongest one. Each has a spread of its own.":
            lambda spread, wanted: (wanted / spread.max()).expand_as(spread),
        "A spread below 1 is raised to 1 here. It is the gate that is 1 at most: clamp the quotient.":
            lambda spread, wanted: wanted / spread.clamp(min=1),
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
    given = numbers(given).to(s)
    if given.shape != s.shape:
        joined = "; torch.cat lays the halves one below the other" if given.ndim == 3 else ""
        raise ValueError(f"expected gates of shape {tuple(s.shape)}, got {tuple(given.shape)}{joined}")
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


def _in_steps(result: Any, right: Tensor, own: Tensor) -> str:
    """How half of the interval comes about, in numbers."""
    change = (right - own).mean(0)
    given, wanted = float(result[1]), float(paired_interval(right, own)[1])
    return (
        f"With {len(change)} lines half of the interval is {number(given, wanted)}, expected is "
        f"{number(wanted, given)}. There is one number a line, the mean of its two differences: they "
        f"spread by "
        f"{number(float(change.std()))}, and 1.96 times that is divided by the root of {len(change)}."
    )


def _unpaired(right: Tensor, own: Tensor, variance: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The interval as if different lines had been read."""
    n = right.shape[1]
    return (right - own).mean(), 1.96 * ((variance(right) + variance(own)) / n) ** 0.5


check_paired_interval = Exercise(
    solution=paired_interval,
    cases=[_answers(40, 0), _answers(25, 1), _answers(60, 2), _answers(12, 3), _answers(9, 5)],
    shapes="right (2, N), own (2, N) -> (2,)",
    parts=("the mean difference", "half of the interval"),
    reason=_in_steps,
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
            "The root of the standard deviation is taken, which is a root already.": lambda c: c.std().sqrt(),
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
        "p (1 − p) is that of the other gates' answers alone. Subtract first: the differences have a "
        "spread of "
        "their own.":
            lambda right, own: (
                (right - own).mean(), 1.96 * (right.mean() * (1 - right.mean()) / right.numel()) ** 0.5),
        "The spreads of both are added, image by image. They are the same lines: subtract first, "
        "line by line.":
            lambda right, own: _unpaired(right, own, lambda a: a.var()),
        "The spreads of both are added, image by image, over 2N images. Subtract first, line by line.":
            lambda right, own: _unpaired(right, own, lambda a: a.var() / 2),
        "One half of an interval is taken off the other. Subtract the answers first, then take the spread.":
            lambda right, own: (
                (right - own).mean(),
                1.96 * (right.mean(0).std() - own.mean(0).std()) / right.shape[1] ** 0.5,
            ),
        "The spread is that of single images. Average a line's two first: then it is that of the lines.":
            lambda right, own: ((right - own).mean(), 1.96 * (right - own).std() / right.shape[1] ** 0.5),
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
