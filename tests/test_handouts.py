"""What a class is handed: copies without solutions, the answers' book, the list of a wheelhouse."""

import importlib.util
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

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
