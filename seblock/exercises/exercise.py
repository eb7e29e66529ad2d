"""What every exercise does: run the answer, compare it with the solution, and say what it looks like.

To add one: in the file of its notebook, make an `Exercise` from a solution, the cases that it is tried
on, and one function for each mistake that is to be recognised; import it in `__init__.py`; in the notebook,
write the stub, the call and the folded solution. The tests find it there.
"""

import contextlib
import copy
import inspect
import io
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from seblock.exercises import errors, known, limit, outcome, reasons
from seblock.exercises.outcome import Case, Failure, Outcome, Verdict
from seblock.exercises.progress import record

__all__ = ["Case", "Exercise", "seeded"]

TOO_LONG = "Not yet. {} your function had not ended after {:g} seconds. Does each of its loops end?"
NO_RULES = errors.Rules()
BROKEN = (
    "The check itself does not work, and that is not your function's fault. Restart the kernel and try again."
)
STILL_RUNNING = " It cannot be stopped from here: restart the kernel."


@dataclass(frozen=True)
class Exercise:
    """A check that a learner calls with a function: `check_squeeze(my_squeeze)` prints a sentence.

    solution: the right function. cases: the arguments it is tried on, first the plainest.
    right: what to say of a right answer. hint: what to add where an answer raises.
    mistakes: what to tell, and a function that makes this mistake.
    variant, slips: the solution as a function with one keyword for each of its steps, and for each step what
    to tell and what to put in its place. Two slips at once are recognised too.
    view: turns an answer's result and its arguments into the numbers that count, where they are not the
    result itself.
    shapes: the axes, as in "u (N, C, H, W), s (N, C) -> (N, C, H, W)". parts: what the numbers of a result
    are called, where there are two or more.
    kinds: names of kinds of cases and how to know one, to tell where an answer is right.
    reason: what can be seen of a wrong result, given it and its arguments, or nothing.
    notes: what to add where a line that raises holds these words.
    rules: which functions the task forbids or demands.
    """

    solution: Callable[..., Any]
    cases: Sequence[Case]
    right: str
    mistakes: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    variant: Callable[..., Any] | None = None
    slips: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    hint: str = ""
    view: Callable[..., Any] = reasons.as_it_is
    shapes: str = ""
    parts: Sequence[str] = ()
    kinds: Mapping[str, Callable[..., bool]] = field(default_factory=dict)
    reason: Callable[..., str] = lambda *_: ""
    notes: Mapping[str, str] = field(default_factory=dict)
    rules: errors.Rules = NO_RULES

    def __call__(self, *answer: Any) -> None:
        """Print the verdict on one answer. Never raises because of it."""
        if len(answer) != 1:
            print("Hand over one function, by its name: what stands in the brackets of the check.")
            return
        try:
            verdict = self.verdict(answer[0])
        except KeyboardInterrupt:
            print("Interrupted: the answer was not checked.")
            return
        print(verdict.text)
        if verdict.kind != "not attempted":
            self._record(verdict.kind == "right")

    def verdict(self, answer: Any) -> Verdict:
        """Judge `answer` by what it returns, not by how it is written."""
        if not callable(answer):
            return Verdict("error", "Hand over the function itself, by its name and without calling it.")
        if outcome.is_stub(answer):
            return Verdict(
                "not attempted", "Not attempted yet: fill in the function, then run this cell again."
            )
        if told := errors.signature(answer, self.names(), self.cases[0]):
            return Verdict("error", f"Not yet. {told}")
        # The learner's own random numbers go on as if unchecked.
        with torch.random.fork_rng(devices=[]), _usual_defaults():
            return _Trial(self, answer).verdict()

    def names(self) -> list[str]:
        """The arguments' names, those with defaults that no case gives left out."""
        return list(inspect.signature(self.solution).parameters)[: len(self.cases[0])]

    def known(self) -> Iterator[tuple[str, Callable[..., Any]]]:
        """Every mistake that has a name, and a function that makes it."""
        yield from self.mistakes.items()
        for step, slips in self.slips.items():
            for told, other in slips.items():
                yield told, self.with_slips({step: other})

    def with_slips(self, choice: Mapping[str, Any]) -> Callable[..., Any]:
        """The solution with other steps in the place of its own."""
        variant = self.variant
        assert variant is not None, "slips need a variant"
        return lambda *case: variant(*case, **choice)

    def outcome(self, function: Callable[..., Any], case: Case) -> Outcome:
        """The numbers that a function of ours gives for a case, or a failure."""
        with warnings.catch_warnings(action="ignore"):
            try:
                return outcome.numbers(self.view(function(*copy.deepcopy(case)), *case))
            except Exception:
                return Failure("error", "")

    def where(self, case: Case) -> str:
        """For which arguments, in words that can begin a sentence."""
        pairs = [(n, v) for n, v in zip(self.names(), case, strict=True) if not callable(v)]
        return (
            f"For {', '.join(f'{name} = {outcome.shown(value)}' for name, value in pairs)}"
            if pairs
            else "As it is,"
        )

    def _record(self, right: bool) -> None:
        """Note in the reader's progress that this exercise was tried."""
        from seblock import exercises  # which imports this module

        for name, value in vars(exercises).items():
            if value is self:
                record(name, right)


class _Trial:
    """One answer on its way to a verdict."""

    def __init__(self, check: Exercise, answer: Callable[..., Any]) -> None:
        self.check, self.answer = check, answer
        self.last: Any = None  # what the answer returned last, before it was made into numbers
        self.results: list[Any] = []

    def verdict(self) -> Verdict:
        """The verdict on an answer that is a function and no stub."""
        check = self.check
        given: list[Outcome] = []
        for case in check.cases:
            given.append(result := self.run(case))
            self.results.append(self.last)
            if isinstance(result, Failure) and result.kind != "error":
                return result
        try:
            wanted, exact = known.wanted(check)
        except Exception:
            return Verdict("error", BROKEN)
        if any(isinstance(w, Failure) for w in wanted):
            return Verdict("error", BROKEN)
        right = [outcome.same(g, w, exact) for g, w in zip(given, wanted, strict=True)]
        if all(right):
            case = copy.deepcopy(check.cases[0])
            if broken := errors.broken(check.rules, self.answer, check.names(), case):
                text = f"Not yet. The numbers are right, but the task asks for a way {broken}."
                return Verdict("mistake", text)
            return Verdict("right", f"Right. {check.right}")
        if not all(isinstance(g, Failure) for g in given):
            if told := known.matching(check, given, exact):
                return Verdict("mistake", f"Not yet. {told}")
        until = time.monotonic() + limit.PROBING

        def ask(case: Case) -> Outcome:
            if time.monotonic() > until:
                return Failure("error", "")
            with contextlib.redirect_stdout(io.StringIO()):  # what the answer prints was seen once
                return self.run(case)

        evidence = reasons.Evidence(check, ask, self.results, given, wanted, right, exact)
        first = right.index(False)
        failed = given[first]
        if isinstance(failed, Failure):
            return Verdict("error", f"Not yet. {reasons.some_right(evidence)}{failed.text}")
        return Verdict("wrong", f"Not yet. {reasons.explain(evidence)}")

    def run(self, case: Case) -> Outcome:
        """The numbers that the answer gives for a case, or why it gives none."""
        arguments, self.last = copy.deepcopy(case), None
        where = self.check.where(case)
        try:
            result = limit.limited(limit.SECONDS, self.answer, *arguments)
        except limit.OutOfTime as error:
            more = STILL_RUNNING if error.alive else ""
            return Failure("mistake", TOO_LONG.format(where, limit.SECONDS) + more)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a learner's function may raise anything
            if type(error) is NotImplementedError and not error.args:
                return Failure("not attempted", "Not attempted yet: the function raises NotImplementedError.")
            return Failure("error", errors.told(error, self.check.names(), arguments, self.check))
        self.last = result
        if result is None:
            why = "is a `return` missing?"
            if any(before is not None for before in self.results):
                why = "does every way through it end in a `return`?"
            return Failure("error", f"{where} your function returned None: {why}")
        if result is Ellipsis:
            return Failure("not attempted", "Not attempted yet: the function returns `...`.")
        for name, now, before in zip(self.check.names(), arguments, case, strict=True):
            if not outcome.alike(now, before):
                text = f"Your function changes {name} in place; whoever called it did not expect that."
                return Failure("mistake", f"Not yet. {text} Work on a new one.")
        try:
            return outcome.numbers(self.check.view(result, *case))
        except outcome.NoNumbers as error:
            what = outcome.one_of(result, known.wanted(self.check)[0][0]) or str(error)
            return Failure("error", f"{where} your function returns {outcome.ended(what)}")
        except Exception as error:
            text = f"your function returns a {type(result).__name__} that is of no use here"
            why = str(error) if isinstance(error, ValueError | TypeError) else errors.line(error)
            return Failure("error", f"{where} {text}: {outcome.ended(why)}")


@contextlib.contextmanager
def _usual_defaults() -> Iterator[None]:
    """New tensors are float32 on the CPU, as the cases are, and gradients kept, whatever is set elsewhere."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    torch.set_default_dtype(torch.float32)
    try:
        with torch.inference_mode(False), torch.enable_grad():
            with contextlib.nullcontext() if device.type == "cpu" else torch.device("cpu"):
                yield
    finally:
        torch.set_default_dtype(dtype)


def seeded(*shapes: tuple[int, ...], seed: int = 0) -> Case:
    """Random tensors of these shapes, standard normal, the same every time."""
    draw = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(shape, generator=draw, device="cpu", dtype=torch.float32) for shape in shapes)
