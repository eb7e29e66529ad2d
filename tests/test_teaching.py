"""The teacher's pages: their links, the cells they name, their minutes, the numbers of the sixty answers."""

import ast
import builtins
import math
import re
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from scipy import stats

from seblock import cost, networks, paper, photos, puzzles
from seblock.blocks import SELayer, SqEx
from seblock.functional import rescale, squeeze
from seblock.plots import sheet
from tests.test_notebooks import LESSONS, NOTEBOOKS, broken, read

ROOT = Path(__file__).parents[1]
PLAN = ROOT / "docs" / "teaching.md"
BANK = ROOT / "docs" / "questions.md"
ANSWERS = ROOT / "docs" / "questions_answers.md"
TEXT = PLAN.read_text(encoding="utf-8")
BY_NUMBER = {path.stem[:2]: path for path in NOTEBOOKS if path.stem[:2].isdigit()}
LEVELS = {"recall", "explain", "compute", "design"}


def numbered(path: Path) -> dict[int, str]:
    """The items of a page's numbered lists, which go on from list to list, each in one line."""
    items = re.findall(r"^(\d+)\. (.*(?:\n +\S.*)*)", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert [int(number) for number, _ in items] == list(range(1, len(items) + 1))
    return {int(number): re.sub(r"\s+", " ", text) for number, text in items}


def section(title: str) -> str:
    """What stands below a heading of the plan."""
    return re.split(r"^## ", TEXT.partition(f"\n## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> list[list[str]]:
    """The cells of a section's tables, without their heads."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [row for row in lines if row[0][:1].isdigit()]


def scenes() -> list[tuple[int, int, str, list[str], str]]:
    """The 50 minutes: from, to, where, how the cells to run begin, what to do and say."""
    found = re.findall(r"^- \*\*(\d+)–(\d+)\*\* · (.*)\\\n  (.*)$", section("50 minutes"), re.MULTILINE)
    code = re.compile(r"`([^`]+)`")
    return [(int(first), int(last), where, code.findall(where), say) for first, last, where, say in found]


@pytest.mark.parametrize("page", [PLAN, BANK, ANSWERS], ids=lambda page: page.stem)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    assert not broken(page.read_text(encoding="utf-8"), page)


def test_every_lesson_has_its_part() -> None:
    parts = re.findall(r"^### (\d\d),", TEXT, re.MULTILINE)
    assert parts == [path.stem[:2] for path in LESSONS]
    for part in re.split(r"^### ", section("Notebook by notebook"), flags=re.MULTILINE)[1:]:
        name = part[:2]
        for word in ("**Aim.**", "**Before:**", "**Ask.**", "**They say**", "**Technically.**"):
            assert word in part, (name, word)
        assert f"](../notebooks/{BY_NUMBER[name].name}#" in part, name


def test_the_fifty_minutes_are_fifty() -> None:
    played = scenes()
    assert section("50 minutes").count("\n- **") == len(played) > 15
    assert (played[0][0], played[-1][1]) == (0, 50)
    assert all(before[1] == after[0] for before, after in pairwise(played))
    assert 50 + sum(int(row[1]) for row in rows(section("90 minutes"))) == 90


def test_the_day_keeps_its_hours_and_the_notebooks_minutes() -> None:
    day = rows(section("A day"))
    starts = [60 * int(row[0].split(":")[0]) + int(row[0].split(":")[1]) for row in day]
    for row, start, end in zip(day, starts, [*starts[1:], math.inf]):
        minutes = [int(number) for number in re.findall(r"\((\d+)(?: minutes)?\)", row[1])]
        choice = "one of" in row[1]
        assert start + (max(minutes) if choice else sum(minutes)) <= end, row
        if not choice and end < math.inf:
            assert start + sum(minutes) == end, row
        stated = re.findall(r"notebooks/(\w+)\.ipynb\)[^(]*\((\d+)", row[1])
        for name, taught in stated:
            first = read(ROOT / "notebooks" / f"{name}.ipynb")["cells"][0]["source"]
            assert re.search(rf"\b{taught}\s+taught\b", first), (name, taught)


def cells_to_run() -> dict[str, list[str]]:
    """By notebook how the cells begin that the 50 minutes run, in the order of the notebook."""
    named: dict[str, list[str]] = {}
    current = ""
    silent = [row for row in rows(section("50 minutes")) if row[0] in BY_NUMBER]
    for number, starts in silent:
        named[number] = re.findall(r"`([^`]+)`", starts)
    for _, _, where, starts, _ in scenes():
        found = re.match(r"\[(\d\d),", where)
        current = found[1] if found else current
        named[current] += starts
    chosen = {}
    for number, starts in named.items():
        code = [c["source"] for c in read(BY_NUMBER[number])["cells"] if c["cell_type"] == "code"]
        for start in starts:
            assert sum(source.startswith(start) for source in code) == 1, (number, start)
        chosen[number] = [source for source in code if source.startswith(tuple(starts))]
    return chosen


def names(tree: ast.AST, kind: type[ast.expr_context]) -> set[str]:
    """The names that are read, or written, anywhere in some code."""
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, kind)}


def test_no_cell_of_the_fifty_minutes_wants_one_that_was_not_run() -> None:
    chosen = cells_to_run()
    assert list(chosen) == ["00", "01", "02", "03", "04", "05"]
    for number, sources in chosen.items():
        known = set(dir(builtins))
        for source in sources:
            tree = ast.parse(source)
            for node in ast.walk(tree):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    known |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    known.add(node.name)
                if isinstance(node, ast.arg):
                    known.add(node.arg)
            known |= names(tree, ast.Store)
            assert names(tree, ast.Load) <= known, (number, source, names(tree, ast.Load) - known)


def test_the_guesses_that_are_quoted_are_asked_there() -> None:
    for *_, say in scenes():
        for quoted in re.findall(r"\*\*Guess\*\* \"([^\"]+)\"", say):
            assert any(quoted in cell["source"] for path in NOTEBOOKS for cell in read(path)["cells"]), quoted


def test_there_are_sixty_questions_of_all_levels_each_with_an_answer() -> None:
    questions, answers = numbered(BANK), numbered(ANSWERS)
    assert list(questions) == list(answers) == list(range(1, 61))
    levels = [re.match(r"\((\w+)\) ", text)[1] for text in questions.values()]  # type: ignore[index]
    assert set(levels) == LEVELS
    assert min(levels.count(level) for level in LEVELS) >= 9
    heads = [
        re.findall(r"^## (.*)", page.read_text(encoding="utf-8"), re.MULTILINE) for page in (BANK, ANSWERS)
    ]
    assert heads[0] == heads[1]


def sigmoid(a: float) -> float:
    """σ."""
    return 1 / (1 + math.exp(-a))


def computed() -> dict[int, list[str]]:
    """What the answers say in numbers, from the package, the paper's tables, or a second way."""
    field = 1 + 4 * 2
    v = photos.named_filters()
    mist, wood = ((2 * r - g - b) for r, g, b in ((0.94, 0.94, 0.95), (0.60, 0.24, 0.21)))
    patched = torch.zeros(1, 3, 160, 240)
    patched[..., -40:, -60:] = torch.tensor([0.0, 0, 1])[:, None, None]
    reached = photos.responses(patched)[0].abs().amax(dim=0) > 0
    small = torch.tensor([[[[0.0, 1], [2, 5]]]])
    soft = torch.tensor([4.0, 4, 0, 0, 0, 0]).softmax(0)
    s = torch.arange(4)[:, None] / 10 + torch.arange(4) / 100
    ones = torch.ones(4, 4, 4, 4)
    stages = list(zip(networks.IMAGENET_BLOCKS[50], networks.IMAGENET_CHANNELS))
    added, last = cost.se_parameters(stages, 16), cost.se_parameters(stages[-1:], 16)
    slopes = [sigmoid(a) * (1 - sigmoid(a)) for a in (0, 5)]
    ten, seven = (stats.binomtest(k, 10).proportion_ci(0.95, method="wilson") for k in (10, 7))
    half = 2.20 * 0.41 / math.sqrt(12)
    rows_of_tosses = sum(math.comb(12, k) for k in range(13) if k <= 3 or k >= 9)
    few, more = paper.TABLE_2_GFLOPS[50]
    return {
        3: [f"{field} × {field}"],
        4: [f"{cost.parameters(SqEx(24, 4))}:"],
        6: [f"{16 * 9} numbers"],
        7: [f"{mist:.2f}".replace("-", "−"), f"{wood:.2f}"],
        9: [str(tuple(v.shape)), f"{v.numel()} numbers", str(tuple(photos.features(photos.load()).shape))],
        11: [f"yellow {1 + 1}, white {1 + 1 - 2}, blue −2"],
        13: [f"{int(reached.sum()):,}", f"{40 * 60:,} positions"],
        14: [f"{0.06 * 15 / 16 + 2 / 16:.2f}:"],
        19: [f"Mean {squeeze(small).item():g}, maximum {small.max().item():g}"],
        20: [f"{64 * 56 * 56:,} go in"],
        25: [f"{sigmoid(-4 * 20 * (0.22 - 0.02)):.4f}", f"{sigmoid(0):.1f}."],
        26: [f"{cost.parameters(SELayer(64, 16))} weights"],
        27: [f"{soft[0]:.2f} to each", f"{soft[2]:.2f} to each", f"{sigmoid(4):.2f} and {sigmoid(0):.2f}"],
        33: [f"{rescale(ones, s)[2, 3, 0, 0]:.2f} fills", f"{(ones * s)[2, 3, 1, 2]:.2f}:"],
        36: [f"h = {20 * (0.19 - 0.07):.1f}", f"{sigmoid(-4 * 20 * (0.19 - 0.07)):.4f}"],
        39: [f"{cost.parameters(SELayer(256)):,} and {cost.parameters(SqEx(256)):,}"],
        40: [f"{100 // 16} hidden", f"{2 * 100 * (100 // 16):,} weights"],
        41: [f"{sigmoid(0):.2f} and {sigmoid(1):.2f}"],
        43: [f"{paper.TABLE_14['POST']:.2f} %", f"{paper.TABLE_14['standard']:.2f} %"],
        44: [f"{added:,}", f"{last:,}", f"{last / added:.0%}".replace("%", " %")],
        45: [f"{few} to {more} GFLOPs"],
        46: [f"1/{2**9}", f"{100 / 2**9:.1f} %"],
        49: [f"{slopes[0]:.2f} and {slopes[1]:.4f}", f"about {slopes[0] / slopes[1]:.0f}"],
        52: [f"At {100 * ten.low:.0f} %", f"{100 * seven.low:.0f} % to {100 * seven.high:.0f} %"],
        53: [f"{1600 / 400:.0f} % and {1600 / 1600:.0f} %"],
        55: [f"± {half:.3f}", f"−{half - 0.155:.2f} to {half + 0.155:.2f}"],
        56: [f"{rows_of_tosses} of {2**12:,}", f"{100 * rows_of_tosses / 2**12:.0f} %"],
        60: [f"{100 * (1 - 0.1 + 0.1 * 0.5):.0f} %"],
    }


@pytest.mark.parametrize(("number", "expected"), computed().items())
def test_an_answer_in_numbers_is_computed(number: int, expected: list[str]) -> None:
    answer = numbered(ANSWERS)[number]
    assert not [text for text in expected if text not in answer], answer


def test_every_question_to_compute_is_computed_here() -> None:
    to_compute = {n for n, text in numbered(BANK).items() if text.startswith("(compute)")}
    assert to_compute - set(computed()) == {32}  # a message and a shape; notebook 05 has both


def test_the_class_that_is_the_block_computes_what_the_plan_says() -> None:
    text = " ".join(section("Plan B: no computers").split())
    red, blue = sheet.RED_MAP, sheet.BLUE_MAP
    lit = blue + sheet.LAMP
    assert f"red adds up to {red.sum():g} and blue to {blue.sum():g}" in text
    assert f"the means are {red.mean():g} and {blue.mean():g}" in text
    assert f"blue adds up to {lit.sum():g}, and its mean is {lit.mean():g}" in text
    h = float(lit.mean() - red.mean())
    assert f"h = {lit.mean():g} − {red.mean():g} = {h:g}" in text
    gates = [sheet.gate_of_red(float(red.mean()), float(each.mean())) for each in (blue, lit)]
    assert gates == [1 / 2, 1 / 4]
    assert "h = 0 and s = ½" in text
    assert "so s = ½ − 0.25 = ¼" in text
    wall, by_day, at_night = (f"{factor * red.max():g}" for factor in (1, *gates))
    assert f"the wall's {wall} becomes {by_day}, with the lamp on {at_night}" in text


def test_numbers_of_the_plan_are_those_of_the_package() -> None:
    assert f"has {paper.TABLE_11['max']:.2f} % error for it and {paper.TABLE_11['mean']:.2f} % for" in (
        " ".join(TEXT.split())
    )
    assert f"{paper.TABLE_14['Identity']:.2f} % for it and {paper.TABLE_14['POST']:.2f} % for POST" in TEXT
    low = stats.binomtest(10, 10).proportion_ci(0.95, method="wilson").low
    assert f"begins at {100 * low:.0f} %" in TEXT
    added = 3 * cost.parameters(SqEx(24, 4))
    plain = cost.parameters(puzzles.painter())
    assert f"{added} more parameters, {added / plain:.0%}".replace("%", " %") + f" of {plain:,}" in TEXT
    before, after = paper.TABLE_2[50]
    assert f"falls from {before:.2f} to {after:.2f} % (Table 2)" in TEXT
