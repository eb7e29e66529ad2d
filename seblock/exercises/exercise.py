"""What every exercise does: run the answer, compare it with the solution, and say what it looks like.

To add one: in the file of its notebook, make an `Exercise` from a solution, the cases that it is tried
on, and one function for each mistake that is to be recognised; import it in `__init__.py`; in the notebook,
write the stub, the call and the folded solution. The tests find it there.
"""

import copy
import dis
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Case = tuple[Any, ...]
Outcome = Tensor | Exception


def _stub() -> None: ...


def _instructions(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    return [(step.opname, step.argval) for step in dis.get_instructions(function)]


def _is_stub(answer: Callable[..., Any]) -> bool:
    """Whether the function holds nothing but a docstring, `...` or `pass`."""
    return inspect.isfunction(answer) and _instructions(answer) == _instructions(_stub)


def _same(ours: Outcome, theirs: Outcome) -> bool:
    """Whether two results agree to float tolerance; two errors agree as well."""
    if isinstance(ours, Exception) or isinstance(theirs, Exception):
        return isinstance(ours, Exception) and isinstance(theirs, Exception)
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def _shown(argument: Any) -> str:
    """A tensor by its shape, anything else as Python writes it."""
    if isinstance(argument, Tensor):
        return str(tuple(argument.shape))
    if isinstance(argument, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(value)}" for key, value in argument.items()) + "}"
    return repr(argument)


@dataclass(frozen=True)
class Verdict:
    """What the check says of an answer. kind: not attempted, right, mistake, wrong or error."""

    kind: str
    text: str


@dataclass(frozen=True)
class Exercise:
    """A check that a learner calls with a function: `check_squeeze(my_squeeze)` prints a sentence.

    solution: the right function. cases: the arguments it is tried on, first the plainest.
    mistakes: what to tell, and a function that makes this mistake, at least four.
    right: what to say of a right answer. hint: what to add where an answer raises.
    view: turns an answer's result and its arguments into the numbers that count, where they are not the
    result itself.
    """

    solution: Callable[..., Any]
    cases: Sequence[Case]
    mistakes: dict[str, Callable[..., Any]]
    right: str
    hint: str = ""
    view: Callable[..., Any] = lambda result, *_: result

    def __call__(self, answer: Callable[..., Any]) -> None:
        """Print the verdict on `answer`. Never raises because of it."""
        print(self.verdict(answer).text)

    def verdict(self, answer: Callable[..., Any]) -> Verdict:
        """Judge `answer` by what it returns, not by how it is written."""
        if not callable(answer):
            return Verdict("error", "Hand over the function itself, by its name and without calling it.")
        if _is_stub(answer):
            return Verdict(
                "not attempted", "Not attempted yet: fill in the function, then run this cell again."
            )

        outcomes = []
        for case in self.cases:
            outcome, kept = self._outcome(answer, case)
            if isinstance(outcome, NotImplementedError):
                return Verdict("not attempted", "Not attempted yet: the function raises NotImplementedError.")
            if not kept and not isinstance(outcome, Exception):
                note = "Your function changes its argument in place; whoever called it did not expect that."
                return Verdict("mistake", f"Not yet. {note} Work on a new tensor.")
            outcomes.append(outcome)

        expected = [self._outcome(self.solution, case)[0] for case in self.cases]
        if all(map(_same, outcomes, expected)):
            return Verdict("right", f"Right. {self.right}")
        for told, mistaken in self.mistakes.items():
            theirs = [self._outcome(mistaken, case)[0] for case in self.cases]
            alike = list(map(_same, outcomes, theirs))
            if all(alike) and not all(isinstance(o, Exception) for o in outcomes):
                return Verdict("mistake", f"Not yet. {told}")
        return self._unknown(outcomes, expected)

    def _outcome(self, function: Callable[..., Any], case: Case) -> tuple[Outcome, bool]:
        """The numbers that the function gives for a case, and whether it left its arguments alone."""
        arguments = copy.deepcopy(case)
        try:
            result = function(*arguments)
            if result is None:
                raise ValueError("the function returned None; is a `return` missing?")
            kept = all(
                torch.equal(a, b)
                for a, b in zip(arguments, case, strict=True)
                if isinstance(a, Tensor) and isinstance(b, Tensor)
            )
            return torch.as_tensor(self.view(result, *case)).detach().double(), kept
        except Exception as error:  # a learner's function may raise anything
            return error, True

    def _unknown(self, outcomes: list[Outcome], expected: list[Outcome]) -> Verdict:
        """Say something useful about a wrong answer that no listed mistake explains."""
        first = next(i for i, pair in enumerate(zip(outcomes, expected, strict=True)) if not _same(*pair))
        given, wanted = outcomes[first], expected[first]
        names = inspect.signature(self.solution).parameters  # some may have defaults that no case gives
        arguments = zip(names, self.cases[first], strict=False)
        where = ", ".join(f"{name} = {_shown(value)}" for name, value in arguments if not callable(value))
        where = f"for {where}" if where else "as it is"
        if isinstance(given, Exception):
            cause = f"{type(given).__name__}: {given}".splitlines()[0][:200]
            return Verdict("error", f"Not yet. Called {where}, it raised {cause}. {self.hint}".rstrip())
        assert isinstance(wanted, Tensor)
        if given.shape != wanted.shape:
            text = f"The result has shape {tuple(given.shape)} {where}, expected {tuple(wanted.shape)}."
            if given.numel() == wanted.numel() and _same(given.flatten(), wanted.flatten()):
                text = f"The numbers are right, their shape is not. {text}"
            return Verdict("wrong", f"Not yet. {text}")
        if not given.isfinite().all():
            return Verdict("wrong", f"Not yet. The result holds numbers that are not finite {where}.")
        if not self.cases[first]:
            return Verdict("wrong", "Not yet. What it returns does not do what the task asks for.")
        if wanted.numel() == 1:
            return Verdict(
                "wrong", f"Not yet. {where} it gives {given.item():g}; expected {wanted.item():g}."
            )
        gap = (given - wanted).abs().max()
        text = f"{where} the largest difference is {float(gap):.2g}."
        if first:
            text = f"Some cases are right, this one is not: {text}"
        pairs = zip(outcomes, expected, strict=True)
        ratios = [
            g / w for g, w in pairs if isinstance(g, Tensor) and isinstance(w, Tensor) and g.shape == w.shape
        ]
        factors = torch.cat([r.flatten() for r in ratios])
        factors = factors[factors.isfinite() & (factors != 0)]
        if (
            len(ratios) == len(outcomes)
            and len(factors) > 1
            and _same(factors, factors[:1].expand_as(factors))
        ):
            text += f" Every number is {float(factors[0]):.2g} times what it should be."
        return Verdict("wrong", f"Not yet. {text}")


def seeded(*shapes: tuple[int, ...], seed: int = 0) -> Case:
    """Random tensors of these shapes, standard normal, the same every time."""
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=draw) for shape in shapes)
