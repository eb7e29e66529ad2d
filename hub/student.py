"""What the hub starts as the student: notebooks of their own, limits, then the student's Jupyter server."""

import fcntl
import glob
import os
import resource
import shutil
import sys
import tempfile
from pathlib import Path

MEMORY_MB = os.environ.get("SEBLOCK_MEMORY_MB", "2000")
"""What each process may allocate; torch and the longest notebook fit in."""
CPU_SECONDS = os.environ.get("SEBLOCK_CPU_SECONDS", "1800")
"""What each process may compute before it is ended: an endless loop ends, a server lasts for days."""
PROCESSES = os.environ.get("SEBLOCK_PROCESSES", "400")
"""Processes and threads of one account; a kernel has about 15."""

FOLDER = "squeeze-and-excitation"
"""Where a student's copies lie, in the home. Not "seblock": Python would take that folder for the package."""

NOTEBOOKS = Path(os.environ.get("SEBLOCK_NOTEBOOKS") or Path(__file__).resolve().parents[1] / "notebooks")
"""What is handed out: this project's notebooks, or those that `make student` wrote, without solutions."""


def lay_out(folder: Path) -> None:
    """Copy the notebooks that are not there: what a student changed stays, what they deleted comes again."""
    if not folder.parent.is_dir():
        sys.exit(f"{folder.parent} is not there: the account wants its home first.")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    for path in (*NOTEBOOKS.glob("*.ipynb"), NOTEBOOKS / "colab.svg"):
        if not (folder / path.name).exists():
            half = folder / f".{path.name}.half"  # so that an interrupted copy is made again
            shutil.copyfile(path, half)
            half.rename(folder / path.name)


def runtime(name: str) -> str:
    """A fresh folder, closed to others, for the kernels' sockets, whose paths must stay below 108 bytes."""
    start = f"seblock-{name}-"
    for old in Path("/tmp").glob(glob.escape(start) + 8 * "?"):  # mkdtemp's, and of no longer name
        shutil.rmtree(old, ignore_errors=True)  # one server a student: nobody needs it; others' stay
    folder = tempfile.mkdtemp(prefix=start, dir="/tmp")
    kept = os.open(folder, os.O_RDONLY)  # locked as long as the server lives: systemd-tmpfiles passes it over
    fcntl.flock(kept, fcntl.LOCK_SH)
    os.set_inheritable(kept, True)
    return folder


def limit(kind: int, most: str, unit: int = 1) -> None:
    """Soft and hard, so that no student raises it again; "" is no limit."""
    if most:
        resource.setrlimit(kind, (int(most) * unit, int(most) * unit))


if __name__ == "__main__":
    os.umask(0o077)
    lay_out(Path.home() / FOLDER)
    limit(resource.RLIMIT_DATA, MEMORY_MB, 10**6)
    limit(resource.RLIMIT_CPU, CPU_SECONDS)
    limit(resource.RLIMIT_NPROC, PROCESSES)
    limit(resource.RLIMIT_CORE, "0")
    os.nice(5)  # the hub, the proxy and whoever administers the machine come first
    if Path("/proc/self/oom_score_adj").exists():  # if memory runs out all the same, a student's process goes
        Path("/proc/self/oom_score_adj").write_text("500")
    os.environ["JUPYTER_RUNTIME_DIR"] = runtime(os.environ["USER"])
    os.environ["OMP_NUM_THREADS"] = "1"
    # -P: a random.py in the student's home is not Python's.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "jupyterhub.singleuser", *sys.argv[1:]])
