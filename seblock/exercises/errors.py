"""An exception in a learner's function: the line where it happened, the shapes there, what is behind it."""

import ast
import inspect
import linecache
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np
from torch import Tensor

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


def told(error: BaseException, names: Sequence[str], arguments: Sequence[Any], hint: str = "") -> str:
    """An error in two or three sentences: the line, what stood there, what it means; if unknown, the hint."""
    frame, position = _place(error.__traceback__)
    if frame is None:
        why = cause(error, None) or hint
        pairs = ", ".join(
            f"{n} = {shown(a)}" for n, a in zip(names, arguments, strict=True) if not callable(a)
        )
        return f"For {pairs or 'these arguments'} your function raised {line(error)} {why}".rstrip()
    source = linecache.getline(frame.f_code.co_filename, position[0]).strip()
    part = _expression(frame, position)
    values = _values(part, frame) if part is not None else {}
    if not values:
        values = {n: v for n, v in frame.f_locals.items() if isinstance(v, Tensor) and n in source}
    why = cause(error, _Scene(part, values)) or hint
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


def calls(answer: Callable[..., Any], case: Sequence[Any], names: Sequence[str]) -> str:
    """The first of these functions of Python, NumPy or PyTorch that the answer itself calls, or nothing."""
    found: list[str] = []

    def watch(frame: FrameType, event: str, called: Any) -> None:
        """A function written in C is seen by its caller's frame, one in Python by its own."""
        in_library = frame.f_code.co_filename.startswith(_LIBRARIES)
        if event == "c_call" and not in_library:
            name, caller = called.__name__, frame
        elif event == "call" and in_library and frame.f_back:
            name, caller = frame.f_code.co_name, frame.f_back
        else:
            return
        if name in names and not caller.f_code.co_filename.startswith(_LIBRARIES):
            found.append(name)

    if not names:
        return ""
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        answer(*case)
    except Exception:
        pass
    finally:
        sys.setprofile(before)
    return found[0] if found else ""
