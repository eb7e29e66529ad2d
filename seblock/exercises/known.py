"""Which of an exercise's known mistakes an answer makes: one, or two slips in different steps at once."""

import copy
import dataclasses
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from seblock.exercises.outcome import Failure, Outcome, ended, is_whole, same

if TYPE_CHECKING:
    from seblock.exercises.exercise import Exercise
    from seblock.exercises.reasons import Evidence


def matching(check: "Exercise", given: Sequence[Outcome], exact: bool) -> str:
    """What to tell of an answer that gives these numbers, or nothing if no known mistake gives the same."""

    def fits(mistaken: Callable[..., Any]) -> bool:
        return all(
            same(result, check.outcome(mistaken, case), exact)
            for result, case in zip(given, check.cases, strict=True)
        )

    for told, mistaken, kept in _KEPT.setdefault(id(check), [(*known, {}) for known in check.known()]):
        if all(same(result, _once(kept, k, check, mistaken), exact) for k, result in enumerate(given)):
            return told
    pairs = [pair for pair in _pairs(check.slips) if fits(check.with_slips({k: v for k, _, v in pair}))]
    if not pairs:
        return ""
    # Two pairs may give the same numbers. What all of them have in common is certain, the rest is not.
    common = [slip for slip in pairs[0] if all(slip[:2] in [other[:2] for other in pair] for pair in pairs)]
    if not common:
        return ""
    if len(common) == 2:
        first, second = (_first(told) for _, told, _ in common)
        if _lower(first) == _lower(second):
            return first
        return f"The numbers are those of two mistakes at once. {first} And: {_lower(second)}"
    return f"The numbers are those of two mistakes at once, and one is certain. {common[0][1]}"


def changed(evidence: "Evidence") -> str:
    """A known mistake, and one more thing that was done at the end: what to tell of both, or nothing."""
    from seblock.exercises.relations import changed as changed_at_the_end

    if any(isinstance(result, Failure) for result in evidence.given):
        return ""
    for told, mistaken, kept in _KEPT.get(id(evidence.check), ()):
        made = [_once(kept, k, evidence.check, mistaken) for k in range(len(evidence.given))]
        if not all(isinstance(m, Tensor) and m.isfinite().all() for m in made):
            continue
        if more := changed_at_the_end(dataclasses.replace(evidence, wanted=made)):
            more = more.replace("what it should be", "what that gives")
            return f"The numbers are those of two mistakes at once. {_first(told)} And: {_lower(more)}"
    return ""


def marked(check: "Exercise", case: int, mark: Outcome) -> str:
    """What to tell of a result that a view gave this mark in a case: what a known mistake with it is told."""
    for told, mistaken in check.known():
        if same(mark, check.outcome(mistaken, check.cases[case])):
            return told
    return ""


_KEPT: dict[int, list[tuple[str, Callable[..., Any], dict[int, Outcome]]]] = {}
"""What each mistake of a check gives, by case, as far as it has been asked for."""


_CHECKS: list["Exercise"] = []
"""The checks that something is kept of: as long as they are here, no other gets the same id."""

_WANTED: dict[int, tuple[list[Outcome], bool]] = {}
"""What a check's solution gives, and whether that is a count."""


def wanted(check: "Exercise") -> tuple[list[Outcome], bool]:
    """What the solution gives for each case, and whether that counts something and has to be met exactly."""
    if id(check) not in _WANTED:
        _CHECKS.append(check)
        whole = is_whole(check.solution(*copy.deepcopy(check.cases[0])))
        _WANTED[id(check)] = [check.outcome(check.solution, case) for case in check.cases], whole
    return _WANTED[id(check)]


def _once(kept: dict[int, Outcome], k: int, check: "Exercise", mistaken: Callable[..., Any]) -> Outcome:
    """What a mistake gives for case k, worked out the first time."""
    if k not in kept:
        kept[k] = check.outcome(mistaken, check.cases[k])
    return kept[k]


Slip = tuple[str, str, Any]
"""The step, what to tell, and what stands in its place."""


def _pairs(slips: Mapping[str, Mapping[str, Any]]) -> list[tuple[Slip, Slip]]:
    """Every two slips in different steps."""
    flat = [(step, told, other) for step, others in slips.items() for told, other in others.items()]
    return [(a, b) for a, b in itertools.combinations(flat, 2) if a[0] != b[0]]


def _first(told: str) -> str:
    """The first sentence alone, which says what the mistake is."""
    return ended(told.split(". ")[0])


def _lower(sentence: str) -> str:
    """The sentence as it goes on after a colon; letters that stand for something stay."""
    plain = (
        "The ",
        "All ",
        "A ",
        "An ",
        "One ",
        "Some ",
        "There ",
        "It ",
        "Only ",
        "Every ",
        "Each ",
        "These ",
        "Both ",
        "That ",
        "This ",
    )
    return sentence[0].lower() + sentence[1:] if sentence.startswith(plain) else sentence
