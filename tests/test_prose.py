"""What the prose states: each number stands in an output, in code or in the paper's tables; formulas hold."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from seblock import paper

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NEAR = 8
"""Cells away, before or behind, in which a number of the prose is looked for."""

HARMLESS = 12
"""Whole numbers up to this one count things that stand in the same sentence, if no unit follows."""

REASONS: dict[str, dict[str, str]] = {
    "README.md": {
        "4.0": "the licence's version",
        "2.0": "the licence's version",
        "3.11": "the oldest Python, as pyproject.toml has it",
        "20": "of 2 h 20 min, the sum of the first six notebooks' minutes",
        "27": "of 2 h 27 min, the sum of the first six notebooks' exercises",
    },
    "00_start_here.ipynb": {
        "2.251 %": "the abstract of arXiv 1709.01507",
        "2017": "the contest's year, same place",
        "13": "a notebook's number",
        "14": "a notebook's number",
        "15": "a notebook's number",
        "16": "a notebook's number",
    },
    "06_two_implementations.ipynb": {
        "0.25": "a wrong answer to choose from",
        "0.75": "a wrong answer to choose from",
    },
    "07_residual_block.ipynb": {
        "0.5": "where the sigmoid of nothing lies",
        "0.08": "the spread of Table 14's three; test_lessons computes it",
        "6 %": "a wrong answer to choose from",
        "8 %": "a wrong answer to choose from",
        "0.1": "points of top-5 error, Section 4 of the paper; 26.9 less 26.8 and 25.8 less 25.7 million",
        "3.7 %": "of the section on the last stage, said again in the summary",
        "16": "bits of a bfloat16",
    },
    "08_gradients.ipynb": {
        "400": "20 times 20 positions of the puzzle",
    },
    "09_context_decides.ipynb": {
        "13": "the digits' side in pixels; the first cells of 00",
        "16": "13 and three more",
        "256": "16 times 16",
        "40 %": "the plain readers' 39 to 42 %, rounded",
    },
    "10_cifar10.ipynb": {
        "64": "channels of the CIFAR networks' last stage",
        "16": "channels of the first stage, pixels of the first epochs, bits of a bfloat16",
        "24": "pixels of the second third of the epochs",
        "92 %": "published elsewhere, with its source beside it",
        "93 %": "published elsewhere, with its source beside it",
        "0.28": "published elsewhere, with its source beside it",
        "60,000": "CIFAR-10's images",
        "128": "the recipe's batch",
        "1.96": "0.975 of a normal distribution lies below it",
        "50": "a wrong answer to choose from",
        "85": "the figure's 86 %, rounded",
        "170": "megabytes of the archive",
    },
    "12_one_dimmer.ipynb": {
        "30 %": "a wrong answer to choose from",
        "70 %": "the right one, of the figure's 69, rounded",
        "90 %": "a wrong answer to choose from",
        "2,000": "images of each part, as the tool has it",
        "45 %": "the right answer, of the figure's 43, rounded",
        "24": "epochs of the shown network",
        "30": "epochs of the longest trainings, as notebook 10 has them",
        "64": "channels of the last stage",
    },
    "13_what_came_after.ipynb": {
        "1,000": "training images of the where puzzle, as tools/trained.py has them",
        "2020": "the year of ECA-Net",
    },
    "15_what_people_ask.ipynb": {
        "95 %": "the usual level of an interval",
        "95": "of 100 answers, where the guess draws its line",
        "0.4": "a gate, for example",
    },
    "glossary.ipynb": {
        "13": "a notebook's number",
        "14": "a notebook's number",
        "15": "a notebook's number",
        "256": "two to the power of eight",
    },
    "11_text_scanner.ipynb": {
        "2.0": "the licence's version",
        "180": "degrees, as the words have it",
        "95 %": "the usual level of an interval",
        "1.96": "the standard errors in half of such an interval",
        "1,000": "images in notebook 5; lines of each row of scanner.csv, which test_scanner counts",
        "500": "short lines of scanner.csv, which test_scanner counts",
        "240": "twice 120, the lines of the cell above",
        "40": "gates in blocks 1 and 2; a cell further up lists 8 and 32",
        "32": "gates in block 2, listed there as well; lines of a training step of tools/scanner.py",
        "808": "all gates, the sum of that list, which test_scanner adds up",
        "160": "training steps of tools/scanner.py",
    },
    "03_squeeze.ipynb": {
        "0.0001": "what the exercise's check allows",
        "16": "bits of a float16",
        "32": "bits of a float32",
    },
}
"""Numbers that no cell can show, by file, each with a reason."""

NUMBER = re.compile(r"(?<![\w.,−-])[−-]?\d+(?:,\d{3})*(?:\.\d+)?(?![\w])(\s?%|\s?‰)?")


class Number(NamedTuple):
    """A number as it is written."""

    text: str
    value: float
    decimals: int
    percent: bool


def numbers(text: str) -> Iterator[Number]:
    """The numbers of a text; 38,400 is one, 3 × 3 are two."""
    for found in NUMBER.finditer(text):
        bare = found[0].removesuffix("%").strip().replace(",", "").replace("−", "-")
        yield Number(found[0].strip(), float(bare), len(bare.partition(".")[2]), bool(found[1]))


LEFT_OUT = [
    r"```.*?```",  # a solution's code
    r"<!--.*?-->",
    r"^#+ [^\n]*$",  # a heading's number
    r"^★[^\n]*$",
    r"\[[^]]*\]\(https?://[^)]*\)",  # a source's name, an issue's number in it
    r"^\*What people ask about this\*[^\n]*$",  # headings of notebook 15
    r"^- \[[^\n]*\]\(#[^\n]*\)$",  # and the list of them
    r"about \d+ minutes if you read all of it",
    r"(?:Optional, )?\d+ minutes alone, \d+ taught(?:[,;] exercises \d+)?",
    r"\*Optional, [^\n]*?\*",
    r"\*\*\d+\.\*\*",  # an exercise's number
    r"\]\([^)]*\)",  # a link's target
    r"`[^`]*`",
    r"https?://\S+",
    r"arXiv \S+",
    r"(?:Table|Tables|Fig\.|Eq\.|Section|notebook|Notebook|version|torch|Python|CVPR|seed) [\d.]+",
    r"&#?\w+;",
]


def prose(source: str) -> str:
    """A Markdown cell without what is no statement."""
    for pattern in LEFT_OUT:
        source = re.sub(pattern, " ", source, flags=re.DOTALL | re.MULTILINE)
    return source.replace("{,}", ",").replace("\\,", " ").replace("\\%", "%")


def shown(cell: dict) -> str:
    """A code cell's source and all that its outputs say in words."""
    texts = ["".join(cell["source"])]
    for output in cell.get("outputs", []):
        texts.append("".join(output.get("text", "")))
        data = output.get("data", {})
        texts += ["".join(data.get(kind, "")) for kind in ("text/plain", "text/markdown")]
    return re.sub(r"(?<=\d)_(?=\d)", "", "\n".join(texts))


def agrees(stated: Number, found: Number) -> bool:
    """Whether a number of an output, rounded as the prose rounds, is the stated one; 0.095 is 9.5 %."""

    def same(value: float, decimals: int) -> bool:
        if decimals < stated.decimals:
            return value == stated.value
        return abs(abs(value) - abs(stated.value)) <= 0.5001 * 10.0**-stated.decimals

    if stated.percent == found.percent and same(found.value, found.decimals):
        return True
    as_percent = stated.percent and not found.percent and found.decimals >= 2
    return as_percent and same(100 * found.value, found.decimals - 2)


PAPER = list(
    numbers(
        re.sub(
            r"[\"'{}()\[\]:]",
            " ",
            json.dumps(
                {
                    name: {str(key): value for key, value in table.items()}
                    if isinstance(table, dict)
                    else table
                    for name, table in vars(paper).items()
                    if name.isupper()
                },
                default=str,
            ),
        )
    )
)


def unsupported(cells: list[dict], reasons: dict[str, str]) -> list[str]:
    """The statements whose number stands nowhere near by, with the words around them."""
    told, exercise = [], False
    for place, cell in enumerate(cells):
        if cell["cell_type"] != "markdown":
            continue
        source = "".join(cell["source"])
        text = prose(source)
        if source.startswith("## "):
            exercise = source.startswith("## Exercises")
        near = cells[max(0, place - NEAR) : place + NEAR + 1]
        if exercise:  # it may recall anything that the notebook has shown
            near = cells
        found = [n for other in near if other["cell_type"] == "code" for n in numbers(shown(other))]
        if exercise:  # what a solution's comments say of its results is held by tests/test_lessons.py
            for code in re.findall(r"^```python\n(.*?)^```", source, re.DOTALL | re.MULTILINE):
                found += numbers(re.sub(r"(?<=\d)_(?=\d)", "", code))
        if "Table" in "".join(cell["source"]):
            found += PAPER
        for stated in numbers(text):
            small = (
                stated.value == int(stated.value) and abs(stated.value) <= HARMLESS and not stated.decimals
            )
            if (small and not stated.percent) or stated.text in reasons:
                continue
            if not any(agrees(stated, other) for other in found):
                at = text.find(stated.text)
                told.append(
                    f"cell {place}: {stated.text!r} in …{' '.join(text[max(0, at - 50) : at + 40].split())}…"
                )
    return told


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_number_in_prose_stands_near_by_in_an_output_in_code_or_in_the_papers_tables(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not unsupported(cells, REASONS.get(path.name, {}))


def test_each_number_of_the_readme_stands_in_its_code_or_has_a_reason() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```.*?^```|^    .*?$", readme, re.DOTALL | re.MULTILINE))
    cells = [
        {"cell_type": "markdown", "source": [re.sub(r"^    .*$", "", readme, flags=re.M)]},
        {"cell_type": "code", "source": [code]},
    ]
    assert not unsupported(cells, REASONS["README.md"])


def test_the_short_path_takes_as_long_as_its_notebooks_say() -> None:
    alone = exercises = 0
    for path in NOTEBOOKS:
        head = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
        if found := re.search(
            r"^★ (\d+) minutes alone, \d+ taught(?:; exercises (\d+))?", head, re.MULTILINE
        ):
            alone, exercises = alone + int(found[1]), exercises + int(found[2] or 0)
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    alone_told, exercises_told = (f"{m // 60} h {m % 60} min" for m in (alone, exercises))
    assert f"{alone_told} alone, exercises {exercises_told} more" in readme


# ruff: noqa: E501
# Formulas. Each is written here a second time, beside a calculation that it has to agree with.

torch.manual_seed(0)
N, C, R, H, W = 2, 6, 2, 5, 4
X, V = torch.randn(N, 3, H, W, dtype=torch.double), torch.randn(C, 3, 3, 3, dtype=torch.double)
U = torch.randn(N, C, H, W, dtype=torch.double, requires_grad=True)
W1 = torch.randn(R, C, dtype=torch.double, requires_grad=True)
W2 = torch.randn(C, R, dtype=torch.double, requires_grad=True)
Z = U.sum((2, 3)) / (H * W)
A1 = Z @ W1.T
HIDDEN = A1.clamp(min=0)
A2 = HIDDEN @ W2.T
S = 1 / (1 + torch.exp(-A2))
TILDE = U * S[:, :, None, None]
G = torch.randn_like(TILDE)
LOSS = (G * TILDE).sum()
DU, DZ, DA1, DH, DA2, DS, DW2 = torch.autograd.grad(LOSS, (U, Z, A1, HIDDEN, A2, S, W2))
OUT = torch.randn(C, dtype=torch.double)

Sides = tuple[torch.Tensor, torch.Tensor]
FORMULAS: dict[str, dict[str, Callable[[], Sides]]] = {
    "01_convolution": {
        r"\mathbf{u}_c = \mathbf{v}_c * \mathbf{X} = \sum_{s=1}^{C'} \mathbf{v}_c^s * \mathbf{x}^s": lambda: (
            F.conv2d(X, V),
            torch.stack([F.conv2d(X[:, [s]], V[:, [s]]) for s in range(3)]).sum(0),
        ),
    },
    "03_squeeze": {
        r"z_c = \mathbf{F}_{sq}(\mathbf{u}_c) = \frac{1}{H \times W} \sum_{i=1}^{H} \sum_{j=1}^{W} u_c(i, j)": lambda: (
            F.adaptive_avg_pool2d(U, 1).flatten(1),
            sum(U[:, :, i, j] for i in range(H) for j in range(W)) / (H * W),
        ),
    },
    "04_excitation": {
        r"\delta(a) = \max(a, 0)": lambda: (F.relu(A1), torch.maximum(A1, torch.zeros_like(A1))),
        r"\sigma(a) = \frac{1}{1 + e^{-a}}": lambda: (torch.sigmoid(A2), 1 / (1 + (-A2).exp())),
        r"\mathbf{s} = \mathbf{F}_{ex}(\mathbf{z}, \mathbf{W}) = \sigma(\mathbf{W}_2 \, \delta(\mathbf{W}_1 \mathbf{z}))": lambda: (
            S.T,
            torch.sigmoid(W2 @ F.relu(W1 @ Z.T)),
        ),
        r"\mathbf{W}_1 \in \mathbb{R}^{\frac{C}{r} \times C}, \; \mathbf{W}_2 \in \mathbb{R}^{C \times \frac{C}{r}}": lambda: (
            torch.tensor([*W1.shape, *W2.shape]),
            torch.tensor([C // 3, C, C, C // 3]),
        ),
    },
    "05_rescale": {
        r"\tilde{\mathbf{x}}_c = \mathbf{F}_{scale}(\mathbf{u}_c, s_c) = s_c \cdot \mathbf{u}_c": lambda: (
            TILDE,
            torch.einsum("nchw,nc->nchw", U, S),
        ),
        r"\mathbf{y} = \sum_c w_c \, \tilde{\mathbf{x}}_c = \sum_c s_c \, (w_c \mathbf{u}_c)": lambda: (
            torch.einsum("c,nchw->nhw", OUT, TILDE),
            torch.einsum("nc,nchw->nhw", S, OUT[:, None, None] * U),
        ),
    },
    "06_two_implementations": {
        r"\frac{2}{r} \sum_{s} N_s \cdot C_s^2": lambda: (
            torch.tensor(sum(n * 2 / 16 * c**2 for n, c in [(3, 256), (4, 512), (6, 1024), (3, 2048)])),
            torch.tensor(2_514_944.0),
        ),
        r"s \, (1 - s)": lambda: (torch.autograd.grad(torch.sigmoid(A2).sum(), A2)[0], S * (1 - S)),
    },
    "07_residual_block": {
        r"\frac{2}{r} \sum_{s} N_s \cdot C_s^2": lambda: (
            torch.tensor(sum(n * 2 / 16 * c**2 for n, c in [(3, 256), (4, 512), (6, 1024), (3, 2048)])),
            torch.tensor(2_514_944.0),
        ),
        r"\sum_{i,j} g_c \, u_c": lambda: (  # a gate whose maps are 1 / s as large gets 1 - s of it
            torch.autograd.grad(((G * U).sum((2, 3)) / S.detach() * torch.sigmoid(A2)).sum(), A2)[0],
            (1 - S) * (G * U).sum((2, 3)),
        ),
        r"s \, (1 - s)": lambda: (torch.autograd.grad(torch.sigmoid(A2).sum(), A2)[0], S * (1 - S)),
        r"\sum_{i,j} g_c(i, j) \, u_c(i, j)": lambda: (DS, (G * U).sum((2, 3))),
    },
    "08_gradients": {
        r"\frac{\partial L}{\partial u_c(i, j)} = s_c \, g_c(i, j) + \frac{1}{H \cdot W} \, \frac{\partial L}{\partial z_c}": lambda: (
            DU,
            S[:, :, None, None] * G + DZ[:, :, None, None] / (H * W),
        ),
        r"\partial L / \partial s_c = \sum_{i,j} g_c(i, j) \, u_c(i, j)": lambda: (DS, (G * U).sum((2, 3))),
        r"\sigma' = s \, (1 - s)": lambda: (torch.autograd.grad(torch.sigmoid(A2).sum(), A2)[0], S * (1 - S)),
        r"\partial L / \partial \mathbf{a}_2 = \partial L / \partial \mathbf{s} \odot \mathbf{s} \odot (1 - \mathbf{s})": lambda: (
            DA2,
            DS * S * (1 - S),
        ),
        r"\partial L / \partial \mathbf{W}_2 = \sum_n (\partial L / \partial \mathbf{a}_2) \, \mathbf{h}^\top": lambda: (
            DW2,
            torch.einsum("nc,nr->cr", DA2, HIDDEN),
        ),
        r"\partial L / \partial \mathbf{h} = \mathbf{W}_2^\top \, \partial L / \partial \mathbf{a}_2": lambda: (
            DH.T,
            W2.T @ DA2.T,
        ),
        r"\partial L / \partial \mathbf{a}_1 = \partial L / \partial \mathbf{h} \odot [\mathbf{a}_1 > 0]": lambda: (
            DA1,
            DH * (A1 > 0),
        ),
    },
    "10_cifar10": {
        r"\bar{d} \pm t \, \frac{s_d}{\sqrt{n}}": lambda: (
            torch.tensor(stats.ttest_1samp(OUT.numpy(), 0).confidence_interval(), dtype=torch.double),
            OUT.mean() + torch.stack([-OUT.std(), OUT.std()]) * stats.t.ppf(0.975, C - 1) / C**0.5,
        ),
    },
}
"""By notebook: the formula as its text has it, and both of its sides computed apart."""


@pytest.mark.parametrize(("notebook", "formula"), [(n, f) for n, held in FORMULAS.items() for f in held])
def test_a_formula_stands_in_its_notebook_and_holds(notebook: str, formula: str) -> None:
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    assert " ".join(formula.split()) in " ".join(" ".join("".join(cell["source"]) for cell in cells).split())
    one, other = FORMULAS[notebook][formula]()
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("notebook", FORMULAS)
def test_every_equation_that_stands_alone_is_among_those_that_are_held(notebook: str) -> None:
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = " ".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for formula in re.findall(r"\$\$(.*?)\$\$", text, re.DOTALL):
        flat = " ".join(formula.split())
        assert any(held in flat for held in FORMULAS[notebook]), flat
