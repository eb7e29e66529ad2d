"""An exception in a learner's function: the line where it happened, the shapes there, what is behind it."""

import ast
import inspect
import linecache
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Protocol

import numpy as np
from torch import Tensor
from torch.overrides import TorchFunctionMode

from seblock.exercises.causes import cause
from seblock.exercises.outcome import shown

_OURS = str(Path(__file__).parents[1])
_LIBRARIES = tuple({_OURS, *(sysconfig.get_paths()[key] for key in ("stdlib", "purelib", "platlib"))})


def signature(answer: Callable[..., Any], names: Sequence[str], case: Sequence[Any]) -> str:
    """What to tell of a function that cannot be called with these arguments, or nothing."""
    try:
        takes = inspect.signature(answer)
    except (TypeError, ValueError):  # some functions written in C do not say what they take
        return ""
    try:
        takes.bind(*case)
    except TypeError:
        given = _listed(names) or "nothing"
        own = _listed([str(parameter) for parameter in takes.parameters.values()]) or "nothing"
        return f"The check calls your function with {given}, and it takes {own}."
    return ""


def _listed(words: Sequence[str]) -> str:
    """a, b and c."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


class Advice(Protocol):
    """What an exercise has to add to an error: by words of the line, and where nothing else is known."""

    @property
    def notes(self) -> Mapping[str, str]: ...

    @property
    def hint(self) -> str: ...


def told(error: BaseException, names: Sequence[str], arguments: Sequence[Any], advice: Advice) -> str:
    """An error in two or three sentences: the line, what stood there, what it means; if unknown, the hint."""
    frame, position = _place(error.__traceback__)
    if frame is None:
        why = cause(error, None) or advice.hint
        pairs = ", ".join(
            f"{n} = {shown(a)}" for n, a in zip(names, arguments, strict=True) if not callable(a)
        )
        return f"For {pairs or 'these arguments'} your function raised {line(error)} {why}".rstrip()
    source = linecache.getline(frame.f_code.co_filename, position[0]).strip()
    part = _expression(frame, position)
    values = _values(part, frame) if part is not None else {}
    if not values:
        values = {n: v for n, v in frame.f_locals.items() if isinstance(v, Tensor) and n in source}
    note = next((note for words, note in advice.notes.items() if words in source), "")
    why = note or cause(error, _Scene(part, values)) or advice.hint
    there = f"In line {position[0] - _before(frame)}"
    if source:
        there += f", `{source if len(source) <= 70 else source[:67] + '...'}`"
    what = _listed([f"{name} is {_described(value)}" for name, value in list(values.items())[:3]])
    return f"{there}{', ' + what if what else ''}: {line(error)} {why}".rstrip()


class _Scene:
    """The expression that failed and the values that stood in it, by their text."""

    def __init__(self, part: ast.expr | None, values: dict[str, Any]) -> None:
        self.part, self.values = part, values

    def nothing(self) -> str:
        """The text of a value that was None, if there is just one."""
        none = [name for name, value in self.values.items() if value is None]
        return none[0] if len(none) == 1 else ""

    def pairs(self) -> str:
        """The text of a value that `sort` or `max` gave with its indices, if there is one."""
        return next((n for n, v in self.values.items() if type(v).__module__ == "torch.return_types"), "")


def _place(trace: TracebackType | None) -> tuple[FrameType | None, tuple[int, int, int, int]]:
    """The innermost frame of the learner's own code, and where in its file: line, last line, columns."""
    found: TracebackType | None = None
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith((*_LIBRARIES, "<frozen", "<__array")):
            found = trace
        trace = trace.tb_next
    if found is None:
        return None, (0, 0, 0, 0)
    places = list(found.tb_frame.f_code.co_positions())
    known = places[found.tb_lasti // 2] if found.tb_lasti >= 0 else (None,) * 4
    _, last, left, right = known
    return found.tb_frame, (found.tb_lineno, last or found.tb_lineno, left or 0, right or 0)


def _before(frame: FrameType) -> int:
    """How many lines to leave out, so that lines count from the top of the cell, or else of the function."""
    name = frame.f_code.co_filename
    in_cell = "ipykernel" in name or name.startswith("<ipython") or not Path(name).exists()
    return 0 if in_cell else frame.f_code.co_firstlineno - 1


def _expression(frame: FrameType, position: tuple[int, int, int, int]) -> ast.expr | None:
    """The expression that was being computed."""
    first, last, left, right = position
    lines = [linecache.getline(frame.f_code.co_filename, n) for n in range(first, last + 1)]
    if not any(lines):
        return None
    data = [text.encode() for text in lines]  # columns count bytes
    data[-1] = data[-1][:right]
    data[0] = data[0][left:]
    try:
        return ast.parse("(" + b"".join(data).decode() + ")", mode="eval").body
    except (SyntaxError, ValueError):
        return None


_PLAIN: tuple[type[ast.AST], ...] = (
    *(ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Slice, ast.Tuple, ast.Load),
    *(ast.UnaryOp, ast.USub, ast.BinOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.MatMult),
)
"""What an expression may hold that is computed once more: nothing that calls a function."""


def _values(part: ast.expr, frame: FrameType) -> dict[str, Any]:
    """The values that the expression was made of, by their text: those that can be had without a call."""
    found: dict[str, Any] = {}

    def look(node: ast.AST, whole: bool) -> None:
        if not any(isinstance(n, ast.Name) for n in ast.walk(node)):
            return
        if not whole and isinstance(node, ast.expr) and all(isinstance(n, _PLAIN) for n in ast.walk(node)):
            text = ast.unparse(node)
            try:
                value = eval(text, frame.f_globals, dict(frame.f_locals))
            except Exception:
                pass
            else:
                if value is None or isinstance(
                    value, Tensor | np.ndarray | list | tuple | dict | int | float
                ):
                    found[text] = value
                    return
                if not isinstance(node, ast.Attribute):
                    return
        children = [node.value] if isinstance(node, ast.Attribute) else ast.iter_child_nodes(node)
        for child in children:
            look(child, False)

    look(part, True)
    return found


def _described(value: Any) -> str:
    """A value by its shape, its length or itself."""
    if isinstance(value, Tensor | np.ndarray):
        return str(tuple(value.shape))
    if type(value).__module__ == "torch.return_types":
        return "values and indices together"
    if isinstance(value, list | tuple) and not (len(value) <= 4 and all(isinstance(v, int) for v in value)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, dict):
        return f"a dict with {_listed(list(map(repr, value)))}" if value else "an empty dict"
    return repr(value)[:40]


def line(error: BaseException) -> str:
    """An error in one line, whatever its author did."""
    try:
        message = str(error).strip()
    except Exception:
        message = ""
    text = message.splitlines()[0][:160] if message else ""
    return f"{type(error).__name__}: {text}".rstrip(": ").rstrip(".") + "."


SPOKEN = {"mul": "*", "matmul": "@"}
"""What operators are called, by the names of their functions."""


class Rules(NamedTuple):
    """What the task says of the way. forbidden: functions that the answer itself may not call.

    required: functions one of which has to be called. sealed: arguments that may go into nothing else.
    """

    forbidden: Sequence[str] = ()
    required: Sequence[str] = ()
    sealed: Sequence[str] = ()


class _Watch(TorchFunctionMode):
    """Notes which functions of PyTorch are called, operators included, and which are given sealed tensors."""

    def __init__(self, sealed: Mapping[str, Any]) -> None:
        super().__init__()
        self.sealed, self.all, self.own = sealed, set[str](), set[str]()
        self.given: list[tuple[str, str]] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name == "__get__" and func.__self__.__name__ in _TURNED:
            name = "transpose"
        self.all.add(name)
        if not sys._getframe(1).f_code.co_filename.startswith(_LIBRARIES):
            self.own.add(name)
        values = (*args, *(kwargs or {}).values())
        self.given += [(s, name) for s, t in self.sealed.items() if any(value is t for value in values)]
        return func(*args, **(kwargs or {}))


_TURNED = ("T", "mT", "H", "mH")
"""What is written like an attribute, and turns a matrix over."""


_LOOKING = ("__get__", "size", "dim", "numel", "__len__")
"""Functions that only ask how large a tensor is."""


def broken(rules: Rules, answer: Callable[..., Any], names: Sequence[str], case: Sequence[Any]) -> str:
    """The rule that an answer breaks, as the end of a sentence that begins "the task asks for a way"."""
    found: list[str] = []

    def watch(frame: FrameType, event: str, called: Any) -> None:
        """A function written in C is seen by its caller's frame, one in Python by its own."""
        if event == "c_call" and not frame.f_code.co_filename.startswith(_LIBRARIES):
            found.append(called.__name__)
        elif event == "call" and frame.f_back:
            file, caller = frame.f_code.co_filename, frame.f_back.f_code.co_filename
            own = getattr(getattr(answer, "__code__", None), "co_filename", "")
            if file != own and not caller.startswith(_LIBRARIES):  # a helper of the learner's own is theirs
                found.append(frame.f_code.co_name)

    if not any(rules):
        return ""
    before = sys.getprofile()
    with _Watch({n: v for n, v in zip(names, case, strict=True) if n in rules.sealed}) as seen:
        sys.setprofile(watch)
        try:
            answer(*case)
        except Exception:
            pass
        finally:
            sys.setprofile(before)
    for name in rules.forbidden:
        if name in found or name in seen.own:
            return f"without `{SPOKEN.get(name, name)}`"
    for sealed, name in seen.given:
        if name == "transpose":
            return f"in which {sealed} is not transposed"
        if name not in (*rules.required, *_LOOKING):
            needed = rules.required[0]
            return f"in which {sealed} goes into nothing but `{SPOKEN.get(needed, needed)}`"
    if rules.required and not seen.all & set(rules.required):
        return f"with `{SPOKEN.get(rules.required[0], rules.required[0])}`"
    return ""
