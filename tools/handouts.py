"""What a class is handed: notebooks without solutions, answers, packages for a room without a network.

python tools/handouts.py student OUT             OUT/notebooks and a zip of them: no solutions, no outputs
                                                 OUT/answers.md: every guess and every exercise, answered
python tools/handouts.py wheels OUT [OPTIONS]    OUT holds every package of requirements.txt, and seblock, for
                                                 machines like this one; OPTIONS are pip download's
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = ROOT / "notebooks"
SOLUTION = "solution"
"""The tag of a cell that students do not get; the teacher's answers are made of it."""
CPU = "https://download.pytorch.org/whl/cpu"
"""PyTorch's packages without libraries for GPUs, which would be gigabytes on Linux."""
FOLDS = re.compile(r"<details><summary>(.*?)</summary>\s*(.*?)\s*</details>", re.DOTALL)

Cell = dict[str, Any]


def read(path: Path) -> list[Cell]:
    """The cells of a notebook, each with its source as one text."""
    cells: list[Cell] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in cells]


def is_solution(cell: Cell) -> bool:
    """Whether students have to find it themselves."""
    return SOLUTION in cell["metadata"].get("tags", [])


def hints(source: str) -> str:
    """What students get of a solution's cell: its folds but the solution itself; "" if there are none."""
    return "\n".join(fold[0] for fold in FOLDS.finditer(source) if fold[1] != "Solution")


def for_students(notebook: str) -> str:
    """A notebook's text without its solutions, and without outputs: nothing has been run."""
    raw = json.loads(notebook)
    for cell in raw["cells"]:
        if cell["cell_type"] == "code":
            cell.update(outputs=[], execution_count=None)
        if is_solution(cell):
            cell["source"] = hints("".join(cell["source"]))
    raw["cells"] = [cell for cell in raw["cells"] if cell["source"] or not is_solution(cell)]
    return json.dumps(raw, ensure_ascii=False, indent=1) + "\n"


def guess(source: str) -> str:
    """A guess's question and its right answer; "" for a cell without a guess in its form."""
    if "**Guess.**" not in source:
        return ""
    question = FOLDS.split(source.partition("**Guess.**")[2])[0].strip()
    right = [option for option, text in FOLDS.findall(source) if text.startswith("Right")]
    return f"**Guess.** {question}\n\n*Right:* {right[0]}.\n" if right else ""


def answers(path: Path) -> str:
    """A notebook's guesses and exercises, each with its answer; links lead into the folder "notebooks"."""
    cells = read(path)
    title = cells[0]["source"].partition("\n")[0]
    parts, task = [f"#{title}\n"], []
    for cell in cells:
        source = cell["source"]
        if is_solution(cell):
            parts += [*task, *(f"*{summary}:*\n\n{text}\n" for summary, text in FOLDS.findall(source))]
            task = []
        elif cell["cell_type"] == "code":
            task = [*task, f"```python\n{source}\n```\n"] if task else []
        elif found := guess(source):
            parts.append(found)
        elif begins := re.search(r"^### \d\. ", source, re.MULTILINE):
            task = [source[begins.start() :].strip() + "\n"]
        elif task:
            task.append(source + "\n")
    there = re.sub(r"\]\((?=[\w-]+\.ipynb)", "](notebooks/", "\n".join(parts))
    return there.replace("](#", f"](notebooks/{path.name}#") if len(parts) > 1 else ""


def student(out: Path) -> None:
    """Write the students' notebooks, their zip, and the answers, which stay out of both."""
    shutil.rmtree(out, ignore_errors=True)
    folder = out / "notebooks"
    folder.mkdir(parents=True)
    shutil.copy(NOTEBOOKS / "colab.svg", folder)
    book = ["# Answers\n\nTo every guess and every exercise, for whoever teaches.\n"]
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        (folder / path.name).write_text(for_students(path.read_text("utf-8")), "utf-8", newline="\n")
        book.append(answers(path))
    (out / "answers.md").write_text("\n".join(part for part in book if part), "utf-8", newline="\n")
    shutil.make_archive(str(out / "squeeze-and-excitation"), "zip", folder)


def wheels(out: Path, options: list[str]) -> None:
    """Fetch what requirements.txt pins, build seblock, and write down what to install from there."""
    out.mkdir(parents=True, exist_ok=True)
    pinned = (ROOT / "requirements.txt").read_text(encoding="utf-8").replace("-e .\n", "")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    for old in out.glob("seblock-*"):
        old.unlink()
    subprocess.run([*pip, "wheel", "--no-deps", "--wheel-dir", out, ROOT], check=True)
    (built,) = out.glob("seblock-*.whl")
    (out / "requirements.txt").write_text(pinned, "utf-8", newline="\n")
    binary = ["--only-binary", ":all:", "--extra-index-url", CPU, "--dest", out]
    # setuptools too: with it a clone of the project can be installed there as well
    download = [*pip, "download", *binary, *options, "-r", out / "requirements.txt"]
    subprocess.run([*download, *project["build-system"]["requires"]], check=True)
    version = built.name.split("-")[1]
    (out / "requirements.txt").write_text(f"{pinned}seblock=={version}\n", "utf-8", newline="\n")
    size = sum(path.stat().st_size for path in out.iterdir())
    print(f"{len(list(out.glob('*.whl')))} packages, {size / 1e6:.0f} MB in {out}. Without a network:")
    print(f"python -m pip install --no-index --find-links {out.name} -r {out.name}/requirements.txt")


def main() -> None:
    """Do as told."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("command", choices=["student", "wheels"])
    parser.add_argument("out", type=Path)
    told, options = parser.parse_known_args()
    if told.command == "student":
        student(told.out)
    else:
        wheels(told.out, options)


if __name__ == "__main__":
    main()
