"""What a wrong answer depends on, found by asking it again with arguments changed a little."""

import itertools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seblock.exercises.outcome import Case, Failure, Outcome, same

if TYPE_CHECKING:
    from seblock.exercises.reasons import Evidence

WORDS = {"N": "image", "C": "channel", "H": "row", "W": "column"}


def probes(evidence: "Evidence") -> str:
    """What the answer depends on and should not, or the other way round; nothing if that is all right."""
    return _one_place(evidence) or _mixed(evidence) or _left_out(evidence)


def chance(evidence: "Evidence") -> str:
    """Another result for the same arguments."""
    again = evidence.ask(evidence.cases[0])
    if isinstance(again, Failure) or same(again, evidence.given[0]):
        return ""
    return (
        "Called twice with the same arguments, it returns two different results. "
        "Nothing may be left to chance or kept from call to call."
    )


def ignored(evidence: "Evidence") -> str:
    """An argument that makes no difference."""
    unused = []
    for k, name in enumerate(evidence.check.names()):
        tried = []
        for case, given, wanted in zip(evidence.cases, evidence.given, evidence.wanted, strict=True):
            for other in [*_others(case, k), *_of_other_cases(evidence, case, k)]:
                difference = _difference(evidence, other, given, wanted)
                if difference is not None:
                    tried.append(not difference)
        if tried and all(tried):
            unused.append(name)
    if not unused:
        return ""
    names = " and ".join(unused)
    return f"It does not depend on {names}: with other numbers there it returns the same."


def _of_other_cases(evidence: "Evidence", case: Case, k: int) -> list[Case]:
    """The case with an argument as other cases have it, where it has the same shape."""
    return [
        (*case[:k], other[k], *case[k + 1 :])
        for other in evidence.cases
        if isinstance(case[k], Tensor) and other[k].shape == case[k].shape and not other[k].equal(case[k])
    ][:3]


def _difference(evidence: "Evidence", other: Case, given: Outcome, wanted: Outcome) -> bool | None:
    """Whether an answer gives something else for another case; None where it need not, or fails."""
    theirs = evidence.check.outcome(evidence.check.solution, other)
    if isinstance(given, Failure) or isinstance(theirs, Failure) or same(theirs, wanted):
        return None
    ours = evidence.ask(other)
    return None if isinstance(ours, Failure) else not same(ours, given)


def _left_out(evidence: "Evidence") -> str:
    """The first or the last along an axis of an argument that makes no difference."""
    for k, name in enumerate(evidence.check.names()):
        value = evidence.cases[0][k]
        if not isinstance(value, Tensor) or not value.is_floating_point():
            continue
        for d in range(value.ndim):
            for end, word in ((0, "first"), (-1, "last")):
                found = []
                for case, given, wanted in zip(evidence.cases, evidence.given, evidence.wanted, strict=True):
                    if case[k].shape[d] > 1:
                        changed = case[k].clone()
                        changed.select(d, end).mul_(-0.7).add_(0.3)
                        other = (*case[:k], changed, *case[k + 1 :])
                        found.append(_difference(evidence, other, given, wanted))
                known = [f for f in found if f is not None]
                if known and not any(known):
                    axis = f"dimension {d}{letter(evidence.axes.get(name, []), d)}"
                    return (
                        f"The {word} of {name} along {axis} makes no difference, and should: does a "
                        f"loop leave "
                        "it out, or put the next in its place?"
                    )
    return ""


def _others(case: Case, k: int) -> list[Case]:
    """The case with an argument changed everywhere, in one way or two, if that can be done."""
    value = case[k]
    if isinstance(value, Tensor) and value.is_floating_point() and bool((value < 0).any()):
        other = _other(case, k)
        return [*([] if other is None else [other]), (*case[:k], -value, *case[k + 1 :])]
    if isinstance(value, int | float) and not isinstance(value, bool):
        news = [value + 2, 3 * value + 5] if isinstance(value, int) else [0.9 * value, 0.4 * value]
        return [(*case[:k], new, *case[k + 1 :]) for new in news]
    other = _other(case, k)
    return [] if other is None else [other]


def _other(case: Case, k: int) -> Case | None:
    """The case with an argument changed everywhere, if that can be done."""
    value = case[k]
    new: Any
    if isinstance(value, Tensor) and value.is_floating_point():
        if set(value.unique().tolist()) <= {0.0, 1.0}:
            new = value.roll(1, -1)
        else:
            new = value * torch.linspace(0.5, 0.95, value.numel()).view(value.shape)
    elif isinstance(value, Tensor):  # labels: moved on, and one of them changed for another that exists
        new = value.roll(1, 0)
        new[0] = value.min() if new[0] == value.max() else value.max()
    elif isinstance(value, bool):
        new = not value
    elif isinstance(value, list) and all(isinstance(v, int) for v in value):
        new = [v + 2 for v in value]
    elif isinstance(value, list) and all(isinstance(v, tuple) for v in value):
        new = [tuple(2 * part for part in v) for v in value]
    else:
        return None
    return (*case[:k], new, *case[k + 1 :])


def _mixed(evidence: "Evidence") -> str:
    """One image's, or one channel's, result that depends on another's, or fails to."""
    result = evidence.axes.get("", [])
    for k, name in enumerate(evidence.check.names()):
        own = evidence.axes.get(name, [])
        for axis in [a for a in own if a in result and a in WORDS]:
            ours, theirs = [], []
            for case, given, wanted in zip(evidence.cases, evidence.given, evidence.wanted, strict=True):
                d, e = own.index(axis), result.index(axis)
                if isinstance(given, Failure) or isinstance(wanted, Failure) or given.shape != wanted.shape:
                    return ""
                if case[k].shape[d] < 2 or not case[k].is_floating_point():
                    continue
                changed = case[k].clone()
                part = changed.select(d, 0)
                part.mul_(torch.linspace(0.5, 1.4, part.numel()).view(part.shape)).add_(0.1)
                other = (*case[:k], changed, *case[k + 1 :])
                ours.append(_moved(evidence.ask(other), given, e))
                theirs.append(_moved(evidence.check.outcome(evidence.check.solution, other), wanted, e))
            word = WORDS[axis]
            if ours and all(ours) and not any(theirs):
                return (
                    f"What it returns for one {word} depends on {name} of the other {word}s, and should not."
                )
            if ours and not any(ours) and all(theirs):
                return f"What it returns for one {word} depends on {name} of that {word} alone. All count."
    return ""


def _moved(now: Outcome, before: Outcome, axis: int) -> bool:
    """Whether anything but the first along the axis has changed."""
    if isinstance(now, Failure) or isinstance(before, Failure) or now.shape != before.shape:
        return False
    n = now.shape[axis] - 1
    return not same(now.narrow(axis, 1, n), before.narrow(axis, 1, n))


def _one_place(evidence: "Evidence") -> str:
    """Right but at one end of an axis or two, or only there, in all cases."""
    pairs = [(g, w) for g, w, _ in evidence.pairs()]
    if any(g.shape != w.shape or not w.ndim for g, w in pairs):
        return ""
    wrong = [((g - w).abs() > 1e-3 * w.abs() + 1e-5, g) for g, w in pairs]
    wrong = [(off, g) for off, g in wrong if off.any() and min(off.shape) > 1]
    ends = [(d, end) for d in range(pairs[0][1].ndim) for end in (0, -1)]
    if not wrong:
        return ""
    for d in range(pairs[0][1].ndim):
        for end, word in ((0, "first"), (-1, "last")):
            long = [(g, w) for g, w in pairs if w.shape[d] > 1]
            if long and all(_alone(g, d, end) and not _alone(w, d, end) for g, w in long):
                return (
                    f"Only the {word} {_word(evidence, d)} is filled, the rest is 0. Is it filled in a loop?"
                )
        right = [[not off.select(d, i).any() for i in range(off.shape[d])] for off, _ in wrong]
        firsts, lasts = {_leading(r) for r in right}, {_leading(r[::-1]) for r in right}
        for counts, which in ((firsts, "first"), (lasts, "last")):
            n = min(counts)
            if len(counts) == 1 and n and all(sum(r) == n for r in right):
                empty = all((g[off] == 0).all() for off, g in wrong)
                what = (
                    f"the {which} {_word(evidence, d)} is"
                    if n == 1
                    else f"the {which} {n} {_word(evidence, d, True)} are"
                )
                return f"Only {what} right{', and the rest is 0: is it ever filled?' if empty else '.'}"
    for n in (1, 2, 3):
        for slabs in itertools.combinations(ends, n):
            if all(_some_outside(off, slabs) and not _outside(off, slabs).any() for off, _ in wrong):
                names = " and ".join(
                    f"the {'first' if end == 0 else 'last'} {_word(evidence, d)}" for d, end in slabs
                )
                empty = all((g[off] == 0).all() for off, g in wrong)
                return (
                    f"All is right but {names}{', which is 0: does a loop end too early?' if empty else '.'}"
                )
    return ""


def _alone(t: Tensor, d: int, end: int) -> bool:
    """Whether nothing but one end of an axis is other than 0."""
    here = t.select(d, end)
    return bool((here != 0).any() and t.count_nonzero() == here.count_nonzero())


def _leading(right: list[bool]) -> int:
    """How many are right before the first that is wrong."""
    return right.index(False) if False in right else len(right)


def _word(evidence: "Evidence", d: int, several: bool = False) -> str:
    """What lies along an axis of the result."""
    letters = evidence.axes.get("", [])
    if d < len(letters) and letters[d] in WORDS:
        return WORDS[letters[d]] + ("s" if several else "")
    return f"along dimension {d}{letter(letters, d)}"


def letter(letters: list[str], d: int) -> str:
    """An axis' letter in brackets, as far as it has one."""
    return f" ({letters[d]})" if d < len(letters) and letters[d][0].isalpha() else ""


def _some_outside(off: Tensor, slabs: tuple[tuple[int, int], ...]) -> bool:
    """Whether these ends of axes leave anything between them."""
    return bool(_outside(torch.ones_like(off), slabs).any())


def _outside(off: Tensor, slabs: tuple[tuple[int, int], ...]) -> Tensor:
    """What is wrong outside these ends of axes."""
    left = off.clone()
    for d, end in slabs:
        left.select(d, end).fill_(False)
    return left
