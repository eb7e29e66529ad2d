"""Students on one JupyterHub, in Chromium: they learn at the same time, and none is in another's way.

`make whole` has eight, twice: all in one account, as somebody has it who tries the hub out, and with a system
account each, made as root with CI set and removed again. `make hub-test` has two, with an account each if it
may make them, else in one.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Browser

from benchmarks import measure
from benchmarks.notebooks import memory
from hub.student import FOLDER
from hub.tests.running import LIMITS, OURS, ROOT, Hub, accounts, running
from integration.browser import lab
from integration.browser.watching import NOTEBOOKS, WHOLE, Watched, watched

pytest_plugins = ["integration.browser.conftest"]

CI = bool(os.environ.get("CI"))
AS_ROOT = os.geteuid() == 0
TOGETHER, APART = "one account", "an account each"
HUBS = [TOGETHER, APART] if WHOLE else [APART] if AS_ROOT else [TOGETHER]
LESSON = next(path for path in NOTEBOOKS if path.stem == "03_squeeze")
STUDENTS = [f"{OURS}{number}" for number in range(1, 9 if WHOLE else 3)]
TEACHER, GROUP = f"{OURS}teacher", f"{OURS}class"
A, B = STUDENTS[:2]
MEMORY, CPU, PROCESSES = (int(value) for value in LIMITS.values())
IN_TIME = 10
"""Seconds in which B's kernel answers, whatever A does."""
MINUTES = 10

OPENED = """
import json, pathlib, socket
def opened(path):
    try:
        if path.is_socket():
            socket.socket(socket.AF_UNIX).connect(str(path))
        else:
            list(path.iterdir()) if path.is_dir() else path.open("rb").read(1)
        return True
    except (PermissionError, FileNotFoundError):
        return False
print(json.dumps([path for path in {paths} if opened(pathlib.Path(path))]))
"""
LISTENS = """
import zmq
socket = zmq.Context.instance().socket(zmq.SUB)
socket.subscribe(b"")
for port in {ports}:
    socket.connect(f"tcp://127.0.0.1:{{port}}")
print("heard" if socket.poll(8000) else "nothing")
socket.close(0)
"""
ASKS = """
import urllib.request, urllib.error
try:
    print(urllib.request.urlopen("{url}").read())
except urllib.error.HTTPError as error:
    print(error.code)
"""
HUNGER = {
    "bytes": "kept = []\nwhile len(kept) < {megabytes} // 100:\n    kept.append(b'x' * 10**8)",
    "torch": "import torch\nkept = []\n"
    "while len(kept) < {megabytes} // 100:\n    kept.append(torch.ones(10**8 // 4))",
}
MANY = """
import subprocess
children = []
try:
    while len(children) < {most}:
        children.append(subprocess.Popen(["sleep", "600"]))
except BlockingIOError:
    print("stopped")
for child in children:
    child.kill()
    child.wait()
"""


@pytest.fixture(scope="session")
def passwords() -> Iterator[dict[str, str]]:
    """Accounts for all and their passwords, where they may be made: as root with CI set. Elsewhere none."""
    if not AS_ROOT:
        yield {}
        return
    if not CI:
        pytest.skip(
            "As root this test makes system accounts for a while; it wants to be asked: make hub-test CI=1"
        )
    with accounts([*STUDENTS, TEACHER], GROUP) as made:
        python = [sys.executable, "-c", "import jupyterhub, seblock; open(seblock.__file__)"]
        as_student = ["runuser", "-u", TEACHER, "--", *python]
        tried = subprocess.run(as_student, cwd="/", capture_output=True, text=True)
        if tried.returncode:
            pytest.fail(
                f"Students' accounts cannot run {sys.executable}. Clone into a folder that everybody may "
                "enter, and name a Python that everybody may run: make hub-test HUB_PYTHON=/usr/bin/python3\n"
                + tried.stderr
            )
        yield made


@pytest.fixture(scope="module", params=HUBS)
def hub(
    request: pytest.FixtureRequest, passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    """A running hub, nobody logged in yet."""
    # A root's temporary folder is closed to others itself: the teacher's home is not.
    place = (Path(f"~{TEACHER}").expanduser() if AS_ROOT else tmp_path_factory.mktemp("hub")) / "own"
    if request.param == APART:
        if not AS_ROOT:
            pytest.skip("Only root can make an account for each student and start servers in it.")
        with running(place.with_name("apart"), passwords, {"SEBLOCK_GROUP": GROUP}) as started:
            yield started
        return
    settings = {"SEBLOCK_PASSWORD": "a class on one server"}
    everyone = dict.fromkeys(STUDENTS, settings["SEBLOCK_PASSWORD"])
    with running(place, everyone, settings, owner=TEACHER if AS_ROOT else None) as started:
        yield started


@pytest.fixture(scope="module")
def seen(chromium: Browser, hub: Hub) -> Iterator[dict[str, Watched]]:
    """Each student's page with the lesson, which all have opened, and then run, at the same moment."""
    contexts = {name: chromium.new_context(viewport={"width": 1280, "height": 720}) for name in STUDENTS}
    found = {name: watched(context, hub.home) for name, context in contexts.items()}
    start = time.perf_counter()
    for name, one in found.items():
        hub.log_in(name, one.page, LESSON.name)
    for one in found.values():
        lab.wait_until_idle(one.page)
    ready = time.perf_counter()
    for one in found.values():
        lab.start_all(one.page)
    for one in found.values():
        lab.wait_until_run(one.page, seconds=MINUTES * 60)
    end = time.perf_counter()
    weights = [hub.megabytes(name) for name in STUDENTS]
    row = {
        "hub": APART if hub.apart else TOGETHER,
        "students": len(STUDENTS),
        "MB a student": sum(weights) / len(weights),
        "MB of hub and proxy": hub.megabytes(),
        "CPU s a student": sum(hub.cpu_seconds(name) for name in STUDENTS) / len(STUDENTS),
        "lesson open after s": ready - start,
        "run after s": end - ready,
    }
    hub.measured = row
    for name in (A, B):
        hub.start(name)
    yield found
    for context in contexts.values():
        context.close()


@pytest.fixture
def meanwhile(hub: Hub, seen: dict[str, Watched]) -> Iterator[list[float]]:
    """B's kernel is asked something again and again until A's is done, and after the test all is well."""
    yield (waits := [])
    assert max(waits, default=0) < IN_TIME, "B waited too long"
    assert hub.ask(A, "print(6 * 7)") == "42\n"
    assert hub.ask(B, "print(6 * 7)") == "42\n"


def together(hub: Hub, code: str, waits: list[float], seconds: float) -> tuple[str, str]:
    """Run it in A's kernel and ask B's meanwhile. How A's ended, and what it said."""
    hub.tell(A, code)
    deadline = time.monotonic() + seconds
    while True:
        start = time.monotonic()
        assert hub.ask(B, "print(sum(range(10**6)))") == "499999500000\n"
        waits.append(time.monotonic() - start)
        if hub.pages[A].evaluate("() => window.ended"):
            return hub.answer(A, seconds=1)
        assert time.monotonic() < deadline, f"A's kernel still runs after {seconds} s"
        time.sleep(0.5)


def test_all_run_the_lesson_at_the_same_time(
    hub: Hub, seen: dict[str, Watched], capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = json.loads(LESSON.read_text(encoding="utf-8"))["cells"]
    outputs = [out for cell in cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]
    # A live figure that was run is in the place of its picture.
    figures = sum("live" in out["metadata"].get("image/png", {}) for out in outputs)
    stored = len(outputs) - figures
    assert stored
    for one in seen.values():
        assert lab.outcries(one.page) == []
        assert lab.pictures_missing(one.page, stored) == []
        assert one.page.locator(f"{lab.NOTEBOOK} .live").count() == figures
        assert one.foreign == set()
    monkeypatch.setattr(measure, "RESULTS", ROOT / "build" / "hub")
    with capsys.disabled():
        print()
        measure.report("accounts" if hub.apart else "shared", [hub.measured])


@pytest.mark.parametrize("hub", [APART], indirect=True)
def test_nobody_reads_anothers_files(hub: Hub, seen: dict[str, Watched]) -> None:
    home = Path(f"~{B}").expanduser()
    hub.ask(B, f"for path in ('{home}/note', '/tmp/{B}'): print('mine', file=open(path, 'w'))")
    (runtime,) = (path for path in Path("/tmp").glob(f"seblock-{B}-*") if path.owner() == B)
    given = {path.name for path in Path("/etc/skel").iterdir()}
    own = [path for top in home.iterdir() if top.name not in given for path in (top, *top.rglob("*"))]
    own += [runtime, *runtime.rglob("*")]
    assert {home / "note", home / FOLDER / LESSON.name} <= set(own)
    assert any(path.is_socket() for path in own)
    assert any(path.match("kernel-*.json") for path in own)
    own += [Path("/tmp") / B, *(Path(f"/proc/{process.pid}/environ") for process in hub.processes(B))]
    hubs = [hub.folder, *hub.folder.rglob("*")]
    assert {"jupyterhub.sqlite", "jupyterhub_cookie_secret"} <= {path.name for path in hubs}
    hubs += [Path(f"/proc/{process.pid}/environ") for process in hub.processes()]

    def opened(name: str, paths: list[Path]) -> list[str]:
        return json.loads(hub.ask(name, OPENED.format(paths=[str(path) for path in paths])))

    assert not [path for path in {*map(str, own)} - {*opened(B, own)} if Path(path).exists()]
    assert opened(A, own) == []
    assert opened(A, hubs) == []


def ports(processes: list[psutil.Process]) -> set[int]:
    """Where they listen."""
    found = [c for process in processes for c in process.net_connections("inet")]
    return {c.laddr.port for c in found if c.status == psutil.CONN_LISTEN}


def test_nobody_hears_what_anothers_kernel_prints(hub: Hub, seen: dict[str, Watched]) -> None:
    hub.tell(A, LISTENS.format(ports=sorted(ports(hub.processes(B)))))
    for _ in range(8):
        time.sleep(0.5)
        hub.ask(B, "print('mine')")
    assert hub.answer(A, seconds=30) == ("done", "nothing\n")


def test_nobody_asks_anothers_server(hub: Hub, seen: dict[str, Watched]) -> None:
    (port,) = ports([process for process in hub.processes(B) if "singleuser" in " ".join(process.cmdline())])
    url = f"http://127.0.0.1:{port}/user/{B}/api/contents/{LESSON.name}"
    assert hub.ask(A, ASKS.format(url=url)) == "403\n"


@pytest.mark.parametrize("hub", [TOGETHER], indirect=True)
@pytest.mark.parametrize("name", [f"{A[:-1]}*", f"{A}/..", 40 * "a"])
def test_a_name_that_would_be_more_than_a_name_is_refused(hub: Hub, chromium: Browser, name: str) -> None:
    page = chromium.new_page()
    page.goto(f"http://{hub.home}/hub/login")
    page.locator("#username_input").fill(name)
    page.locator("#password_input").fill(hub.passwords[A])
    page.locator("#login_submit").click(no_wait_after=True)
    page.locator(".login_error").wait_for()
    page.close()


def test_a_crash_stays_with_its_student(hub: Hub, meanwhile: list[float]) -> None:
    assert together(hub, "import os\nos.abort()", meanwhile, seconds=60)[0] == "died"


@pytest.mark.parametrize("kind", HUNGER)
def test_hunger_for_memory_ends_at_the_limit(hub: Hub, meanwhile: list[float], kind: str) -> None:
    ended, said = together(hub, HUNGER[kind].format(megabytes=3 * MEMORY), meanwhile, seconds=120)
    assert ended == "done"
    assert "allocate memory" in said or "MemoryError" in said
    # Beside what a process allocates there are the libraries' own pages, which it shares with the others.
    assert max(memory(process.pid)[0] for process in hub.processes(A)) / 1e6 < MEMORY + 500
    assert hub.ask(A, "del kept") == ""


@pytest.mark.parametrize("hub", [APART], indirect=True)
def test_more_and_more_processes_end_at_the_limit(hub: Hub, meanwhile: list[float]) -> None:
    assert together(hub, MANY.format(most=2 * PROCESSES), meanwhile, seconds=60) == ("done", "stopped\n")


def test_an_endless_loop_ends(hub: Hub, meanwhile: list[float]) -> None:
    assert together(hub, "while True:\n    pass", meanwhile, seconds=5 * CPU)[0] == "died"
