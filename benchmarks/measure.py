"""What the benchmarks share: fair timing, peak memory, the least traffic, a table printed and written.

torch is imported where it is used: who weighs kernels must not share torch's memory with them.
"""

import csv
import os
import platform
import random
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from math import prod
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

import numpy as np
import psutil

RESULTS = Path(__file__).with_name("results")
K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
Row = dict[str, Any]

MAPS_MOVED = {"forward": 2, "forward + backward": 5}
"""How many times one map's bytes must pass at least: u read and x̃ written; then g and u read, grad u written.

Maps that do not stay in the cache between the mean and the product pass once more each way: 3 and 7.
"""


def interleave(calls: Mapping[K, Callable[[], T]], rounds: int) -> dict[K, list[T]]:
    """What each call returned in each round. Every round makes each call once, in an order of its own,
    so that a machine that is busy for a while slows all of them alike."""
    order, shuffle = list(calls), random.Random(0).shuffle
    returned: dict[K, list[T]] = {name: [] for name in calls}
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            returned[name].append(calls[name]())
    return returned


def synchronize(device: str) -> None:
    """Wait until the device has done what it was told; the processor always has."""
    if device != "cpu":
        import torch

        torch.cuda.synchronize()


def seconds(call: Callable[[], object], device: str = "cpu") -> float:
    """How long one call takes, freeing what it returns included."""
    start = time.perf_counter()
    call()
    synchronize(device)
    return time.perf_counter() - start


def fresh_memory() -> int:
    """Bytes that the system has cleared for this program so far, page by page as each was first touched.

    Memory that was given back and asked for again counts again. 0 on Windows.
    """
    try:
        import resource
    except ModuleNotFoundError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt * resource.getpagesize()


def resident_memory() -> int:
    """Bytes of memory that this program has at the moment."""
    resident: int = psutil.Process().memory_info().rss
    return resident


def peak_memory(call: Callable[[], object], device: str = "cpu") -> int:
    """Bytes allocated during the call at its worst moment, beyond what was there before."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would tell of its start and its end
    import torch
    from torch.profiler import ProfilerActivity, profile

    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        call()
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [e.nbytes() for e in sorted(events, key=lambda e: e.start_ns())]
    return int(np.cumsum([0, *changes]).max())


def bytes_moved(shape: Sequence[int], passes: str, itemsize: int = 4) -> int:
    """The least that a block must read and write for maps of this shape, (N, C, H, W), in bytes.

    Counts maps alone: z, s and the weights are small beside them but where maps are tiny.
    """
    return MAPS_MOVED[passes] * prod(shape) * itemsize


def interval(times: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Where the ratio of both medians lies 95 times in 100, by drawing the rounds anew (bootstrap).

    As many of both are taken to be of the same rounds, which are drawn together.
    """
    draws = np.random.default_rng(0)
    chosen = draws.integers(len(times), size=(2000, len(times)))
    of_others = chosen if len(times) == len(others) else draws.integers(len(others), size=(2000, len(others)))
    ratios = np.median(np.array(times)[chosen], axis=1) / np.median(np.array(others)[of_others], axis=1)
    low, high = np.quantile(ratios, [0.025, 0.975])
    return float(low), float(high)


def compare(times: Sequence[float], others: Sequence[float], to: str, of: str = "") -> Row:
    """Cells of a row: the ratio of the medians, and the interval that the rounds' noise leaves it.

    of: what their columns begin with.
    """
    low, high = interval(times, others)
    return {f"{of}to {to}": median(times) / median(others), f"{of}from": low, f"{of}up to": high}


def facts() -> Row:
    """What the figures depend on: the machine and the versions."""
    import torch

    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "machine": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        **gpu,
    }


def text(value: object) -> str:
    """A cell: three significant digits of a number below 100, none of a larger one behind the point."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "" if value is None else str(value)


def report(name: str, rows: Sequence[Row], **settings: Any) -> Path:
    """Print one table and write it as `results/NAME.csv`, machine and settings in its last columns."""
    header = list(dict.fromkeys(column for row in rows for column in row))
    cells = [header, *([text(row.get(column)) for column in header] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    known = facts() | settings
    print(", ".join(f"{key} {value}" for key, value in known.items()), end="\n\n")
    for line in cells:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*header, *known])
        writer.writerows([*line, *known.values()] for line in cells[1:])
    return path
