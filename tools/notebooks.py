"""Run notebooks again and store what they show, so that a second run changes nothing.

python tools/notebooks.py execute [FILES]    without FILES: every notebook in notebooks/
"""

import argparse
import base64
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"
"""Where a live widget is drawn: its id is new in every run. The widget's text stays."""
README_PICTURE = "readme"
"""The tag of the cell whose picture the README shows, as picture.png beside it."""


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
        cell.metadata = nbformat.from_dict({k: v for k, v in cell.metadata.items() if k == "tags" and v})
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)


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
    for cell in nb.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
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
    text = nbformat.writes(nb) + "\n"
    if text != path.read_text(encoding="utf-8"):
        path.write_text(text, encoding="utf-8", newline="\n")
    for cell in nb.cells:
        if README_PICTURE in cell.metadata.get("tags", []):
            (output,) = (output for output in cell.outputs if "image/png" in output.get("data", {}))
            picture = base64.b64decode(output.data["image/png"])
            path.parent.with_name("picture.png").write_bytes(picture)
    return None


def main() -> int:
    """Execute the notebooks named, as many at a time as there are cores; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=["execute"])
    parser.add_argument("files", nargs="*", type=Path)
    files = parser.parse_args().files or sorted(FOLDER.glob("*.ipynb"))
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(execute, files))
    for path, what in zip(files, found, strict=True):
        print(f"{path.name}: {what or 'done'}", file=sys.stderr if what else sys.stdout)
    return int(any(found))


if __name__ == "__main__":
    sys.exit(main())
