"""What was trained in advance: whole, small enough, and what the tables say of it."""

import math
from functools import partial

import pytest
import torch

from seblock import blocks, functional, networks, puzzles, trained

SE = partial(blocks.SqEx, reduction=4)
PAINTERS = {
    "painter_plain": ("plain", puzzles.painter),
    "painter_se": ("SE", partial(puzzles.painter, SE)),
    "painter_wider": ("wider field, longer", partial(puzzles.painter, dilations=(3, 6, 9))),
}


def test_all_together_have_at_most_16_megabytes() -> None:
    assert sum(path.stat().st_size for path in trained.FOLDER.iterdir() if path.is_file()) <= 16e6


@pytest.mark.parametrize("name", PAINTERS)
def test_a_shipped_painter_paints_as_the_table_says(name: str) -> None:
    label, build = PAINTERS[name]
    (row,) = (r for r in trained.table("painting") if r["network"] == label and r["seed"] == 0)
    test = puzzles.painting_puzzle(1000, 0, "test")
    with torch.no_grad():
        output = trained.load(build(), name)(test.x)
    own, other = (((output - t) ** 2).sum((1, 2, 3)) for t in (test.target, test.other))
    assert (own < other).double().mean().item() == pytest.approx(row["right"], abs=0.003)


@pytest.mark.parametrize(
    ("name", "networks_", "runs"), [("painting", 13, 1), ("reading", 4, 5), ("sides", 2, 1)]
)
def test_every_network_of_a_puzzle_has_its_seeds_without_a_gap(name: str, networks_: int, runs: int) -> None:
    """Up to ten; those that are missing can be trained by `python tools/trained.py puzzles`."""
    seeds: dict[str | float, list[str | float]] = {}
    for row in trained.table(name):
        seeds.setdefault(row["network"], []).append(row["seed"])
        assert 0 <= float(row["right"]) <= 1
    assert len(seeds) >= networks_
    assert all(sorted(found) == list(range(len(found))) for found in seeds.values())
    assert all(runs <= len(found) <= 10 for found in seeds.values())


def test_runs_are_those_of_the_common_recipe_by_seed_and_end_with_their_last_epoch() -> None:
    for network in ("resnet20", "se_resnet20", "constant_resnet20"):
        short = trained.runs(network, 6)
        assert list(short) == list(range(12))
        assert all([row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6] for rows in short.values())
        assert all(row["network"] == network for rows in short.values() for row in rows)
        assert all(rows[-1]["epoch"] == 30 for rows in trained.runs(network, 30).values())
    changed = [row for row in trained.table("fleet_runs") if row["beta"] or row["gate_decay"] == 0]
    kept = [row for rows in trained.runs("se_resnet20", 6).values() for row in rows]
    assert changed
    assert all(row["beta"] == 0 and math.isnan(row["gate_decay"]) for row in kept)
    assert trained.runs("resnet20", 7) == {}


@pytest.mark.parametrize("name", ["se_resnet20_6", "se_resnet20_24"])
def test_the_shipped_resnets_load_and_answer(name: str) -> None:
    network = trained.load(networks.build(name.rpartition("_")[0]), name)
    with torch.no_grad():
        assert network(torch.randn(2, 3, 32, 32)).isfinite().all()


def test_the_shipped_gates_are_what_the_shipped_weights_make_of_the_shipped_means() -> None:
    held, weights = trained.tensors("gates"), trained.tensors("se_resnet20_24")
    names = [name.removeprefix("s.") for name in held if name.startswith("s.")]
    assert len(names) == 9
    for name in names:
        w1, w2 = weights[f"{name}.fc.0.weight"], weights[f"{name}.fc.2.weight"]
        s = functional.excite(held[f"z.{name}"].float(), w1, w2)
        torch.testing.assert_close(s, held[f"s.{name}"].float(), atol=4e-3, rtol=0)


def test_a_field_that_reads_as_a_number_is_one_and_an_empty_one_is_no_number() -> None:
    assert trained.number("0.25") == 0.25
    assert trained.number("SE, 16 wide") == "SE, 16 wide"
    assert math.isnan(float(trained.number("")))


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(RuntimeError):
        trained.load(puzzles.painter(), "painter_se")
    with pytest.raises(FileNotFoundError):
        trained.tensors("no_such_file")


def test_rows_are_grouped_by_a_column_or_a_function_in_the_table_s_order() -> None:
    rows = [
        {"network": n, "seed": s, "right": r} for n, s, r in (("SE", 1, 0.9), ("plain", 0, 0.5), ("SE", 0, 1))
    ]
    assert trained.group(rows, "network", "right") == {"SE": [0.9, 1], "plain": [0.5]}
    assert list(trained.group(rows, "network")) == ["SE", "plain"]
    assert trained.group(rows, lambda row: row["seed"] == 0) == {False: rows[:1], True: rows[1:]}
