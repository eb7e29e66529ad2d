"""What a reader has done so far: kept in one small file beside the notebooks, shown as a table.

The file is `.progress.json` in the folder that the notebook runs in; SEBLOCK_PROGRESS in the environment
names another one, and "off" keeps nothing. It leaves the machine only if somebody hands it in.
"""

import html
import importlib
import json
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

NOTEBOOKS = {
    "00 start here": "start",
    "01 convolution": "convolution",
    "02 entanglement": "entanglement",
    "03 squeeze": "squeeze",
    "04 excitation": "excitation",
    "05 rescale": "rescale",
    "06 two implementations": "implementations",
    "07 residual block": "residual_block",
    "08 gradients": "gradients",
    "09 context decides": "context",
    "10 CIFAR-10": "cifar10",
    "11 text scanner": "scanner",
    "12 one dimmer?": "one_dimmer",
    "13 what came after?": "beyond",
    "14 speed": "speed",
}
"""The notebooks in their order, and the module of `seblock.exercises` that holds the exercises of each."""

WAIT = 2.0
"""Seconds to wait while another kernel writes; after that this one try goes unrecorded."""

Done = dict[str, bool]
"""The exercises that were tried, by the name of their check, and whether an answer was ever right."""


class Table(NamedTuple):
    """A table that shows itself in a notebook, and as plain text."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    below: str
    """A sentence to stand below it."""

    def __repr__(self) -> str:
        """Columns padded with spaces."""
        lines = [self.head, *self.rows]
        widths = [max(len(line[k]) for line in lines) for k in range(len(self.head))]
        padded = ["  ".join(word.ljust(w) for word, w in zip(line, widths, strict=True)) for line in lines]
        return "\n".join([*(line.rstrip() for line in padded), "", self.below])

    def _repr_html_(self) -> str:
        """A plain table without colours of its own, so that it fits a dark theme."""

        def row(words: Sequence[str]) -> str:
            first, *rest = (html.escape(word) for word in words)
            cells = "".join(f"<td>{word}</td>" for word in rest)
            return f'<tr><th scope="row" style="text-align: left">{first}</th>{cells}</tr>'

        head = "".join(f'<th scope="col">{html.escape(word)}</th>' for word in self.head)
        body = "".join(map(row, self.rows))
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        return f"{table}<p>{html.escape(self.below)}</p>"


def exercises_of(notebook: str) -> list[str]:
    """The names of a notebook's checks, in the order in which it asks for them."""
    from seblock.exercises.exercise import Exercise  # which imports this module

    module = importlib.import_module(f"seblock.exercises.{NOTEBOOKS[notebook]}")
    return [name for name, value in vars(module).items() if isinstance(value, Exercise)]


def progress_file() -> Path | None:
    """Where progress is kept; None if it is not to be kept."""
    named = os.environ.get("SEBLOCK_PROGRESS", ".progress.json")
    return None if named in ("", "off") else Path(named)


def read_progress(path: Path) -> Done:
    """What a progress file says. A missing or broken one says nothing."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))["exercises"]
        return {str(name): right for name, right in kept.items() if isinstance(right, bool)}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}


def record(name: str, right: bool) -> None:
    """Note that the check `name` was given an answer. Once right stays right. Never raises.

    Two kernels may write at once: each holds a lock while it reads, adds its own and replaces the file, so
    that a reader never meets half a file. Where nothing can be written, nothing is.
    """
    path = progress_file()
    if path is None:
        return
    try:
        with FileLock(f"{path}.lock", timeout=WAIT):
            done = read_progress(path)
            now = right or done.get(name, False)
            if done.get(name) is not now:  # else there is nothing new
                _replace(path, {**done, name: now})
    except (OSError, ValueError, Timeout, NotImplementedError):
        pass


def _replace(path: Path, done: Done) -> None:
    """Write a progress file in one step: a new one beside it takes its place."""
    text = json.dumps({"exercises": done}, indent=1, sort_keys=True) + "\n"
    handle, new = tempfile.mkstemp(prefix=".progress-", suffix=".tmp", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(new, path)
    except OSError:
        Path(new).unlink(missing_ok=True)
        raise


def progress() -> Table:
    """Show what is right, tried and open: a line for each notebook, a column for each of its exercises."""
    path = progress_file()
    done = read_progress(path) if path else {}
    names = {notebook: exercises_of(notebook) for notebook in NOTEBOOKS}
    columns = max(map(len, names.values()))
    state = {True: "right", False: "tried", None: "open"}
    rows = [
        [notebook, *(state[done.get(name)] for name in held), *[""] * (columns - len(held))]
        for notebook, held in names.items()
    ]
    head = ["exercise", *map(str, range(1, columns + 1))]
    states = [done.get(name) for held in names.values() for name in held]
    below = f"{states.count(True)} of {len(states)} right, {states.count(False)} tried and not right yet."
    return Table(head, rows, below)


def reset_progress() -> None:
    """Forget what was right and what was tried."""
    path = progress_file()
    if path is None:
        print("No progress is kept here.")
        return
    try:
        with FileLock(f"{path}.lock", timeout=WAIT):
            path.unlink(missing_ok=True)
    except (OSError, Timeout, NotImplementedError) as error:
        print(f"The progress could not be forgotten: {path} can't be removed ({type(error).__name__}).")
    else:
        print("All exercises are open again.")


def collect(files: Mapping[str, Path] | Iterable[Path]) -> Table:
    """Show the progress of many readers in one table: a line each, and how many are right in each notebook.

    files: the progress files that they handed in, by the reader's name; without names the file's own is
    taken, or its folder's where it is still called `.progress.json`. A broken file counts as nothing done.
    """
    if not isinstance(files, Mapping):
        files = {
            p.parent.resolve().name if p.name == ".progress.json" else p.stem: p for p in map(Path, files)
        }
    names = {notebook: exercises_of(notebook) for notebook in NOTEBOOKS}
    rows = []
    for reader, path in files.items():
        done = read_progress(path)
        right = [sum(done.get(name, False) for name in held) for held in names.values()]
        tried = sum(name in done for held in names.values() for name in held)
        rows.append([reader, *map(str, right), str(sum(right)), str(tried - sum(right))])
    head = ["right in", *(notebook[:2] for notebook in names), "all", "tried"]
    of = ["of", *(str(len(held)) for held in names.values()), str(sum(map(len, names.values()))), ""]
    return Table(head, [*rows, of], '"tried" counts what was tried and is not right yet.')
