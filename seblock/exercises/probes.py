"""What a wrong answer depends on, found by asking it again with arguments changed a little."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seblock.exercises.outcome import Case, Failure, Outcome, same

if TYPE_CHECKING:
    from seblock.exercises.reasons import Evidence

WORDS = {"N": "image", "C": "channel", "H": "row", "W": "column"}


def probes(evidence: "Evidence") -> str:
    """What the answer depends on and should not, or should and does not; nothing if that is as it should be."""
    return _chance(evidence) or _one_place(evidence) or _ignored(evidence) or _mixed(evidence)


def _chance(evidence: "Evidence") -> str:
    """Another result for the same arguments."""
    again = evidence.ask(evidence.cases[0])
    if isinstance(again, Failure) or same(again, evidence.given[0]):
        return ""
    return "Called twice with the same arguments, it returns two different results. Nothing may be left to chance or kept from call to call."


def _ignored(evidence: "Evidence") -> str:
    """An argument that makes no difference."""
    unused = []
    for k, name in enumerate(evidence.check.names()):
        tried = []
        for case, given, wanted in zip(evidence.cases, evidence.given, evidence.wanted, strict=True):
            other = _other(case, k)
            if other is None or isinstance(given, Failure):
                continue
            ours, theirs = evidence.ask(other), evidence.check.outcome(evidence.check.solution, other)
            if isinstance(ours, Failure) or isinstance(theirs, Failure) or same(theirs, wanted):
                continue
            tried.append(same(ours, given))
        if tried and all(tried):
            unused.append(name)
    if not unused:
        return ""
    names = " and ".join(unused)
    return f"It does not depend on {names}: with other numbers there it returns the same."


def _other(case: Case, k: int) -> Case | None:
    """The case with an argument changed everywhere, if that can be done."""
    value = case[k]
    new: Any
    if isinstance(value, Tensor) and value.is_floating_point():
        if set(value.unique().tolist()) <= {0.0, 1.0}:
            new = value.roll(1, -1)
        else:
            new = value * torch.linspace(0.5, 0.95, value.numel()).view(value.shape)
    elif isinstance(value, Tensor):
        new = value.roll(1, 0)
    elif isinstance(value, bool):
        new = not value
    elif isinstance(value, int):
        new = value + 2
    elif isinstance(value, float):
        new = 0.9 * value
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
                changed.select(d, 0).mul_(0.5).add_(0.1)
                other = (*case[:k], changed, *case[k + 1 :])
                ours.append(_moved(evidence.ask(other), given, e))
                theirs.append(_moved(evidence.check.outcome(evidence.check.solution, other), wanted, e))
            word = WORDS[axis]
            if ours and all(ours) and not any(theirs):
                return f"What it returns for one {word} depends on {name} of the other {word}s, and should not."
            if ours and not any(ours) and all(theirs):
                return f"What it returns for one {word} depends on {name} of that {word} alone, and should on all."
    return ""


def _moved(now: Outcome, before: Outcome, axis: int) -> bool:
    """Whether anything but the first along the axis has changed."""
    if isinstance(now, Failure) or isinstance(before, Failure) or now.shape != before.shape:
        return False
    n = now.shape[axis] - 1
    return not same(now.narrow(axis, 1, n), before.narrow(axis, 1, n))


def _one_place(evidence: "Evidence") -> str:
    """Right at some places along an axis in all cases, such as for the first image only."""
    pairs = evidence.pairs()
    if any(g.shape != w.shape or not w.ndim for g, w, _ in pairs):
        return ""
    letters = evidence.axes.get("", [])
    for d in range(pairs[0][1].ndim):
        word = WORDS.get(letters[d], "") if d < len(letters) else ""
        right = [
            [same(g.select(d, i), w.select(d, i)) for i in range(w.shape[d])] for g, w, _ in pairs if w.shape[d] > 1
        ]
        if not right:
            continue
        what = f"{word}" if word else f"along dimension {d}"
        if all(r[0] and not any(r[1:]) for r in right):
            return f"Only the first {what} is right."
        if all(r[-1] and not any(r[:-1]) for r in right):
            return f"Only the last {what} is right."
        if all(not r[0] and all(r[1:]) for r in right):
            return f"All but the first {what} is right."
        if all(not r[-1] and all(r[:-1]) for r in right):
            return f"All but the last {what} is right."
    return ""
