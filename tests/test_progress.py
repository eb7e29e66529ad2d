"""The file that keeps what a reader has done: what it shows, and that nothing breaks it or a check."""

import importlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from seblock import exercises
from seblock.exercises import Exercise

kept = importlib.import_module("seblock.exercises.progress")  # the package shows a function of that name


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where progress is kept in this test: beside the notebook, whose folder is empty."""
    monkeypatch.delenv("SEBLOCK_PROGRESS")
    monkeypatch.chdir(tmp_path)
    return tmp_path / ".progress.json"


def line(notebook: str) -> list[str]:
    """The words of a notebook's line in the table."""
    (found,) = [row for row in exercises.progress().rows if row[0] == notebook]
    return [word for word in found[1:] if word]


def test_what_was_tried_and_what_was_right_stand_in_the_table(file: Path) -> None:
    assert set(line("03 squeeze")) == {"open"}
    first, second = kept.exercises_of("03 squeeze")[:2]
    kept.record(first, False)
    kept.record(second, True)
    assert line("03 squeeze")[:2] == ["tried", "right"]
    kept.record(first, True)
    kept.record(first, False)
    assert line("03 squeeze")[:2] == ["right", "right"], "once right stays right"
    assert exercises.progress().below.startswith("2 of ")
    assert json.loads(file.read_text())["exercises"] == {first: True, second: True}


def test_looking_and_resetting_write_nothing(file: Path) -> None:
    exercises.progress()
    assert not list(file.parent.iterdir())


def test_a_reset_forgets_all(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept.record("check_squeeze", True)
    exercises.reset_progress()
    exercises.reset_progress()
    assert not file.exists()
    assert capsys.readouterr().out == 2 * "All exercises are open again.\n"
    assert exercises.progress().below.startswith("0 of ")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"exercises": 3}', '{"exercises": {"a": 1}}', "[" * 10**5, "\0\xff"]
)
def test_a_broken_file_counts_as_none_and_is_mended(file: Path, text: str) -> None:
    file.write_text(text, encoding="latin-1")
    assert exercises.progress().below.startswith("0 of ")
    kept.record("check_squeeze", True)
    assert kept.read_progress(file) == {"check_squeeze": True}


def test_a_check_that_is_no_more_is_not_counted(file: Path) -> None:
    kept.record("check_of_an_older_version", True)
    assert exercises.progress().below.startswith("0 of ")


def test_where_nothing_can_be_written_nothing_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError("read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        kept.record("check_squeeze", True)
    assert not [path for path in file.parent.iterdir() if path.suffix != ".lock"]
    file.mkdir()  # a folder of that name
    kept.record("check_squeeze", True)
    assert exercises.progress().below.startswith("0 of ")
    monkeypatch.setenv("SEBLOCK_PROGRESS", str(file.parent / "no such folder" / "file"))
    kept.record("check_squeeze", True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_left_alone(file: Path) -> None:
    file.parent.chmod(0o500)
    try:
        kept.record("check_squeeze", True)
        assert exercises.progress().below.startswith("0 of ")
    finally:
        file.parent.chmod(0o700)


def test_a_lock_that_is_held_costs_one_record(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "WAIT", 0.05)
    with kept.FileLock(f"{kept.progress_file()}.lock"):
        writer = threading.Thread(target=kept.record, args=("check_squeeze", True))
        writer.start()
        writer.join()
    assert not file.exists()


def test_two_kernels_that_write_at_once_lose_nothing(file: Path) -> None:
    code = (
        "import sys; from seblock.exercises.progress import record\n"
        "for n in range(40): record(f'{sys.argv[1]} {n}', True)"
    )
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    kernels = [
        subprocess.Popen([sys.executable, "-c", code, name], cwd=file.parent, env=environment)
        for name in ("a", "b")
    ]
    assert [kernel.wait() for kernel in kernels] == [0, 0]
    assert len(kept.read_progress(file)) == 80


def test_off_keeps_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("SEBLOCK_PROGRESS", "off")
    kept.record("check_squeeze", True)
    exercises.reset_progress()
    assert "No progress is kept" in capsys.readouterr().out
    assert not list(file.parent.iterdir())


def test_the_table_reads_as_text_and_as_html_without_colours(file: Path) -> None:
    kept.record("check_squeeze", True)
    table = exercises.progress()
    (of_03,) = [text for text in repr(table).splitlines() if text.startswith("03 squeeze")]
    assert "right" in of_03
    assert "color" not in table._repr_html_()
    assert "<td>right</td>" in table._repr_html_()
    assert "&lt;b&gt;" in kept.Table(["<b>"], [], "")._repr_html_()


def test_a_class_s_files_make_one_table(
    file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from seblock.exercises.__main__ import main

    for reader, right in {"ada": True, "bob": False}.items():
        (file.parent / reader).mkdir()
        monkeypatch.setenv("SEBLOCK_PROGRESS", str(file.parent / reader / ".progress.json"))
        kept.record("check_squeeze", right)
    (file.parent / "eve.json").write_text("broken")
    paths = [file.parent / "ada" / file.name, file.parent / "bob" / file.name, file.parent / "eve.json"]
    monkeypatch.setattr(sys, "argv", ["exercises", *map(str, paths)])
    main()
    head, ada, bob, eve = (text.split() for text in capsys.readouterr().out.splitlines()[:4])
    column = head.index("03") - 1  # "right in" are two words
    assert [row[0] for row in (ada, bob, eve)] == ["ada", "bob", "eve"]
    assert [row[column] for row in (ada, bob, eve)] == ["1", "0", "0"]
    assert [row[-2:] for row in (ada, bob, eve)] == [["1", "0"], ["0", "1"], ["0", "0"]]


def test_every_exercise_stands_in_the_table_once() -> None:
    names = [name for notebook in kept.NOTEBOOKS for name in kept.exercises_of(notebook)]
    offered = [name for name, value in vars(exercises).items() if isinstance(value, Exercise)]
    assert sorted(names) == sorted(offered)
