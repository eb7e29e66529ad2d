"""How a wrong result is related to the right one: a factor, a sign, a flip, another argument."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from seblock.exercises.outcome import Case, number, same

if TYPE_CHECKING:
    from seblock.exercises.reasons import Evidence

Claim = Callable[..., bool]

UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "It is 1 minus what it should be": lambda w: 1 - w,
    "It is 1 divided by what it should be": lambda w: 1 / w,
    "It is the square of what it should be": lambda w: w.square(),
    "It is the root of what it should be": lambda w: w.sqrt(),
    "It is right but for the sign: what is negative has lost it": lambda w: w.abs(),
    "What should be negative is 0": lambda w: w.relu(),
    "It is the exponential of what it should be": lambda w: w.exp(),
    "It is the logarithm of what it should be": lambda w: w.log(),
    "It is the logarithm of what it should be, on base 2": lambda w: w.log2(),
    "There is one sigmoid too many, at the end": lambda w: w.sigmoid(),
    "A sigmoid is missing at the end": lambda w: w.logit(),
    "There is one tanh too many, at the end": lambda w: w.tanh(),
    "It is cut off to lie between 0 and 1": lambda w: w.clamp(0, 1),
    "It is rounded to whole numbers": lambda w: w.round(),
    "What follows the decimal point is cut off": lambda w: w.trunc(),
    "It is rounded down to whole numbers": lambda w: w.floor(),
    "It is rounded up to whole numbers": lambda w: w.ceil(),
    "It is rounded to one decimal": lambda w: w.round(decimals=1),
    "It is rounded to two decimals": lambda w: w.round(decimals=2),
    "It says only whether each number is above 0.5": lambda w: (w > 0.5).double(),
    "It says only whether each number is 0 or not": lambda w: (w != 0).double(),
    "Only the sign is left of each number": lambda w: w.sign(),
}  # fmt: skip

ALONG: dict[str, Callable[[Tensor, int], Tensor]] = {
    "The numbers are right, but in reverse order along {}": lambda w, d: w.flip(d),
    "The numbers are right, but one step on along {}": lambda w, d: w.roll(1, d),
    "The numbers are right, but one step back along {}": lambda w, d: w.roll(-1, d),
    "The numbers are right, but sorted along {}": lambda w, d: w.sort(d).values,
    "The numbers are right, but sorted along {}, the largest first":
        lambda w, d: w.sort(d, descending=True).values,
    "There is a softmax over {} at the end that should not be there": lambda w, d: w.softmax(d),
    "It is added up along {}, one after the other": lambda w, d: w.cumsum(d),
    "Everything gets its mean along {}": lambda w, d: w.mean(d, keepdim=True).expand_as(w),
    "Everything gets its sum along {}": lambda w, d: w.sum(d, keepdim=True).expand_as(w),
    "All get the numbers of the first along {}": lambda w, d: w.narrow(d, 0, 1).expand_as(w),
    "All get the numbers of the last along {}": lambda w, d: w.narrow(d, -1, 1).expand_as(w),
    "It is divided by its sum along {}": lambda w, d: w / w.sum(d, keepdim=True),
    "It is divided by its largest along {}": lambda w, d: w / w.amax(d, keepdim=True),
    "It is divided by its mean along {}": lambda w, d: w / w.mean(d, keepdim=True),
    "It is divided by its norm along {}": lambda w, d: w / w.norm(dim=d, keepdim=True),
    "Its mean along {} is taken off": lambda w, d: w - w.mean(d, keepdim=True),
    "It is normalised along {}": lambda w, d: (w - w.mean(d, keepdim=True)) / w.std(d, keepdim=True),
}  # fmt: skip

INSTEAD: dict[str, Callable[[Tensor], Tensor]] = {
    "|{0}|": lambda a: a.abs(),
    "-{0}": lambda a: -a,
    "1 - {0}": lambda a: 1 - a,
    "1 / {0}": lambda a: 1 / a,
    "{0} cut off at zero": lambda a: a.relu(),
    "the square of {0}": lambda a: a.square(),
    "the sigmoid of {0}": lambda a: a.sigmoid(),
    "the root of {0}": lambda a: a.sqrt(),
    "2 * {0}": lambda a: 2 * a,
    "{0} / 2": lambda a: a / 2,
    "{0} + 1": lambda a: a + 1,
    "{0} - 1": lambda a: a - 1,
    "=all ones": lambda a: torch.ones_like(a),
    "=all zeros": lambda a: torch.zeros_like(a),
    "the first image of {0}, for all,": lambda a: a[:1].expand_as(a),
    "{0} rounded": lambda a: a.round(),
    "{0} transposed": lambda a: a.mT,
    "{0} with its mean taken off": lambda a: a - a.mean(),
}


def relation(evidence: "Evidence") -> str:
    """How what is given is related to what is wanted in every case; nothing if no way is found."""
    if not _enough(evidence):
        return ""
    return _constant(evidence) or _factor(evidence) or _by_argument(evidence) or _changed(evidence)


def _enough(evidence: "Evidence") -> bool:
    """Whether there are numbers enough: two may be related by chance."""
    pairs = evidence.pairs()
    return all(g.shape == w.shape for g, w, _ in pairs) and (
        any(g.numel() > 1 for g, _, _ in pairs) or len(pairs) > 2
    )


def _constant(evidence: "Evidence") -> str:
    """One number everywhere, or one result in every case."""
    pairs = evidence.pairs()
    one = pairs[0][0].flatten()[:1]
    if evidence.holds(lambda g, w, _: bool((g == one).all())) and (len(pairs) > 1 or len(pairs[0][1]) > 2):
        return f"All that comes out is {number(float(one))}."
    if len(pairs) > 2 and evidence.holds(lambda g, w, _: same(g, pairs[0][0])):
        return "It returns the same in every case, whatever it is given."
    return ""


def _holds(evidence: "Evidence", claim: Claim) -> bool:
    """Whether a claim is true of every case, and says something: it is not true of the right result."""
    return evidence.holds(claim) and not all(claim(w, w, case) for _, w, case in evidence.pairs())


def _factor(evidence: "Evidence", named: bool = True) -> str:
    """A common factor or a common difference, with a name where the sizes give it one."""
    pairs = evidence.pairs()
    given, wanted = (torch.cat([t.flatten() for t in ts]) for ts in list(zip(*pairs, strict=True))[:2])
    if len(wanted) < 2 or float(wanted.max() - wanted.min()) < 1e-6 or not given.isfinite().all():
        return ""
    factor = float((given @ wanted) / (wanted @ wanted))
    if (
        abs(factor) > 1e-6
        and abs(factor - 1) > 1e-2
        and _holds(evidence, lambda g, w, _: same(g, factor * w))
    ):
        if abs(factor + 1) < 1e-3:
            return "The sign is the wrong way round everywhere."
        return f"Every number is {factor:.3g} times what it should be."
    offset = float((given - wanted).mean())
    if _holds(evidence, lambda g, w, _: same(g, w + offset)):
        return f"Every number is too {'large' if offset > 0 else 'small'} by {number(abs(offset))}."
    for told, term in _terms(evidence) if named else ():
        if _holds(evidence, lambda g, w, case, t=term: same(g, w * t(case))):
            return f"Every number is {told} times what it should be."
        if _holds(evidence, lambda g, w, case, t=term: same(g * t(case), w)):
            return f"Every number should be {told} times as large."
        if _holds(evidence, lambda g, w, case, t=term: same(g - w, torch.full_like(w, t(case)))):
            return f"Every number is too large by {told}."
        if _holds(evidence, lambda g, w, case, t=term: same(w - g, torch.full_like(w, t(case)))):
            return f"Every number is too small by {told}."
    return ""


def _terms(evidence: "Evidence") -> Iterator[tuple[str, Callable[..., float]]]:
    """Numbers that a case brings: its sizes, its arguments, their products and quotients."""
    one: list[tuple[str, Callable[..., float]]] = [
        (axis, lambda case, a=axis: evidence.sizes(case)[a]) for axis in evidence.sizes(evidence.cases[0])
    ]
    for k, (name, value) in enumerate(zip(evidence.check.names(), evidence.cases[0], strict=True)):
        if isinstance(value, int | float) and not isinstance(value, bool):
            one.append((name, lambda case, k=k: case[k]))
        elif isinstance(value, list | tuple):
            one.append((f"len({name})", lambda case, k=k: len(case[k])))
    for told, term in one:  # a term that is the same in all cases has no name to be told by
        if len({term(case) for case in evidence.cases}) > 1:
            yield told, term
            yield f"{told}²", lambda case, t=term: t(case) ** 2
            yield f"√{told}", lambda case, t=term: t(case) ** 0.5
            yield f"({told} - 1)", lambda case, t=term: t(case) - 1
            yield f"({told} + 1)", lambda case, t=term: t(case) + 1
            yield f"(1 - {told})", lambda case, t=term: 1 - t(case)
            yield f"({told} - 1) / {told}", lambda case, t=term: (t(case) - 1) / t(case)
            yield f"√(({told} - 1) / {told})", lambda case, t=term: ((t(case) - 1) / t(case)) ** 0.5
            yield f"2 · {told}", lambda case, t=term: 2 * t(case)
            yield f"{told} / 2", lambda case, t=term: t(case) / 2
    for (a, s), (b, t) in itertools.combinations(one, 2):
        yield f"{a} · {b}", lambda case, s=s, t=t: s(case) * t(case)
        yield f"{a} / {b}", lambda case, s=s, t=t: s(case) / t(case)
        yield f"({a} + {b})", lambda case, s=s, t=t: s(case) + t(case)
        yield f"({a} - {b})", lambda case, s=s, t=t: s(case) - t(case)


def _by_argument(evidence: "Evidence") -> str:
    """The result with an argument multiplied in, divided by, added or taken off at its own axes."""
    axes = evidence.axes.get("", [])
    for k, name in enumerate(evidence.check.names()):
        own = evidence.axes.get(name)
        if (
            not own
            or any(a not in axes and a != "1" for a in own)
            or not isinstance(evidence.cases[0][k], Tensor)
        ):
            continue

        def fitted(case: Case, k: int = k, own: list[str] = own) -> Tensor:
            value, order = case[k].double(), [a for a in axes if a in own]
            value = value.permute(
                [own.index(a) for a in order] + [i for i, a in enumerate(own) if a not in axes]
            )
            value = value.flatten(len(order)) if value.ndim > len(order) else value
            return value.reshape([value.shape[order.index(a)] if a in order else 1 for a in axes])

        ways: dict[str, Callable[..., Tensor]] = {
            "It is multiplied by {} once too often.": lambda w, a: w * a,
            "It is divided by {} once too often.": lambda w, a: w / a,
            "{} is added at the end, and should not be.": lambda w, a: w + a,
            "{} is taken off at the end, and should not be.": lambda w, a: w - a,
            "It is {} minus what it should be.": lambda w, a: a - w,
        }
        for told, way in ways.items():
            if _holds(evidence, lambda g, w, case, f=fitted, way=way: same(g, way(w, f(case)))):
                return told.format(name)
        if _holds(evidence, lambda g, w, case, f=fitted: same(g, f(case).expand_as(w))):
            return f"What comes out is {name} itself."
    return ""


def changed(evidence: "Evidence") -> str:
    """Another result than the right one, with a factor, a sum or a change of each number at the end.

    That it fits must not be chance, so it takes eight numbers. Nor are 1 - x and 1 / x tried: these turn
    one mistake into another.
    """
    if not _enough(evidence) or sum(w.numel() for _, w, _ in evidence.pairs()) < 8:
        return ""
    return _factor(evidence, named=False) or _unary(evidence, [*UNARY][2:])


def _unary(evidence: "Evidence", changes: Sequence[str] = tuple(UNARY)) -> str:
    """The right result, each number changed by itself."""
    for told in changes:
        if _holds(evidence, lambda g, w, _, c=UNARY[told]: same(g, c(w))):
            return f"{told}."
    return ""


def _changed(evidence: "Evidence") -> str:
    """The right result, changed at the end."""
    if told := _unary(evidence):
        return told
    ndim = evidence.pairs()[0][1].ndim
    letters = evidence.axes.get("", [])
    if evidence.check.parts:  # results with names of their own lie along no axis
        return ""
    for told, along in ALONG.items():
        for d in range(ndim):
            if _holds(evidence, lambda g, w, _, a=along, d=d: same(g, a(w, d))):
                letter = f" ({letters[d]})" if d < len(letters) else ""
                return f"{told.format(f'dimension {d}{letter}')}."
    for d, e in itertools.combinations(range(ndim), 2):
        if _holds(evidence, lambda g, w, _, d=d, e=e: same(g, w.transpose(d, e))):
            return f"The numbers are right, but dimensions {d} and {e} are exchanged."
        if _holds(evidence, lambda g, w, _, d=d, e=e: same(g, w.mean((d, e), keepdim=True).expand_as(w))):
            return f"Everything gets its mean along dimensions {d} and {e}."
    return ""


def instead(evidence: "Evidence") -> str:
    """The right result for other arguments."""
    check, names = evidence.check, evidence.check.names()
    if not _enough(evidence):
        return ""

    def right_for(change: Callable[..., Case]) -> bool:
        def claim(g: Tensor, _: Tensor, case: Case) -> bool:
            other = check.outcome(check.solution, change(case))
            return isinstance(other, Tensor) and same(g, other, evidence.exact)

        return _holds(evidence, claim)

    def put(k: int, new: Callable[[Any], Any]) -> Callable[[Case], Case]:
        return lambda case: (*case[:k], new(case[k]), *case[k + 1 :])

    for k, name in enumerate(names):
        value = evidence.cases[0][k]
        if isinstance(value, Tensor):
            ways: dict[str, Callable[..., Any]] = dict(INSTEAD)
            for d in range(value.ndim):
                letter = evidence.axes.get(name, [""] * 9)[d]
                axis = f"dimension {d} ({letter})" if letter else f"dimension {d}"
                ways[f"{{0}} in reverse order along {axis}"] = lambda a, d=d: a.flip(d)
                ways[f"the mean of {{0}} along {axis}"] = lambda a, d=d: a.mean(d, keepdim=True).expand_as(a)
                ways[f"the first of {{0}} along {axis}"] = lambda a, d=d: a.narrow(d, 0, 1).expand_as(a)
        elif isinstance(value, bool):
            ways = {"not {0}": lambda a: not a, "=True": lambda a: True, "=False": lambda a: False}
        elif isinstance(value, int | float):
            ways = {"{0} + 1": lambda a: a + 1, "{0} - 1": lambda a: a - 1, "2 · {0}": lambda a: 2 * a}
            ways |= {
                "{0} / 2": lambda a: a / 2,
                "1 - {0}": lambda a: 1 - a,
                "=1": lambda a: 1,
                "=0": lambda a: 0,
            }
            ways |= {"1 / {0}": lambda a: 1 / a, "{0}²": lambda a: a * a, "√{0}": lambda a: a**0.5}
        elif isinstance(value, list):
            ways = {"{0} in reverse order": lambda a: a[::-1], "the first of {0} alone": lambda a: a[:1]}
            ways |= {"{0} without its last": lambda a: a[:-1], "{0} without its first": lambda a: a[1:]}
            ways |= {"{0} without repetitions": lambda a: list(dict.fromkeys(a)), "sorted {0}": sorted}
            ways |= {"the first of {0} every time": lambda a: a[:1] * len(a)}
            ways |= {"the last of {0} every time": lambda a: a[-1:] * len(a)}
            ways |= {"the largest of {0} every time": lambda a: [max(a)] * len(a)}
        else:
            continue
        for told, new in ways.items():
            if right_for(put(k, new)):
                if told[0] == "=":
                    return f"It does not depend on {name}, and would be right if {name} were {told[1:]}."
                return f"It would be right for {told.format(name)} in the place of {name}."
    for a, b in itertools.combinations(range(len(names)), 2):

        def swap(case: Case, a: int = a, b: int = b) -> Case:
            other = list(case)
            other[a], other[b] = other[b], other[a]
            return tuple(other)

        if right_for(swap):
            return f"It would be right with {names[a]} and {names[b]} exchanged."
    return ""
