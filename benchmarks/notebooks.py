"""Each notebook's time and peak memory, beside a notebook that only imports torch and matplotlib.

The time goes from starting the kernel to the end of the last cell. Below: how long importing takes, in
processes of their own. "to floor": as a multiple of the floor notebook's, or of `import torch`.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import nbformat
import psutil
from nbclient import NotebookClient
from nbformat import NotebookNode

from benchmarks.measure import Row, compare, interleave, report, seconds

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
FLOOR = "import matplotlib\nimport torch"
IMPORTS = ["import torch", "import torch, seblock", "import seblock.blocks", "import torch, seblock.plots"]


class Lesson(NamedTuple):
    """What one run of a notebook took: seconds, and bytes of its kernel."""

    seconds: float
    first_picture: float | None
    """Seconds until the first cell with a picture was done; None without a picture."""
    peak: int
    share: int
    """Memory at the end, what several processes use shared out among them (PSS; without Linux, RSS)."""


def memory(pid: int) -> tuple[int, int]:
    """A process's peak resident memory and its present share of memory, in bytes.

    Only Linux tells both. Windows tells the peak; elsewhere what is resident now stands for either.
    """
    process = Path(f"/proc/{pid}")
    if process.exists():
        lines = (process / "status").read_text().splitlines()
        lines += (process / "smaps_rollup").read_text().splitlines()
        kilobytes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
        return 1024 * int(kilobytes["VmHWM"]), 1024 * int(kilobytes["Pss"])
    resident = psutil.Process(pid).memory_info()
    return getattr(resident, "peak_wset", resident.rss), resident.rss


async def lesson(path: Path, together: asyncio.Barrier | None = None) -> Lesson:
    """Run a notebook in a kernel of its own and store nothing. Raises nbclient's errors if a cell fails.

    With `together`, memory is read when everyone is done, and before anyone has left.
    """
    nb = nbformat.read(path, as_version=4)
    together = together or asyncio.Barrier(1)
    start, pictures = time.perf_counter(), []

    def note(cell: NotebookNode, **_: object) -> None:
        if any("image/png" in output.get("data", {}) for output in cell.get("outputs", [])):
            pictures.append(time.perf_counter() - start)

    client = NotebookClient(
        nb,
        kernel_name="python3",
        timeout=1200,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],
        on_cell_executed=note,
    )
    async with client.async_setup_kernel():
        for i, cell in enumerate(nb.cells):
            await client.async_execute_cell(cell, i)
        taken = time.perf_counter() - start
        await together.wait()
        peak, share = memory(client.km.provisioner.pid)
        await together.wait()
    return Lesson(taken, pictures[0] if pictures else None, peak, share)


def lessons(notebooks: Sequence[Path], rounds: int) -> list[Row]:
    """A row for the floor, for each notebook, and for the median of the notebooks."""
    with tempfile.TemporaryDirectory() as folder:
        floor = Path(folder) / "floor.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(FLOOR)]), floor)
        asyncio.run(lesson(floor))  # the files' first reading
        runs = interleave(
            {path.stem: lambda path=path: asyncio.run(lesson(path)) for path in (floor, *notebooks)}, rounds
        )
    times = {name: [run.seconds for run in all_runs] for name, all_runs in runs.items()}
    peaks = {name: median(run.peak / 1e6 for run in all_runs) for name, all_runs in runs.items()}
    rows = [
        {"what": name, "seconds": median(times[name])}
        | compare(times[name], times["floor"], to="floor")
        | {"peak MB": peaks[name], "peak to floor": peaks[name] / peaks["floor"]}
        for name in runs
    ]
    middle: Row = {"what": "median of the notebooks"}
    middle |= {
        key: median(row[key] for row in rows[1:])
        for key in ("seconds", "to floor", "peak MB", "peak to floor")
    }
    return [*rows, middle]


def imports(rounds: int) -> list[Row]:
    """A row for each of IMPORTS, in fresh processes."""

    def run(statement: str) -> float:
        return seconds(partial(subprocess.run, [sys.executable, "-c", statement], check=True))

    calls = {statement: partial(run, statement) for statement in IMPORTS}
    interleave(calls, rounds=1)  # the files' first reading
    times = interleave(calls, rounds)
    return [
        {"what": statement, "seconds": median(taken)} | compare(taken, times[IMPORTS[0]], to="floor")
        for statement, taken in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each notebook (default: 3)")
    parser.add_argument("--import-rounds", type=int, default=15, help="processes an import (default: 15)")
    options = parser.parse_args()
    rows = lessons(NOTEBOOKS, options.rounds) + imports(options.import_rounds)
    report("notebooks", rows, rounds=options.rounds, import_rounds=options.import_rounds)


if __name__ == "__main__":
    main()
