"""What the hub starts as the student: notebooks of their own, limits, then the student's Jupyter server."""

import fcntl
import glob
import hashlib
import json
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

RECORD = ".handed_out.json"
"""In the student's folder: the digests of what was copied to them, by the file's name in that folder."""
NEWER = "newer"
"""The folder in the student's folder that holds corrected notebooks, where the student's own is edited."""
NOTICE = "READ ME newer notebooks.md"
"""What tells the student of them, beside the notebooks."""
NOTICE_TEXT = f"""# Newer notebooks

These notebooks were corrected after you had begun to work in your copies. Yours are as you left them. The
newer ones are in the folder `{NEWER}`:

{{names}}
To take a newer one in place of yours, rename or delete yours; the newer one is there at your next login. If
you don't want it, delete it in `{NEWER}`. What you write in a notebook there is kept.
"""


def digest(path: Path) -> str:
    """What a file says, as a hash: a notebook that was run, but not edited, still says the same.

    So does one with Windows' line ends, or with an empty cell, as JupyterLab adds when the last cell is run.
    """
    said = path.read_bytes()
    if path.suffix == ".ipynb":
        try:
            cells = [
                (
                    cell["cell_type"],
                    "".join(cell["source"]).replace("\r\n", "\n"),
                    cell["metadata"].get("tags", []),
                )
                for cell in json.loads(said)["cells"]
            ]
            said = json.dumps([cell for cell in cells if cell[1].strip()]).encode()
        except (ValueError, KeyError, TypeError, AttributeError):
            pass  # the student's file is no notebook any more
    return hashlib.sha256(said).hexdigest()


def whole(path: Path) -> str:
    """A file with all that is in it, outputs too, as a hash."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def copy(path: Path, to: Path) -> None:
    """Copy a file; an interrupted copy leaves nothing that looks whole."""
    half = to.with_name(f".{to.name}.half")
    try:
        shutil.copyfile(path, half)
        half.rename(to)
    finally:
        half.unlink(missing_ok=True)


def lay_out(folder: Path) -> None:
    """Bring the notebooks in a student's folder up to date, without touching what the student edited.

    A notebook that is missing is copied, one that was not edited since is renewed. Of one that was edited the
    newer version comes into `NEWER`, once, and `NOTICE` tells the student. Where that fails, on a full disk
    say, the log tells and the server starts all the same: the student could not make room otherwise.
    """
    if not folder.parent.is_dir():
        sys.exit(f"{folder.parent} is not there: the account wants its home first.")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    try:
        record: dict[str, str] = dict(json.loads((folder / RECORD).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        record = {}
    told = []
    for path in sorted((*NOTEBOOKS.glob("[!.]*.ipynb"), *NOTEBOOKS.glob("colab.svg"))):
        try:
            told += [path.name] if bring(path, folder, record) else []
        except OSError as error:
            print(f"{path.name} was not brought up to date: {error}", file=sys.stderr)
    try:
        half = folder / f"{RECORD}.half"
        half.write_text(json.dumps(record, indent=1), encoding="utf-8")
        half.rename(folder / RECORD)
        if told:
            names = "".join(f"- [{name}]({NEWER}/{name})\n" for name in told)
            (folder / NOTICE).write_text(NOTICE_TEXT.format(names=names), encoding="utf-8")
        else:
            (folder / NOTICE).unlink(missing_ok=True)
    except OSError as error:
        print(f"What was handed out was not noted: {error}", file=sys.stderr)


def bring(path: Path, folder: Path, record: dict[str, str]) -> bool:
    """Bring one notebook up to date; whether the student is to be told of a newer one."""
    own, offered = folder / path.name, folder / NEWER / path.name
    own_key, offered_key, whole_key = path.name, f"{NEWER}/{path.name}", f"whole {path.name}"
    given = digest(path)
    begun = offered.is_file() and digest(offered) not in (record.get(offered_key), given)  # by the student
    if begun and not own.exists():
        offered.rename(own)
        record[own_key] = record.pop(offered_key, given)
        begun = False
    here = digest(own) if own.exists() and own.stat().st_size else None  # a full disk leaves empty files
    if here in (None, given, record.get(own_key)):
        if here != given or whole(own) == record.get(whole_key) != whole(path):
            copy(path, own)
        if whole(own) == whole(path):
            record[whole_key] = whole(path)
        record[own_key] = given
    elif given != record.get(own_key):
        if given != record.get(offered_key):
            (folder / NEWER).mkdir(exist_ok=True)
            if begun:
                names = (offered.with_stem(f"{offered.stem} yours {i}") for i in range(1, sys.maxsize))
                offered.rename(next(name for name in names if not name.exists()))
            copy(path, offered)
            record[offered_key] = given
        return offered.exists()  # to delete it is to decline
    record.pop(offered_key, None)
    if offered.is_file() and not begun:
        offered.unlink()
    return False


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
