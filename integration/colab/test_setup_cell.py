"""The setup cell where it matters: an environment with Colab's versions, and no seblock yet.

`make colab` runs this file, then two notebooks, `make whole` all of them, with the package that was installed
here. The repository is a local one, which git is told to take for the address in the cell.
"""

import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FETCHED = {"seblock", "anywidget", "psygnal"}
WHERE = "import seblock.trained\nprint(seblock.__file__)"
WEIGHTS = "from seblock.trained import table, tensors\nprint(table('painting')[0], *tensors('painter_se'))"


def pip(*arguments: str) -> str:
    """What pip says in this environment."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def installed() -> dict[str, str]:
    """The version of every package here."""
    return {each["name"]: each["version"] for each in json.loads(pip("list", "--format=json"))}


ADDRESS = "https://git.example.org/of/it"


def setup_cell(address: str = f"git+{ADDRESS}") -> str:
    """The second cell of the first notebook, as it is for those who host it at an address."""
    source = str(nbformat.read(NOTEBOOKS[0], 4).cells[1].source)
    changed, lines = re.subn('^source = ".*"$', f'source = "{address}"', source, flags=re.MULTILINE)
    assert lines == 1
    return changed


def run(folder: Path, *sources: str) -> list[str]:
    """What cells show in a new kernel that starts in a folder; an error in one of them is raised."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    NotebookClient(notebook, resources={"metadata": {"path": str(folder)}}, timeout=300).execute()
    return ["".join(o.get("text", "") for o in cell.outputs).strip() for cell in notebook.cells]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This checkout as it stands, as a git repository with one commit."""
    copy = tmp_path_factory.mktemp("hosted") / "seblock"
    unwanted = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__", "data", "runs")
    shutil.copytree(ROOT, copy, ignore=unwanted)
    for words in ("init -q", "add -A", "-c user.name=A -c user.email=a@example.org commit -qm copied"):
        subprocess.run(["git", "-C", copy, *words.split()], check=True)
    return copy


@pytest.fixture(autouse=True)
def without_package(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of what the cell fetches is here, and the address in the cell leads to the copy."""
    pip("uninstall", "--yes", *FETCHED)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", f"url.{repository.as_uri()}.insteadOf")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", ADDRESS)
    monkeypatch.delenv("COLAB_RELEASE_TAG", raising=False)
    assert not FETCHED & installed().keys()


@pytest.fixture
def on_colab(monkeypatch: pytest.MonkeyPatch) -> None:
    """What tells a notebook that it runs there."""
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release-colab-external-images")


def shown(folder: Path, source: str) -> str:
    """What a cell that fails shows instead of a traceback."""
    with pytest.raises(CellExecutionError) as caught:
        run(folder, source)
    return caught.value.traceback


def test_elsewhere_the_cell_installs_nothing_and_says_how(tmp_path: Path) -> None:
    before = installed()
    said = shown(tmp_path, setup_cell())
    assert "needs the package seblock. Run this in a cell, then start again: " in said
    assert f"%pip install --upgrade git+{ADDRESS}" in said
    assert installed() == before


@pytest.mark.usefixtures("on_colab")
def test_without_an_address_it_says_so_on_colab_too(tmp_path: Path) -> None:
    before = installed()
    said = shown(tmp_path, setup_cell(""))
    assert "needs the package seblock. Its address is not known yet" in said
    assert "Traceback" not in said
    assert installed() == before


@pytest.mark.usefixtures("on_colab")
def test_a_folder_named_as_the_package_does_not_keep_it_out(tmp_path: Path) -> None:
    (tmp_path / "seblock").mkdir()
    assert "site-packages" in run(tmp_path, setup_cell(), WHERE)[1]


@pytest.mark.usefixtures("on_colab")
def test_on_colab_it_installs_the_package_and_its_widgets_and_nothing_else_in_seconds(tmp_path: Path) -> None:
    """Last: the notebooks run with what it leaves."""
    before, start = installed(), time.perf_counter()
    _, where, weights = run(tmp_path, setup_cell(), WHERE, WEIGHTS)
    seconds = time.perf_counter() - start
    after = installed()
    print(f"{seconds:.1f} s, the kernel's start among them")
    assert all(after.pop(name) for name in FETCHED)
    assert after == before
    assert "site-packages" in where
    assert "weight" in weights
    assert seconds < 60
    assert run(tmp_path, setup_cell()) == [""]
