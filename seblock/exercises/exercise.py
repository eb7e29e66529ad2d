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


@dataclass(frozen=True)
class Verdict:
    """What the check says of an answer. kind: not attempted, right, mistake, wrong or error."""

    kind: str
    text: str


class Failure(Verdict):
    """An answer that gave no numbers, and why. kind: not attempted, mistake or error."""


Outcome = Tensor | Failure


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

        with torch.random.fork_rng(devices=[]):  # the learner's own random numbers go on as if unchecked
            return self._judge(answer)

    def _judge(self, answer: Callable[..., Any]) -> Verdict:
        """The verdict on an answer that is a function and no stub."""
        outcomes = [self._outcome(answer, case) for case in self.cases]
        for outcome in outcomes:
            if isinstance(outcome, Failure) and outcome.kind != "error":
                return outcome
        expected = [self._outcome(self.solution, case) for case in self.cases]
        if all(map(_same, outcomes, expected)):
            return Verdict("right", f"Right. {self.right}")
        if not all(isinstance(outcome, Failure) for outcome in outcomes):
            for told, mistaken in self.mistakes.items():
                if all(
                    _same(outcome, self._outcome(mistaken, case))
                    for outcome, case in zip(outcomes, self.cases, strict=True)
                ):
                    return Verdict("mistake", f"Not yet. {told}")
        first = next(i for i, pair in enumerate(zip(outcomes, expected, strict=True)) if not _same(*pair))
        given, wanted, where = outcomes[first], expected[first], self._where(self.cases[first])
        if isinstance(given, Failure):
            return Verdict("error", f"Not yet. {where} {given.text} {self.hint}".rstrip())
        assert isinstance(wanted, Tensor)
        before = "Some cases are right. " if first else ""
        return Verdict(
            "wrong", f"Not yet. {before}{where} {_difference(given, wanted)}{_factor(outcomes, expected)}"
        )

    def _outcome(self, function: Callable[..., Any], case: Case) -> Outcome:
        """The numbers that the function gives for a case, or why it gives none."""
        arguments = copy.deepcopy(case)
        try:
            result = function(*arguments)
        except (Exception, SystemExit) as error:  # a learner's function may raise anything
            if type(error) is NotImplementedError and not error.args:
                return Failure("not attempted", "Not attempted yet: the function raises NotImplementedError.")
            return Failure("error", f"your function raised {_told(error)}")
        if result is None:
            return Failure("error", "your function returned None: is a `return` missing?")
        if not _alike(arguments, case):
            text = "Your function changes its argument in place; whoever called it did not expect that."
            return Failure("mistake", f"Not yet. {text} Work on a new one.")
        try:
            return _numbers(self.view(result, *case))
        except Exception as error:
            return Failure(
                "error",
                f"your function returned a {type(result).__name__} that is of no use here: {_told(error)}",
            )

    def _where(self, case: Case) -> str:
        """For which arguments, in words that can begin a sentence."""
        names = inspect.signature(self.solution).parameters  # some may have defaults that no case gives
        pairs = [(name, value) for name, value in zip(names, case, strict=False) if not callable(value)]
        return (
            f"For {', '.join(f'{name} = {_shown(value)}' for name, value in pairs)}" if pairs else "As it is,"
        )


def _stub() -> None: ...


def _is_stub(answer: Callable[..., Any]) -> bool:
    """Whether the function holds nothing but a docstring, `...`, `pass` or a bare return."""

    def instructions(function: Callable[..., Any]) -> list[tuple[str, Any]]:
        idle = ("RESUME", "NOP", "COPY_FREE_VARS")
        return [(s.opname, s.argval) for s in dis.get_instructions(function) if s.opname not in idle]

    return inspect.isfunction(answer) and instructions(answer) == instructions(_stub)


def _numbers(result: Any) -> Tensor:
    """What a function returned, as a tensor of doubles on the CPU."""
    if isinstance(result, list | tuple) and result and all(isinstance(part, Tensor) for part in result):
        result = torch.stack(list(result))
    tensor = torch.as_tensor(result)
    if tensor.is_complex():
        raise TypeError("complex numbers")
    return tensor.detach().to_dense().cpu().double()


def _alike(ours: Any, theirs: Any) -> bool:
    """Whether arguments are what they were, tensors within lists and dicts included."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(theirs, Tensor):
        return torch.equal(ours, theirs)
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(_alike(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(_alike, ours, theirs))
    return callable(theirs) or bool(ours == theirs)


def _same(ours: Outcome, theirs: Outcome) -> bool:
    """Whether two results agree, to float tolerance or, for whole numbers, exactly; two failures agree."""
    if isinstance(ours, Failure) or isinstance(theirs, Failure):
        return isinstance(ours, Failure) and isinstance(theirs, Failure)
    if torch.equal(theirs, theirs.round()):
        return torch.equal(ours, theirs)
    return ours.shape == theirs.shape and torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def _difference(given: Tensor, wanted: Tensor) -> str:
    """How a result differs from the right one, as the end of a sentence."""
    if given.shape != wanted.shape:
        text = f"your function returns shape {tuple(given.shape)}, expected is {tuple(wanted.shape)}."
        if given.numel() == wanted.numel() and _same(given.flatten(), wanted.flatten()):
            text += " The numbers are right."
        return text
    if not given.isfinite().all():
        return "your function returns numbers that are not finite."
    if wanted.numel() == 1:
        return f"your function returns {given.item():.10g}, expected is {wanted.item():.10g}."
    return f"the largest difference from what is expected is {float((given - wanted).abs().max()):.2g}."


def _factor(outcomes: list[Outcome], expected: list[Outcome]) -> str:
    """A sentence if all numbers are off by one common factor, else nothing."""
    pairs = [
        (given, wanted)
        for given, wanted in zip(outcomes, expected, strict=True)
        if isinstance(given, Tensor) and isinstance(wanted, Tensor) and given.shape == wanted.shape
    ]
    if len(pairs) < len(outcomes):
        return ""
    given, wanted = (torch.cat([pair[k].flatten() for pair in pairs]) for k in (0, 1))
    factor = (given @ wanted) / (wanted @ wanted)
    if len(given) < 2 or abs(factor) < 1e-3 or abs(factor - 1) < 1e-2 or not _same(given, factor * wanted):
        return ""
    return f" Every number is {float(factor):.2g} times what it should be."


def _told(error: BaseException) -> str:
    """An error in one line, whatever its author did."""
    try:
        message = str(error).strip()
    except Exception:
        message = ""
    line = message.splitlines()[0][:200] if message else ""
    return f"{type(error).__name__}: {line}".rstrip(": ").rstrip(".") + "."


def _shown(argument: Any) -> str:
    """A tensor by its shape, anything else as Python writes it."""
    if isinstance(argument, Tensor):
        return str(tuple(argument.shape))
    if isinstance(argument, dict):
        return "{" + ", ".join(f"{key!r}: {_shown(value)}" for key, value in argument.items()) + "}"
    return repr(argument)


def seeded(*shapes: tuple[int, ...], seed: int = 0) -> Case:
    """Random tensors of these shapes, standard normal, the same every time."""
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=draw) for shape in shapes)
