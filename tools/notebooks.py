"""Run notebooks again and store what they show, so that a second run changes nothing.

python tools/notebooks.py execute [FILES]    without FILES: every notebook in notebooks/
python tools/notebooks.py address            write the repository's address, which pyproject.toml names, into
                                             all notebooks, the README and docs/errata.md
"""

import argparse
import json
import os
import re
import sys
import tomllib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

import seblock

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"
"""Where a live widget is drawn: its id is new in every run. The widget's text stays."""
HIDDEN = "hide-output"
"""The tag of a cell whose output stays out of sight until the reader wants it: the answer to a guess."""
FOLDED = {"jupyter": {"source_hidden": True}, "tags": ["remove-cell"]}
"""What makes JupyterLab show a cell's first line alone, and keeps it off the web page."""

PLACEHOLDER = "https://github.com/OWNER/seblock"
"""The address as long as there is none."""
SETUP = """
# The package of these notebooks: Colab fetches it, elsewhere this says how to.
import os
import re
import sys
from importlib import invalidate_caches
from importlib.util import find_spec

source = "ADDRESS"
on_colab = "google.colab" in sys.modules or "COLAB_RELEASE_TAG" in os.environ


class NotInstalled(ModuleNotFoundError):
    def _render_traceback_(self):  # the sentence alone
        return [f"This notebook needs the package seblock. {self}"]


def look():  # whether the package is there, whole and new enough, and what else is
    invalidate_caches()
    where = getattr(find_spec("seblock"), "origin", None)
    if not where:
        return False, ""
    import seblock

    version = re.findall("[0-9]+", getattr(seblock, "__version__", ""))
    parts = ["exercises", "live", "plots", "trained"]
    new = [int(number) for number in version[:2]] >= VERSION
    whole = new and all(find_spec(f"seblock.{part}") for part in parts)
    return whole, f" What is in {where} is another one, an older one or a part."


there, what = look()
if not there:
    if not source:
        raise NotInstalled(
            "Its address is not known yet: take the whole project, and in a cell here "
            f"call %pip install with the path of the project's folder.{what}"
        )
    if not on_colab:
        raise NotInstalled(
            "Run this in a cell, then start again: "
            f"%pip install --upgrade {source}{what}"
        )
    %pip install --quiet --no-deps anywidget psygnal
    %pip install --quiet --no-deps --upgrade {source}
    sys.modules.pop("seblock", None)
    there, what = look()
    if not there:
        raise NotInstalled(f"It could not be fetched from {source}.{what}")
""".strip()
"""The second cell of each notebook. A folder named seblock, say a clone, is no package: it has no origin.

What else can be named so is a reader's own file, an older package than the notebook's, or a part of it.

anywidget shows the live figures and needs psygnal; Colab has neither.
"""
BADGE = "[![Open in Colab]({picture})](https://colab.research.google.com/github/{name}/blob/main/notebooks/{file})"
BINDER = "[Open in Binder](https://mybinder.org/v2/gh/{name}/main?labpath=notebooks%2F00_start_here.ipynb)"
MARK = "<!-- badges -->\n\n"
ERRATA = ROOT / "docs" / "errata.md"
WHERE = re.compile(r"(?<=<!-- address -->\n)(?:.+\n)+")
"""The paragraph that says where to report an error."""
NOWHERE = """
Nobody has said yet where this copy has its home, so tell whoever gave it to you. Once `make address` has
written the address, this paragraph says where to report.
""".lstrip()
BADGES = re.compile(r"^\[!\[Open in Colab\]\(.*\n\n", re.MULTILINE)
"""A line of badges, and the empty one after it."""


def read(path: Path) -> nbformat.NotebookNode:
    """The notebook in nbformat 4.5; cells without an id get one that depends on their place alone."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    taken = {cell.get("id") for cell in raw["cells"]}
    free = (name for i in range(10_000) if (name := f"cell-{i:02}") not in taken)
    for cell in raw["cells"]:
        cell["id"] = cell.get("id") or next(free)
    raw["nbformat_minor"] = 5
    nb: nbformat.NotebookNode = nbformat.reads(json.dumps(raw), as_version=4)
    return nb


def clean(nb: nbformat.NotebookNode) -> None:
    """Leave the sources, the tags and what readers see; drop whatever differs between two runs."""
    nb.metadata = nbformat.from_dict(METADATA)
    for cell in nb.cells:
        tags = cell.metadata.get("tags", [])
        hidden = {"jupyter": {"outputs_hidden": True}} if HIDDEN in tags and "outputs" in cell else {}
        left = FOLDED if cell.id == "setup" else hidden | ({"tags": tags} if tags else {})
        cell.metadata = nbformat.from_dict(left)
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)


def address() -> str:
    """Where the repository is found, as pyproject.toml's project URLs say."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Repository"]).removesuffix("/").removesuffix(".git")


def setup() -> str:
    """The second cell of each notebook, with the address where there is one."""
    code = SETUP.replace("ADDRESS", "" if address() == PLACEHOLDER else f"git+{address()}")
    return code.replace("VERSION", str([int(number) for number in seblock.__version__.split(".")[:2]]))


def badge(file: str, picture: str) -> str | None:
    """The link that opens a notebook on Colab; None without an address, or off GitHub, where Colab looks."""
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+)", address())
    if not found or address() == PLACEHOLDER:
        return None
    return BADGE.format(picture=picture, name=found[1], file=file)


def give_address(nb: nbformat.NotebookNode, file: str) -> None:
    """A badge under the title if there is an address, and the setup cell below that text."""
    first = nb.cells[0]
    title, _, text = BADGES.sub("", first.source).partition("\n\n")
    first.source = "\n\n".join(part for part in (title, badge(file, "colab.svg"), text) if part)
    if not nb.cells[1:] or nb.cells[1].id != "setup":
        nb.cells.insert(1, nbformat.v4.new_code_cell(id="setup"))
    nb.cells[1].update(source=setup(), metadata=nbformat.from_dict(FOLDED))


def store(nb: nbformat.NotebookNode, path: Path) -> None:
    """Write the notebook, if that changes the file."""
    text = nbformat.writes(nb) + "\n"
    if text != path.read_text(encoding="utf-8"):
        path.write_text(text, encoding="utf-8", newline="\n")


def problem(nb: nbformat.NotebookNode) -> str | None:
    """The first error or stderr among the outputs, with its cell; None if there is none."""
    for i, cell in enumerate(nb.cells, start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                return f"cell {i} ({cell.id}) raised {output.ename}: {output.evalue}"
            if output.get("name") == "stderr":
                return f"cell {i} ({cell.id}) wrote to stderr: {output.text.strip()}"
    return None


def execute(path: Path) -> str | None:
    """Run one notebook in its folder and store its outputs; returns what went wrong, if anything did."""
    nb = read(path)
    if path.resolve().parent == FOLDER:
        give_address(nb, path.name)
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    os.environ["SEBLOCK_PROGRESS"] = "off"  # what is stored is what a new reader would see
    client = NotebookClient(
        nb,
        kernel_name="python3",
        timeout=1200,
        coalesce_streams=True,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],
    )
    try:
        client.execute()
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        return problem(nb) or str(error)
    if found := problem(nb):
        return found
    clean(nb)
    store(nb, path)
    return None


def write_address() -> None:
    """Write the address into the notebooks, nothing run, and the badges into the README, below their mark."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        nb = read(path)
        give_address(nb, path.name)
        store(nb, path)
    shown = badge("00_start_here.ipynb", "notebooks/colab.svg")
    line = f"{shown} {BINDER.format(name=address().partition('github.com/')[2])}\n\n" if shown else ""
    readme = ROOT / "README.md"
    text = BADGES.sub("", readme.read_text(encoding="utf-8"))
    assert MARK in text, f"README.md has lost the line {MARK.strip()}"
    readme.write_text(text.replace(MARK, MARK + line), encoding="utf-8", newline="\n")
    text, found = WHERE.subn(lambda _: where_to_report(), ERRATA.read_text(encoding="utf-8"))
    assert found == 1, f"{ERRATA.name} has lost the paragraph below <!-- address -->"
    ERRATA.write_text(text, encoding="utf-8", newline="\n")


def where_to_report() -> str:
    """The paragraph of the errata's page: the address where there is one, and on GitHub its forms."""
    if address() == PLACEHOLDER:
        return NOWHERE
    if address().startswith("https://github.com/"):
        return f"[Open an issue]({address()}/issues/new/choose) and choose one of its three forms.\n"
    return f"Report it where the project has its home, [{address()}]({address()}).\n"


def main() -> int:
    """Do as told; notebooks are executed as many at a time as there are cores. 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=["execute", "address"])
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    if options.command == "address":
        write_address()
        return 0
    files = options.files or sorted(FOLDER.glob("*.ipynb"))
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(execute, files))
    for path, what in zip(files, found, strict=True):
        print(f"{path.name}: {what or 'done'}", file=sys.stderr if what else sys.stdout)
    return int(any(found))


if __name__ == "__main__":
    sys.exit(main())
