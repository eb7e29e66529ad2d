"""What is wrong with a result's shape: which axes it has, which it should have, and what makes it right."""

import itertools
import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seblock.exercises.outcome import same

if TYPE_CHECKING:
    from seblock.exercises.reasons import Evidence

REDUCERS = {
    "the mean over {}": lambda t, d: t.mean(d),
    "the sum over {}": lambda t, d: t.sum(d),
    "the largest over {}": lambda t, d: t.amax(d),
    "the first along {}": lambda t, d: t.select(d, 0),
    "the last along {}": lambda t, d: t.select(d, -1),
}


def form(evidence: "Evidence") -> str:
    """What to say of a result that has another shape than the right one; nothing if it has the same."""
    pairs = evidence.pairs()
    different = [(g, w, case) for g, w, case in pairs if g.shape != w.shape]
    if not different:
        return ""
    g, w, case = different[0]
    shapes = f"your function returns shape {_shape(g)}, expected is {_shape(w)}"
    where = evidence.check.where(case)
    said = (
        _not_all(evidence)
        or _same_numbers(evidence)
        or _reduced(evidence)
        or _axes(evidence, g, w)
        or _border(evidence)
    )
    return f"{where} {shapes}. {said or _counted(evidence, g, w)}".rstrip()


def _shape(t: Tensor) -> str:
    return "()" + ", a single number" if t.ndim == 0 else str(tuple(t.shape))


def _not_all(evidence: "Evidence") -> str:
    """One of several results alone, or another number of them."""
    parts = evidence.check.parts
    if not parts or any(g.ndim and len(g) == len(parts) for g, _, _ in evidence.pairs()):
        return ""
    asked = f"The task asks for {len(parts)} results: {' and '.join(parts)}."
    for k, part in enumerate(parts):
        if evidence.holds(lambda g, w, _, k=k: g.shape == w[k].shape and same(g, w[k])):
            return f"It is {part} alone. {asked}"
    return asked


def _same_numbers(evidence: "Evidence") -> str:
    """The right numbers in another arrangement."""
    if evidence.holds(lambda g, w, _: same(g.squeeze(), w.squeeze())):
        more = all(g.ndim >= w.ndim for g, w, _ in evidence.pairs())
        axes = "Axes of size 1 are left over." if more else "An axis of size 1 is missing."
        return f"The numbers are right. {axes}"
    if evidence.holds(lambda g, w, _: same(torch.einsum("abab->ab", g), w)):
        return "Axes of size 1 met others, so every number met every other: drop them before that."
    if evidence.holds(lambda g, w, _: w.ndim > 1 and g.ndim > w.ndim and _on_a_diagonal(g, w)):
        return "An axis of size 1 met another, so every part met every other: drop it before that."
    if evidence.holds(lambda g, w, _: g.numel() == w.numel() and same(g.flatten(), w.flatten())):
        return "The numbers are right, and in the right order: only the shape is not."
    ndim = evidence.pairs()[0][0].ndim
    for order in itertools.permutations(range(ndim)) if ndim < 5 else ():
        if evidence.holds(lambda g, w, _, order=order: same(g.permute(order), w)):
            return f"The numbers are right, but the axes are exchanged: permute{order} makes it right."
    if evidence.holds(lambda g, w, _: g.ndim < w.ndim and same(g.expand_as(w), w)):
        return "The numbers are right as far as they go, and have to be repeated."
    return ""


def _on_a_diagonal(g: Tensor, w: Tensor) -> bool:
    """Whether the right numbers stand where two axes that are equally long have the same index."""
    lines = [
        g.diagonal(dim1=a, dim2=b).squeeze()
        for a, b in itertools.combinations(range(g.ndim), 2)
        if g.shape[a] == g.shape[b]
    ]
    wanted = w.squeeze()
    return any(
        line.ndim == wanted.ndim and same(line.permute(order), wanted)
        for line in lines
        for order in itertools.permutations(range(wanted.ndim))
    )


def _reduced(evidence: "Evidence") -> str:
    """A result with an axis too many, or with one that should have been left."""
    given, wanted, _ = evidence.pairs()[0]
    for told, reduce in REDUCERS.items():
        for n in (1, 2, 3):
            for axes in itertools.combinations(range(given.ndim), n):
                if evidence.holds(lambda g, w, _, r=reduce, a=axes: same(_over(r, g, a), w)):
                    names = _named(evidence, given, axes)
                    return f"One step is missing: {told.format(names)} of what you return would be right."
    for told, reduce in REDUCERS.items():
        for n in (1, 2, 3):
            for axes in itertools.combinations(range(wanted.ndim), n):
                if evidence.holds(lambda g, w, _, r=reduce, a=axes: same(g, _over(r, w, a))):
                    names = " and ".join(f"dimension {a}{_letter(evidence, a)}" for a in axes)
                    loop = ", an index or a `return` inside the loop" if " along " in told else ""
                    return f"It is {told.format(names)} of what is wanted: leave that out{loop}."
    return ""


def _over(reduce, t: Tensor, axes: tuple[int, ...]) -> Tensor:  # type: ignore[no-untyped-def]
    for axis in sorted(axes, reverse=True):
        t = reduce(t, axis)
    return t


def _letter(evidence: "Evidence", axis: int) -> str:
    names = evidence.axes.get("", [])
    return f" ({names[axis]})" if axis < len(names) else ""


def _named(evidence: "Evidence", given: Tensor, axes: tuple[int, ...]) -> str:
    """Axes of what was given, with their letters where the sizes tell."""
    letters = names_of(evidence)
    return " and ".join(
        f"dimension {a}" + (f" ({letters[a]})" if a < len(letters) and letters[a] else "") for a in axes
    )


def names_of(evidence: "Evidence") -> list[str]:
    """The letters of the given result's axes as far as sizes tell them apart in all cases; "" for "
    "the others."""
    pairs = evidence.pairs()
    if len({g.ndim for g, _, _ in pairs}) != 1:
        return []
    found = []
    for axis in range(pairs[0][0].ndim):
        fits = [
            letter
            for letter in evidence.sizes(pairs[0][2])
            if all(g.shape[axis] == evidence.sizes(case)[letter] for g, _, case in pairs)
        ]
        if len(fits) != 1:
            fits = ["1" if all(g.shape[axis] == 1 for g, _, _ in pairs) else ""]
        found.append(fits[0])
    return found


def _axes(evidence: "Evidence", g: Tensor, w: Tensor) -> str:
    """Which axes were kept that should have gone, and the other way round."""
    have, want = names_of(evidence), evidence.axes.get("", [])
    known = evidence.sizes(evidence.cases[0])
    if g.ndim == w.ndim and any(a not in known for a in want):
        return ""  # an axis that should be a little smaller is neither lost nor kept
    extra = [k for k, a in enumerate(have) if a not in want]
    if want and g.ndim > w.ndim and [a for a in have if a in want] == want and all(a in known for a in want):
        names = " and ".join(f"dimension {k}" + (f" ({have[k]})" if have[k] else "") for k in extra)
        return f"{', '.join(want)} are there. {_upper(names)} should be gone."
    if not want or have.count("") > sum(a not in known for a in want):
        return ""
    lost = [a for a in want if a not in have and a in known]
    kept = [a for a in have if a not in want and a not in ("", "1")]
    said = []
    if lost:
        said.append(f"{' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} gone and should be kept")
    if kept:
        said.append(
            f"{' and '.join(kept)} {'is' if len(kept) == 1 else 'are'} still there and should be gone"
        )
    if not said and sorted(have) == sorted(want) and have != want:
        return f"The axes come in the order {', '.join(have)}; wanted is {', '.join(want)}."
    text = ", ".join(said)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _border(evidence: "Evidence") -> str:
    """A result that is right but for a border, or for what is cut off."""

    w_ndim = evidence.pairs()[0][1].ndim

    def inner(big: Tensor, small: Tensor, up: int) -> Tensor:
        for axis, (b, s) in enumerate(zip(big.shape, small.shape, strict=True)):
            big = big.narrow(axis, (b - s + up) // 2, s)
        return big

    if w_ndim > 1 and any(evidence.holds(lambda g, w, _, up=up: same(inner(g, w, up), w)) for up in (0, 1)):
        return "There is a border of padding; what lies inside is right."
    if evidence.holds(lambda g, w, _: same(g, w[tuple(slice(n) for n in g.shape)])):
        return "What there is, is right; the end is missing."
    if evidence.holds(lambda g, w, _: same(g[tuple(slice(n) for n in w.shape)], w)):
        return "The beginning is right; there is more than is wanted."
    return ""


def _product(evidence: "Evidence", axis: int) -> str:
    """The axes of which this one has the product of sizes in all cases; nothing if none are known."""
    pairs = evidence.pairs()
    letters = list(evidence.sizes(pairs[0][2]))
    for n in (2, 3, 4):
        for chosen in itertools.combinations(letters, n):
            if all(
                g.shape[axis] == math.prod(evidence.sizes(case)[a] for a in chosen) for g, _, case in pairs
            ):
                return " · ".join(chosen)
    return ""


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _counted(evidence: "Evidence", g: Tensor, w: Tensor) -> str:
    """How the numbers of axes compare."""
    if w.ndim == 0 and all(given.numel() == 1 for given, _, _ in evidence.pairs()):
        return "The task asks for the number itself, not for a list that holds it."
    if w.ndim == 0:
        return f"The task asks for one number, not for {g.numel() if g.numel() > 1 else 'several'}."
    if g.ndim != w.ndim:
        return (
            f"It has {g.ndim} axes, and should have {w.ndim}."
            if g.ndim
            else "The task asks for more than one number."
        )
    if evidence.holds(lambda g, w, _: g.shape != w.shape and sorted(g.shape) == sorted(w.shape)):
        order = next(o for o in itertools.permutations(range(g.ndim)) if g.permute(o).shape == w.shape)
        return f"Axes are exchanged, as permute{order} shows; the numbers differ as well."
    off = [k for k in range(w.ndim) if g.shape[k] != w.shape[k]]
    names = [f"dimension {k}{_letter(evidence, k)}" for k in off]
    if len(off) == 1 and (size := _product(evidence, off[0])):
        return (
            f"{_upper(names[0])} has {size} numbers. "
            "Which of these axes should be gone, or is the window wrong?"
        )
    return f"{_upper(' and '.join(names))} {'has' if len(off) == 1 else 'have'} the wrong size."
