"""What a class is handed: copies without solutions, the answers' book, a wheelhouse's list, the hub's copies.

Students at work on the hub, in a browser: hub/tests.
"""

import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from traitlets.config import Config

if sys.platform == "linux":
    import fcntl
    import resource

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def loaded(path: Path) -> ModuleType:
    """A tool, as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    """What `make student` and `make wheels` run."""
    return loaded(ROOT / "tools" / "handouts.py")


@pytest.fixture(scope="module")
def handed(tool: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make student` writes."""
    out = tmp_path_factory.mktemp("with a space") / "student"
    (out / "notebooks").mkdir(parents=True)
    (out / "notebooks" / "of_last_year.ipynb").touch()
    tool.student(out)
    return out


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_copy_is_the_notebook_without_solutions_and_outputs(
    tool: ModuleType, handed: Path, path: Path
) -> None:
    original, copy = tool.read(path), tool.read(handed / "notebooks" / path.name)
    solutions = [cell for cell in original if "solution" in cell["metadata"].get("tags", [])]
    hinted = [cell["id"] for cell in solutions if tool.hints(cell["source"])]
    kept = [cell for cell in original if cell not in solutions or cell["id"] in hinted]
    assert [cell["id"] for cell in copy] == [cell["id"] for cell in kept]
    for cell, whole in zip(copy, kept):
        hint = cell["id"] in hinted
        assert cell["source"] == (tool.hints(whole["source"]) if hint else whole["source"])
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None
    text = (handed / "notebooks" / path.name).read_text(encoding="utf-8")
    assert "<summary>Solution" not in text


def test_of_a_solution_students_get_the_hint(tool: ModuleType) -> None:
    fold = "<details><summary>{}</summary>\n\n{}\n\n</details>"
    hint, solution = fold.format("Hint", "Think."), fold.format("Solution", "42")
    assert tool.hints(f"{hint}\n{solution}") == hint
    assert tool.hints(solution) == ""
    second = fold.format("A second hint", "Think again.")
    assert tool.hints(f"{hint}\n{second}\n{solution}") == f"{hint}\n{second}"


def test_the_zip_holds_the_copies_and_no_answers(handed: Path) -> None:
    with zipfile.ZipFile(handed / "squeeze-and-excitation.zip") as packed:
        names = sorted(packed.namelist())
    assert names == sorted([*(path.name for path in NOTEBOOKS), "colab.svg"])


def test_the_book_answers_every_guess_and_every_exercise(tool: ModuleType, handed: Path) -> None:
    book = (handed / "answers.md").read_text(encoding="utf-8")
    cells = [cell for path in NOTEBOOKS for cell in tool.read(path)]
    guesses = [c for c in cells if c["cell_type"] == "markdown" and "**Guess.**" in c["source"]]
    solutions = [c for c in cells if tool.is_solution(c)]
    checks = [c for c in cells if c["cell_type"] == "code" and "exercises.check_" in c["source"]]
    assert book.count("*Right:* (") == book.count("**Guess.**") == len(guesses) > 40
    assert book.count("*Solution:*") == len(solutions) == len(checks) > 20
    assert not [cell["id"] for cell in checks if cell["source"] not in book]
    assert "<details>" not in book


def test_the_book_has_each_notebook_s_title_and_of_a_cell_the_task_alone(
    tool: ModuleType, handed: Path
) -> None:
    book = (handed / "answers.md").read_text(encoding="utf-8")
    titles = [f"#{tool.read(path)[0]['source'].partition(chr(10))[0]}" for path in NOTEBOOKS]
    told = re.findall(r"^## .*", book, re.MULTILINE)
    assert told == [title for title in titles if title in told]
    assert len(told) > 12


def test_the_right_answer_of_a_guess_is_the_one_whose_text_begins_so(tool: ModuleType) -> None:
    fold = "<details><summary>{}</summary>\n\n{}\n\n</details>"
    options = [fold.format("(a) one", "No: Right is another."), fold.format("(b) two", "Right. So it is.")]
    told = tool.guess("Before.\n\n**Guess.** Which?\n\n" + "\n".join(options))
    assert told == "**Guess.** Which?\n\n*Right:* (b) two.\n"
    assert tool.guess("No guess.") == ""


def test_links_of_the_book_lead_to_the_copies(handed: Path) -> None:
    book = (handed / "answers.md").read_text(encoding="utf-8")
    assert "](#" not in book
    targets = [part.partition(")")[0].partition("#")[0] for part in book.split("](")[1:]]
    local = [target for target in targets if target.endswith(".ipynb")]
    assert local
    assert not [target for target in local if not (handed / target).is_file()]


def test_the_hub_hands_out_what_it_is_told_to(handed: Path, tmp_path: Path) -> None:
    code = "import sys; from hub import student; student.lay_out(student.Path(sys.argv[1]))"
    folder = tmp_path / "home" / "work"
    folder.parent.mkdir()
    environment = {"SEBLOCK_NOTEBOOKS": str(handed / "notebooks")}
    subprocess.run([sys.executable, "-c", code, folder], check=True, cwd=ROOT, env=environment)
    names = {path.name for path in folder.iterdir()}
    assert names == {".handed_out.json", *(path.name for path in (handed / "notebooks").iterdir())}
    one = "01_convolution.ipynb"
    assert (folder / one).read_bytes() == (handed / "notebooks" / one).read_bytes()


def test_a_wheelhouse_is_asked_for_all_that_is_pinned_and_for_the_package(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pip itself is left out: a test has no network."""
    called: list[list[str]] = []
    (tmp_path / "seblock-1.2.2-py3-none-any.whl").touch()

    def run(command: list[object], check: bool) -> None:
        called.append([str(part) for part in command])
        if "wheel" in called[-1]:
            (tmp_path / "seblock-1.2.3-py3-none-any.whl").write_bytes(b"")
        else:
            assert "-e ." not in (tmp_path / "requirements.txt").read_text(encoding="utf-8")

    monkeypatch.setattr(subprocess, "run", run)
    tool.wheels(tmp_path, ["--retries", "0"])
    built, fetched = called
    assert "--no-deps" in built
    assert {"--only-binary", "--retries", tool.CPU} <= set(fetched)
    assert any(part.startswith("setuptools") for part in fetched)
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    listed = (tmp_path / "requirements.txt").read_text(encoding="utf-8")
    assert listed == pinned.replace("-e .", "seblock==1.2.3")
    assert [path.name for path in tmp_path.glob("seblock-*")] == ["seblock-1.2.3-py3-none-any.whl"]


# The hub


@pytest.fixture
def student() -> ModuleType:
    """What the hub starts as the student."""
    if sys.platform != "linux":
        pytest.skip("the hub is for Linux")
    return loaded(ROOT / "hub" / "student.py")


LESSON = "03_squeeze.ipynb"


def edit(path: Path, text: str) -> None:
    """Append to the first cell, as a reader or an author does."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"][0]["source"] = ["".join(notebook["cells"][0]["source"]), text]
    path.write_text(json.dumps(notebook), encoding="utf-8")


def run_again(path: Path) -> None:
    """Leave other outputs in it, and write the file in another way, as JupyterLab does when it saves."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=99)
    path.write_text(json.dumps(notebook, indent=2), encoding="utf-8")


@pytest.fixture
def handed_out(student: ModuleType, tmp_path: Path) -> tuple[Path, Path]:
    """The notebooks of a class that somebody may correct, and a student's copies."""
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    student.NOTEBOOKS = tmp_path / "notebooks"
    student.lay_out(tmp_path / student.FOLDER)
    return tmp_path / "notebooks", tmp_path / student.FOLDER


def test_a_students_work_is_never_overwritten_and_nobody_else_enters_its_folder(
    student: ModuleType, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / student.FOLDER
    with pytest.raises(SystemExit, match="the account wants its home first"):
        student.lay_out(folder)
    folder.parent.mkdir()
    student.lay_out(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    (folder / LESSON).write_text("my work")
    (folder / "00_start_here.ipynb").unlink()
    (folder / student.RECORD).write_text("[1]")  # no record any more
    student.lay_out(folder)
    assert (folder / LESSON).read_text() == "my work"
    names = {path.name for path in folder.iterdir()}
    shown = {student.NOTICE, student.NEWER}  # it can't be known whether the file was edited or corrected
    assert names == {*(path.name for path in NOTEBOOKS), "colab.svg", student.RECORD, *shown}


def test_a_copy_that_was_interrupted_leaves_what_was_there(
    student: ModuleType, handed_out: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = handed_out
    before = (theirs / LESSON).read_bytes()
    edit(ours / LESSON, "Corrected.")

    def stops(path: Path, to: Path) -> None:
        to.write_bytes(path.read_bytes()[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(student.shutil, "copyfile", stops)
    with pytest.raises(KeyboardInterrupt):
        student.lay_out(theirs)
    assert (theirs / LESSON).read_bytes() == before
    monkeypatch.undo()
    student.lay_out(theirs)
    assert (theirs / LESSON).read_bytes() == (ours / LESSON).read_bytes()


def test_a_corrected_notebook_renews_a_copy_that_was_run_but_not_edited(
    student: ModuleType, handed_out: tuple[Path, Path]
) -> None:
    ours, theirs = handed_out
    run_again(theirs / LESSON)
    student.lay_out(theirs)
    assert '"execution_count": 99' in (theirs / LESSON).read_text(encoding="utf-8")
    edit(ours / LESSON, "Corrected.")
    student.lay_out(theirs)
    assert (theirs / LESSON).read_bytes() == (ours / LESSON).read_bytes()
    assert not (theirs / student.NOTICE).exists()
    assert not (theirs / student.NEWER).exists()


@pytest.mark.parametrize("recorded", [True, False])
def test_of_an_edited_notebook_the_student_is_told_where_the_newer_one_is(
    student: ModuleType, handed_out: tuple[Path, Path], recorded: bool
) -> None:
    ours, theirs = handed_out
    if not recorded:  # copies from before there was a record
        (theirs / student.RECORD).unlink()
    edit(theirs / LESSON, "Mine.")
    before, notice = (theirs / LESSON).read_bytes(), theirs / student.NOTICE
    if recorded:
        student.lay_out(theirs)
        assert not notice.exists()
    newer = theirs / student.NEWER / LESSON
    for correction in ("Corrected.", "Corrected again."):
        edit(ours / LESSON, correction)
        student.lay_out(theirs)
        assert (theirs / LESSON).read_bytes() == before
        assert newer.read_bytes() == (ours / LESSON).read_bytes()
        assert f"({student.NEWER}/{LESSON})" in notice.read_text(encoding="utf-8")
        assert notice.read_text(encoding="utf-8").count("](") == 1
    newer.write_text("a look at it")  # the next login tells of it again, and leaves it as it is
    student.lay_out(theirs)
    assert newer.read_text() == "a look at it"
    assert notice.exists()
    newer.unlink()  # declined
    student.lay_out(theirs)
    assert not newer.exists()
    assert not notice.exists()
    edit(ours / LESSON, "A third time.")
    student.lay_out(theirs)
    assert newer.read_bytes() == (ours / LESSON).read_bytes()
    (theirs / LESSON).unlink()  # accepted
    student.lay_out(theirs)
    assert (theirs / LESSON).read_bytes() == (ours / LESSON).read_bytes()
    assert not newer.exists()
    assert not notice.exists()
    third = (ours / LESSON).read_bytes()
    edit(ours / LESSON, "A fourth time.")
    student.lay_out(theirs)
    edit(theirs / LESSON, "Mine again.")
    (ours / LESSON).write_bytes(third)  # what was once accepted is offered as anything else is
    student.lay_out(theirs)
    assert newer.read_bytes() == third


def test_what_a_student_writes_in_the_newer_notebook_is_kept(
    student: ModuleType, handed_out: tuple[Path, Path]
) -> None:
    ours, theirs = handed_out
    own, newer = theirs / LESSON, theirs / student.NEWER / LESSON
    edit(own, "Mine.")
    edit(ours / LESSON, "Corrected.")
    student.lay_out(theirs)
    edit(newer, "Mine, too.")
    edit(ours / LESSON, "Corrected again.")
    student.lay_out(theirs)
    assert newer.read_bytes() == (ours / LESSON).read_bytes()
    (kept,) = (path for path in newer.parent.iterdir() if path != newer)
    assert "Mine, too." in kept.read_text(encoding="utf-8")
    edit(newer, "And this.")
    own.unlink()  # the newer one is to take its place, with what is in it by now
    student.lay_out(theirs)
    assert "And this." in own.read_text(encoding="utf-8")
    assert not newer.exists()
    assert kept.exists()
    assert not (theirs / student.NOTICE).exists()


def windows_line_ends(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"]).replace("\n", "\r\n")
    path.write_bytes(json.dumps(notebook, indent=1).replace("\n", "\r\n").encode())


def add_empty_cell(path: Path) -> None:
    """As JupyterLab does when the last cell is run."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["cells"].append({"cell_type": "code", "id": "new", "metadata": {}, "outputs": [], "source": []})
    path.write_text(json.dumps(notebook), encoding="utf-8")


def lose_all(path: Path) -> None:
    """As saving does on a full disk."""
    path.write_bytes(b"")


@pytest.mark.parametrize(
    "change",
    [windows_line_ends, add_empty_cell, lose_all, lambda path: path.chmod(0o444), lambda path: path.unlink()],
)
def test_a_copy_without_an_edit_is_renewed_whatever_else_befell_it(
    student: ModuleType, handed_out: tuple[Path, Path], change: Callable[[Path], None]
) -> None:
    ours, theirs = handed_out
    change(theirs / LESSON)
    edit(ours / LESSON, "Corrected.")
    os.utime(ours / LESSON, (0, 0))  # by a clock that was set back
    student.lay_out(theirs)
    assert (theirs / LESSON).read_bytes() == (ours / LESSON).read_bytes()
    assert not (theirs / student.NOTICE).exists()


@pytest.mark.parametrize("tags", [False, True])
def test_other_outputs_or_tags_reach_a_copy_that_was_not_touched(
    student: ModuleType, handed_out: tuple[Path, Path], tags: bool
) -> None:
    ours, theirs = handed_out
    notebook = json.loads((ours / LESSON).read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if tags:
            cell["metadata"]["tags"] = ["hide-output"]
        elif cell["cell_type"] == "code":
            cell["outputs"] = []
    (ours / LESSON).write_text(json.dumps(notebook), encoding="utf-8")
    student.lay_out(theirs)
    assert (theirs / LESSON).read_bytes() == (ours / LESSON).read_bytes()


def test_a_correction_that_was_withdrawn_is_no_longer_offered(
    student: ModuleType, handed_out: tuple[Path, Path]
) -> None:
    ours, theirs = handed_out
    before = (ours / LESSON).read_bytes()
    edit(theirs / LESSON, "Mine.")
    edit(ours / LESSON, "Corrected.")
    student.lay_out(theirs)
    (ours / LESSON).write_bytes(before)
    student.lay_out(theirs)
    assert not (theirs / student.NEWER / LESSON).exists()
    assert not (theirs / student.NOTICE).exists()


@pytest.mark.parametrize("name", ["LESSON", "NEWER", "NOTICE", "RECORD"])
def test_a_server_starts_although_a_file_cannot_be_written(
    student: ModuleType, handed_out: tuple[Path, Path], capsys: pytest.CaptureFixture, name: str
) -> None:
    ours, theirs = handed_out
    name, other = {"LESSON": LESSON}.get(name) or getattr(student, name), "01_convolution.ipynb"
    edit(theirs / "02_entanglement.ipynb", "Mine.")
    if name == student.NEWER:
        (theirs / name).write_text("a file of the student's", encoding="utf-8")
    else:
        (theirs / name).unlink(missing_ok=True)
        (theirs / name).mkdir()
    for changed in (LESSON, other, "02_entanglement.ipynb"):
        edit(ours / changed, "Corrected.")
    student.lay_out(theirs)
    if name != student.RECORD:  # without it every copy might have been edited
        assert (theirs / other).read_bytes() == (ours / other).read_bytes()
    assert capsys.readouterr().err


def test_hidden_files_are_not_handed_out_and_the_picture_need_not_be_there(
    student: ModuleType,
    handed_out: tuple[Path, Path],
) -> None:
    ours, theirs = handed_out
    (ours / "._03_squeeze.ipynb").write_bytes(b"as macOS leaves it")
    (ours / "colab.svg").unlink()
    student.lay_out(theirs)
    assert not (theirs / "._03_squeeze.ipynb").exists()


def test_the_folder_of_sockets_is_fresh_closed_and_held_and_others_are_left(student: ModuleType) -> None:
    name = f"test[{os.getpid()}]"
    old, longer = (Path("/tmp") / f"seblock-{name}-{end}" for end in ("12345678", "2-12345678"))
    for folder in (old, longer):
        folder.mkdir()
    try:
        made = Path(student.runtime(name))
        assert not old.exists()
        assert longer.is_dir()
        assert made.stat().st_mode & 0o777 == 0o700
        assert len(str(made)) < 60
        there = os.open(made, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(there, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(there)
        (kept,) = [f for f in map(int, os.listdir("/proc/self/fd")) if leads_to(f) == str(made)]
        assert os.get_inheritable(kept)
        os.close(kept)
    finally:
        for folder in Path("/tmp").glob(f"seblock-test[[]{os.getpid()}]-*"):
            folder.rmdir()


def leads_to(number: int) -> str:
    """What an open file's number stands for; "" if it has been closed meanwhile."""
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except FileNotFoundError:
        return ""


SEES = """
import json, os, resource, runpy, sys

def see(path, arguments):
    kinds = ("DATA", "CPU", "NPROC", "CORE")
    limits = {kind: resource.getrlimit(getattr(resource, f"RLIMIT_{kind}")) for kind in kinds}
    told = [os.umask(0), os.nice(0), int(open("/proc/self/oom_score_adj").read())]
    told += [os.environ["JUPYTER_RUNTIME_DIR"], os.environ["OMP_NUM_THREADS"]]
    print(json.dumps([arguments, limits, *told]), flush=True)
    os._exit(0)

os.execv, before = see, os.nice(0)
print(before)
sys.argv = [sys.argv[1], "--port=1"]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("most", ["300", ""])
def test_a_students_server_starts_in_their_home_within_its_limits(
    student: ModuleType, tmp_path: Path, most: str
) -> None:
    given = {"HOME": str(tmp_path), "USER": f"test{os.getpid()}", "SEBLOCK_PROCESSES": most}
    command = [sys.executable, "-c", SEES, ROOT / "hub" / "student.py"]
    told = subprocess.run(command, env=given, check=True, capture_output=True, text=True).stdout
    before, seen = map(json.loads, told.splitlines())
    arguments, limits, umask, nice, score, runtime, threads = seen
    Path(runtime).rmdir()
    assert arguments == [sys.executable, "-P", "-m", "jupyterhub.singleuser", "--port=1"]
    assert limits["DATA"] == [2 * 10**9] * 2
    assert limits["CPU"] == [1800] * 2
    assert limits["CORE"] == [0, 0]
    own = list(resource.getrlimit(resource.RLIMIT_NPROC))
    assert limits["NPROC"] == ([300, 300] if most else own)
    assert (umask, nice, score, threads) == (0o077, min(19, before + 5), 500, "1")
    assert Path(runtime).name.startswith(f"seblock-test{os.getpid()}-")
    assert (tmp_path / student.FOLDER / LESSON).is_file()


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What JupyterHub reads from the hub's config, started as this account and in this environment."""
    if sys.platform != "linux":
        pytest.skip("the hub is for Linux")
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SEBLOCK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SEBLOCK_HUB", str(tmp_path / "own"))
    (tmp_path / "own").mkdir(0o755)
    real = Path.stat

    def start(account: int, owner: int = 0, **environment: str) -> Config:
        def stat(self: Path, **how: Any) -> os.stat_result:
            told = real(self, **how)
            return os.stat_result((*told[:4], owner, *told[5:]))

        config = Config()
        monkeypatch.setattr(os, "geteuid", lambda: account)
        monkeypatch.setattr(Path, "stat", stat)
        for name, value in environment.items():
            monkeypatch.setenv(f"SEBLOCK_{name}", value)
        mask = os.umask(0o022)
        try:
            runpy.run_path(str(ROOT / "hub" / "jupyterhub_config.py"), {"get_config": lambda: config})
        finally:
            assert os.umask(mask) == 0o077
        return config

    return start


def test_a_class_has_its_accounts_and_each_its_server(
    configured: Any, student: ModuleType, tmp_path: Path
) -> None:
    config = configured(0, MEMORY_MB="1500", NOTEBOOKS="handed", PROCESSES="99")
    assert config.JupyterHub.authenticator_class == "pam"
    assert config.JupyterHub.spawner_class == "localprocess"
    assert config.PAMAuthenticator.allowed_groups == {"students"}
    assert "SharedPasswordAuthenticator" not in config
    assert config.JupyterHub.bind_url == "http://127.0.0.1:8000"
    spawner = config.Spawner
    assert spawner.cmd == [sys.executable, str(ROOT / "hub" / "student.py")]
    assert spawner.notebook_dir == f"~/{student.FOLDER}"
    assert spawner.default_url.removeprefix("/lab/tree/") in {path.name for path in NOTEBOOKS}
    assert spawner.disable_user_config is True
    assert "--KernelManager.transport=ipc" in spawner.args
    idle = dict(re.findall(r"(\w+)=(\d+)", " ".join(spawner.args)))
    assert idle == {
        "cull_idle_timeout": "3600",
        "cull_inactive_timeout": "3600",
        "shutdown_no_activity_timeout": "7200",
    }
    handed = {"SEBLOCK_NOTEBOOKS": str(tmp_path / "handed")}
    assert spawner.environment == {"SEBLOCK_MEMORY_MB": "1500", "SEBLOCK_PROCESSES": "99", **handed}
    assert spawner.start_timeout == spawner.http_timeout == 300
    assert os.stat(tmp_path / "own").st_mode & 0o777 == 0o700
    assert Path.cwd() == tmp_path / "own"
    names = re.compile(config.Authenticator.username_pattern)
    assert all(names.match(name) for name in ("ada", "_b.c-2", "a" * 32))
    assert not any(names.match(name) for name in ("", "../ada", "Ada", "a/b", "-a", "a b", "a" * 33))
    assert configured(0, GROUP="physics").PAMAuthenticator.allowed_groups == {"physics"}


def test_a_hub_that_somebody_else_owns_does_not_start_as_root(configured: Any) -> None:
    with pytest.raises(SystemExit, match=r"Not root's: .*own, .*hub"):
        configured(0, owner=1000)


def test_to_try_the_hub_out_one_password_lets_everybody_in(configured: Any, tmp_path: Path) -> None:
    for password in ({}, {"PASSWORD": "seven 7"}):
        with pytest.raises(SystemExit, match="password of 8 or more"):
            configured(1000, 1000, **password)
    config = configured(1000, 1000, PASSWORD="eight 88", CPU_SECONDS="60", PROCESSES="99")
    assert config.JupyterHub.authenticator_class == "shared-password"
    assert config.JupyterHub.spawner_class == "simple"
    assert config.SharedPasswordAuthenticator.user_password == "eight 88"
    assert config.SharedPasswordAuthenticator.allow_all is True
    assert config.SimpleLocalProcessSpawner.home_dir_template == str(
        tmp_path / "own" / "homes" / "{username}"
    )
    limits = {"SEBLOCK_CPU_SECONDS": "60", "SEBLOCK_PROCESSES": ""}  # processes are counted by account
    assert config.Spawner.environment == limits
