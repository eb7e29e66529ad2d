"""What can be said of a wrong answer that nobody listed, from its numbers and from a few more calls of it.

Each reason is a statement that holds for all cases of the exercise, found by trying it; none is a guess.
"""

import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seblock.exercises import known
from seblock.exercises.outcome import Case, Failure, Outcome, number, same

if TYPE_CHECKING:
    from seblock.exercises.exercise import Exercise


def as_it_is(result: Any, *_: Any) -> Any:
    """The view of a result that counts as it is."""
    return result


@dataclass
class Evidence:
    """What is known of a wrong answer: what it gave for each case, what is wanted, how to ask again."""

    check: "Exercise"
    ask: Callable[[Case], Outcome]
    results: Sequence[Any]
    given: Sequence[Outcome]
    wanted: Sequence[Outcome]
    right: Sequence[bool]
    exact: bool

    def __post_init__(self) -> None:
        self.cases = self.check.cases
        self.axes = axes_of(self.check.shapes)

    def pairs(self) -> list[tuple[Tensor, Tensor, Case]]:
        """Given, wanted and arguments, of all cases that gave numbers."""
        return [
            (g, w, case)
            for g, w, case in zip(self.given, self.wanted, self.cases, strict=True)
            if isinstance(g, Tensor) and isinstance(w, Tensor)
        ]

    def holds(self, claim: Callable[..., bool]) -> bool:
        """Whether a claim is true of every case that gave numbers; a claim that can't be tried is not."""
        try:
            return all(claim(*pair) for pair in self.pairs())
        except Exception:
            return False

    def sizes(self, case: Case) -> dict[str, int]:
        """The sizes of the named axes in a case."""
        found: dict[str, int] = {}
        for name, value in zip(self.check.names(), case, strict=True):
            if isinstance(value, Tensor) and len(self.axes.get(name, ())) == value.ndim:
                found |= dict(zip(self.axes[name], value.shape, strict=True))
        return {axis: size for axis, size in found.items() if re.fullmatch(r"[A-Za-z]\w*'?", axis)}


def axes_of(shapes: str) -> dict[str, list[str]]:
    """The axes' names by argument, those of the result under "": "u (N, C) -> (N,)"."""
    before, _, after = shapes.partition("->")
    found = {name: _split(inside) for name, inside in re.findall(r"(\w+) \(([^)]*)\)", before)}
    if inside := re.search(r"\(([^)]*)\)", after):
        found[""] = _split(inside[1])
    return found


def _split(inside: str) -> list[str]:
    return [axis.strip() for axis in inside.split(",") if axis.strip()]


def explain(evidence: Evidence) -> str:
    """What is wrong with an answer that gave numbers, in one to three sentences."""
    from seblock.exercises.forms import form
    from seblock.exercises.probes import chance, ignored, probes
    from seblock.exercises.relations import instead, relation

    if said := chance(evidence):
        return said
    first = evidence.right.index(False)
    before = some_right(evidence)
    about = _about(evidence, first)
    if evidence.check.view is not as_it_is:  # the numbers are marks that we gave
        about = about or known.marked(evidence.check, first, evidence.given[first])
        if about or not evidence.axes:
            return before + (about or _compared(evidence))
    said = form(evidence) or _not_finite(evidence) or relation(evidence) or _parts(evidence, about)
    said = said or instead(evidence) or known.changed(evidence)
    if not said and (said := ignored(evidence)) and about:
        said += f" {about}"
    return before + (said or about or probes(evidence) or _raised(evidence) or _compared(evidence))


def _raised(evidence: Evidence) -> str:
    """An error in another case, which says more than numbers that are wrong."""
    raised = [g.text for g in evidence.given if isinstance(g, Failure)]
    return f"The numbers are wrong, and in another case there are none: {raised[0]}" if raised else ""


def _about(evidence: Evidence, first: int) -> str:
    """What the exercise itself has to say of the first wrong result, if anything."""
    try:
        return evidence.check.reason(evidence.results[first], *evidence.cases[first])
    except Exception:  # a reason reads whatever a learner returned
        return ""


def some_right(evidence: Evidence) -> str:
    """In which cases an answer is right, if it is in some, as a sentence with a space after it."""
    right = [case for case, r in zip(evidence.cases, evidence.right, strict=True) if r]
    wrong = [case for case, r in zip(evidence.cases, evidence.right, strict=True) if not r]
    if not right or not wrong:
        return ""
    for only, words in (
        (right, "It is right where {}, and in no other case tried. "),
        (wrong, "It is right unless {}. "),
    ):
        other = wrong if only is right else right
        for kind, holds in evidence.check.kinds.items():
            if all(holds(*case) for case in only) and not any(holds(*case) for case in other):
                return words.format(kind)
    for only, words in (
        (right, "It is right where {}, and in no other case tried. "),
        (wrong, "It is right unless {}. "),
    ):
        other = wrong if only is right else right
        found = [
            kind for kind, holds in _kinds(evidence) if all(map(holds, only)) and not any(map(holds, other))
        ]
        ones = [kind for kind in found if kind.endswith(" is 1")]
        equal = [kind for kind in found if kind.endswith(" are equal")]
        for told in (ones, equal, found):
            if len(told) == 1:
                return words.format(told[0])
        if found and len(only) == 1:
            where = evidence.check.where(only[0]).replace("For", "for", 1)
            if only is right and all(isinstance(value, Tensor) for value in only[0]):
                return f"It is right {where} alone: is one of its sizes written into the code? "
            if only is right:
                return f"It is right {where} alone. "
            return f"It is right, but not {where}. "
    return f"It is right in {len(right)} of {len(right) + len(wrong)} cases. "


def _kinds(evidence: Evidence) -> list[tuple[str, Callable[..., bool]]]:
    """Kinds of cases that follow from sizes and arguments."""
    kinds: list[tuple[str, Callable[..., bool]]] = []
    axes = list(evidence.sizes(evidence.cases[0]))
    for a, b in itertools.combinations(axes, 2):
        kinds.append((f"{a} and {b} are equal", lambda case, a=a, b=b: _equal(evidence.sizes(case), a, b)))
    for axis in axes:
        for size in sorted({evidence.sizes(case)[axis] for case in evidence.cases}):
            kinds.append((f"{axis} is {size}", lambda case, a=axis, n=size: evidence.sizes(case)[a] == n))
    for k, name in enumerate(evidence.check.names()):
        if isinstance(evidence.cases[0][k], bool | int | float):
            for value in sorted({case[k] for case in evidence.cases}):
                kinds.append((f"{name} is {value}", lambda case, k=k, v=value: case[k] == v))
    return kinds


def _equal(sizes: dict[str, int], a: str, b: str) -> bool:
    return sizes[a] == sizes[b]


def _not_finite(evidence: Evidence) -> str:
    """NaN and infinity."""
    bad = [(g, case) for g, _, case in evidence.pairs() if not g.isfinite().all()]
    if not bad:
        return ""
    given, case = bad[0]
    what = "infinite, as from a division by 0"
    if given.isnan().any():
        what = "NaN, as from 0 / 0, the root or the logarithm of something negative, the mean of nothing, or "
        what += "the spread of one number"
    some = (
        "some of what your function returns is" if given.isfinite().any() else "what your function returns is"
    )
    return f"{evidence.check.where(case)} {some} {what}."


def _parts(evidence: Evidence, about: str) -> str:
    """Which of the results that have names are right, and what is wrong with the others, or else `about`."""
    from seblock.exercises.relations import relation

    parts = evidence.check.parts
    if not parts or not evidence.holds(lambda g, w, _: g.shape == w.shape and len(w) == len(parts)):
        return ""
    right = [k for k in range(len(parts)) if evidence.holds(lambda g, w, _, k=k: same(g[k], w[k]))]
    wrong = [k for k in range(len(parts)) if k not in right]
    said = []
    for k in wrong:
        part = Evidence(
            evidence.check, evidence.ask, evidence.results,
            [o if isinstance(o, Failure) else o[k] for o in evidence.given],
            [o if isinstance(o, Failure) else o[k] for o in evidence.wanted],
            evidence.right, evidence.exact,
        )  # fmt: skip
        told = relation(part)
        if not told and right and not about:
            first = evidence.right.index(False)
            pair = part.given[first], part.wanted[first]
            if all(isinstance(o, Tensor) and o.numel() == 1 for o in pair):
                g, w = (float(o) for o in pair)  # type: ignore[arg-type]
                told = f"For the first case that is wrong it is {number(g, w)}, expected is {number(w, g)}."
        if told or right:
            said.append(f"{_upper(parts[k])} is wrong{': ' + told[0].lower() + told[1:] if told else '.'}")
    both = f"{_upper(' and '.join(parts[k] for k in right))} is right. " if right else ""
    if not right and 0 < len(said) < len(parts):
        both = "Neither is right. " if len(parts) == 2 else "None of them is right. "
    more = f" {about}" if said and about and all(text.endswith("is wrong.") for text in said) else ""
    return both + " ".join(said) + more


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _compared(evidence: Evidence) -> str:
    """What came out and what was wanted, for the first case that is wrong."""
    first = evidence.right.index(False)
    given, wanted = evidence.given[first], evidence.wanted[first]
    assert isinstance(given, Tensor)
    assert isinstance(wanted, Tensor)
    where = evidence.check.where(evidence.cases[first])
    if given.shape != wanted.shape:
        return f"{where} your function returns shape {tuple(given.shape)}, expected is {tuple(wanted.shape)}."
    if wanted.numel() == 1:
        g, w = given.item(), wanted.item()
        return f"{where} your function returns {number(g, w)}, expected is {number(w, g)}."
    off = (given - wanted).abs()
    place = [int(i) for i in torch.unravel_index(off.argmax(), off.shape)]
    g, w = given[tuple(place)].item(), wanted[tuple(place)].item()
    at = f"[{', '.join(map(str, place))}]"
    count = int((off > 1e-3 * wanted.abs() + 1e-5).sum())
    return (
        f"{where} {count} of {wanted.numel()} numbers are wrong, most of all result{at}: "
        f"it is {number(g, w)}, expected is {number(w, g)}."
    )
