"""Other programs that keep the cores busy while something is measured, as on a class's server.

Each runs convolutions and products of matrices, with two threads, until it is killed. Run as a program,
`python -m benchmarks.neighbours`, this file is one of them: it says so when it has begun, and ends when the
program that started it does, however that ends.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import torch

THREADS = 2
BUSY = "busy"
COMMAND = [sys.executable, "-m", "benchmarks.neighbours"]
Process = subprocess.Popen[str]


@contextmanager
def neighbours(number: int) -> Iterator[list[Process]]:
    """Start so many neighbours; all are at work when the `with` begins, and gone after it, error or not.

    Raises RuntimeError if one did not begin, or was gone before the end.
    """
    root = Path(__file__).parents[1]
    started: list[Process] = []
    try:
        for _ in range(number):
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
            started.append(subprocess.Popen(COMMAND, **pipes, text=True, cwd=root))
        if any(one.stdout.readline().strip() != BUSY for one in started if one.stdout):
            raise RuntimeError("a neighbour did not begin")
        yield started
        if any(one.poll() is not None for one in started):
            raise RuntimeError("a neighbour was gone before the end")
    finally:
        for one in started:
            with one:  # waits for it, and closes the pipes
                one.kill()


def work() -> None:
    """Compute until killed; say so after the first time."""
    torch.set_num_threads(THREADS)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    maps, filters, matrix = torch.randn(16, 64, 56, 56), torch.randn(64, 64, 3, 3), torch.randn(1024, 1024)
    for round_ in count():
        torch.conv2d(maps, filters, padding=1)
        matrix @ matrix
        if round_ == 0:
            print(BUSY, flush=True)


def _leave_with_parent() -> None:
    """Wait until the program that started this one closes the pipe, which its end does, too."""
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    work()
