"""What a function gave for one case: numbers that can be compared, or the reason why there are none."""

import inspect
import math
import types
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Case = tuple[Any, ...]


@dataclass(frozen=True)
class Verdict:
    """What the check says of an answer. kind: not attempted, right, mistake, wrong or error."""

    kind: str
    text: str


class NoNumbers(TypeError):
    """A result that is no number, with the end of a sentence that begins with "your function returns"."""


class Failure(Verdict):
    """An answer that gave no numbers, and why. kind: not attempted, mistake or error."""


Outcome = Tensor | Failure


def numbers(result: Any) -> Tensor:
    """What a function returned, as a tensor of doubles on the CPU.

    Lists and tuples of numbers, arrays and tensors will do. Raises NoNumbers for anything else.
    """
    if type(result).__module__.startswith("torch.return_types"):
        raise NoNumbers(_kind(result))
    if isinstance(result, Tensor):
        if result.is_complex():
            raise NoNumbers("complex numbers; real ones are wanted")
        if result.device.type == "meta":
            raise NoNumbers("a tensor on the device 'meta', which holds no numbers")
        return result.detach().to_dense().cpu().double()
    if isinstance(result, list | tuple):
        parts = [numbers(part) for part in result]
        if len({part.shape for part in parts}) > 1:
            shapes = ", ".join(str(tuple(part.shape)) for part in parts)
            raise NoNumbers(f"a {type(result).__name__} whose parts have different shapes: {shapes}")
        return torch.stack(parts) if parts else torch.zeros(0).double()
    try:
        array = np.asarray(result)
        if array.dtype.kind in "biuf":
            return torch.from_numpy(array.astype(np.float64))
    except Exception:  # asarray may call whatever the object defines
        pass
    raise NoNumbers(_kind(result))


def one_of(result: Any, wanted: Outcome) -> str:
    """What to say of a dict, where a single number is wanted; nothing of anything else."""
    if isinstance(result, dict) and isinstance(wanted, Tensor) and wanted.numel() == 1:
        return "a dict; one number is wanted: look up the one that belongs to the arguments"
    return ""


def _kind(result: Any) -> str:
    """What something is that is no number, in words, and what is usually behind it."""
    if type(result).__module__.startswith("torch.return_types"):
        return "values and indices together: with a dimension, PyTorch gives both; take .values or .indices"
    if isinstance(result, dict):
        return "a dict; return its values, as a tensor, a list or a tuple"
    if isinstance(result, str):
        try:
            float(result)
        except ValueError:
            return f"text, {result[:30]!r}; return the numbers themselves, not a text that shows them"
        return f"text, {result[:30]!r}; leave out the quotation marks"
    if isinstance(result, complex):
        return "a complex number; a real one is wanted"
    if isinstance(result, nn.Module):
        return f"a layer, {type(result).__name__}, and not what it computes: call it"
    if isinstance(result, types.GeneratorType):
        return (
            "a generator: there is a `yield`, or round brackets around a `for`; a list or a tensor is wanted"
        )
    if inspect.iscoroutine(result):
        result.close()
        return "a coroutine: leave out `async`"
    if callable(result):
        name = getattr(result, "__name__", type(result).__name__)
        return f"a function, {name}, and not what it computes: are its brackets missing?"
    if isinstance(result, map | zip | filter | range | set | frozenset):
        return f"a {type(result).__name__}; make it a list or a tensor"
    return f"a {type(result).__name__}, which holds no numbers that can be compared"


def alike(ours: Any, theirs: Any) -> bool:
    """Whether an argument is what it was, tensors within lists and dicts included; networks may change."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(theirs, Tensor):
        return torch.equal(ours, theirs)
    if isinstance(theirs, dict):
        return list(ours) == list(theirs) and all(alike(ours[key], theirs[key]) for key in theirs)
    if isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(alike, ours, theirs))
    return callable(theirs) or bool(ours == theirs)


def same(ours: Outcome, theirs: Outcome, exact: bool = False) -> bool:
    """Whether two results agree, to float tolerance unless `exact`; two failures agree.

    What a mistake makes of a count may be a fraction, which nobody gets to the last digit.
    """
    if isinstance(ours, Failure) or isinstance(theirs, Failure):
        return isinstance(ours, Failure) and isinstance(theirs, Failure)
    if ours.shape != theirs.shape:
        return False
    if exact:
        whole = torch.equal(theirs, theirs.round())
        return torch.equal(ours, theirs) if whole else torch.allclose(ours, theirs, rtol=1e-4)
    return torch.allclose(ours, theirs, rtol=1e-3, atol=1e-5, equal_nan=True)


def is_whole(result: Any) -> bool:
    """Whether a result counts something, so that it is right only if it is so exactly."""
    if isinstance(result, Tensor):
        return not result.is_floating_point()
    return isinstance(result, int)


def is_stub(answer: Callable[..., Any]) -> bool:
    """Whether the function holds nothing but a docstring, `...`, `pass` or a bare return."""
    import dis

    def instructions(function: Callable[..., Any]) -> list[tuple[str, Any]]:
        idle = ("RESUME", "NOP", "COPY_FREE_VARS")
        return [(s.opname, s.argval) for s in dis.get_instructions(function) if s.opname not in idle]

    return inspect.isfunction(answer) and instructions(answer) == instructions(_stub)


def _stub() -> None: ...


def shown(argument: Any) -> str:
    """A tensor by its shape, anything else as Python writes it."""
    if isinstance(argument, Tensor):
        return str(tuple(argument.shape))
    if isinstance(argument, dict):
        return "{" + ", ".join(f"{key!r}: {shown(value)}" for key, value in argument.items()) + "}"
    return repr(argument)


def ended(sentence: str) -> str:
    """The sentence with one full stop, or its question mark."""
    sentence = sentence.rstrip(". ")
    return sentence if sentence.endswith("?") else f"{sentence}."


def number(value: float, beside: float | None = None) -> str:
    """A number with as many digits as it takes to tell it from the one beside it, at least four."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "infinite"
    if value == round(value) and abs(value) < 1e15:
        return f"{value:.0f}"
    for digits in range(4, 12):
        text = f"{value:.{digits}g}"
        if beside is None or text != f"{beside:.{digits}g}":
            break
    return text
