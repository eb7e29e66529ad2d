"""What was trained in advance: whole, small enough, and what the tables say of it."""

import copy
import importlib.util
import math
from functools import partial
from pathlib import Path

import pytest
import torch
from torch.nn.functional import interpolate

from seblock import blocks, cifar10, functional, gates, networks, others, puzzles, trained

ROOT = Path(__file__).parents[1]
SE = partial(blocks.SqEx, reduction=4)
PAINTERS = {
    "painter_plain": ("plain", puzzles.painter),
    "painter_se": ("SE", partial(puzzles.painter, SE)),
    "painter_eca": ("ECA", partial(puzzles.painter, others.ECA)),
    "painter_wider": ("wider field, longer", partial(puzzles.painter, dilations=(3, 6, 9))),
}


def test_all_together_have_at_most_16_megabytes() -> None:
    assert sum(path.stat().st_size for path in trained.FOLDER.iterdir() if path.is_file()) <= 16e6


@pytest.mark.parametrize("name", PAINTERS)
def test_a_shipped_painter_paints_as_the_table_says(name: str) -> None:
    label, build = PAINTERS[name]
    rows = trained.table("painting") + trained.table("after")
    (row,) = (r for r in rows if r["network"] == label and r["seed"] == 0)
    test = puzzles.painting_puzzle(1000, 0, "test")
    with torch.no_grad():
        output = trained.load(build(), name)(test.x)
    own, other = (((output - t) ** 2).sum((1, 2, 3)) for t in (test.target, test.other))
    assert (own < other).double().mean().item() == pytest.approx(row["right"], abs=0.003)


@pytest.mark.parametrize(
    ("weights", "label", "gate"),
    [("where_se", "SE", SE), ("where_spatial", "CBAM's spatial part", others.CBAMSpatial)],
)
def test_a_shipped_painter_of_places_paints_as_the_table_says(weights: str, label: str, gate) -> None:
    (row,) = (r for r in trained.table("where") if r["network"] == label and r["seed"] == 0)
    test = puzzles.where_puzzle(1000, 0, "test")
    network = trained.load(puzzles.painter(gate, width=12, inputs=2), weights)
    with torch.no_grad():
        output = network(test.x)
    grey = (test.target + test.other) / 2
    own, half = (((output - t) ** 2).sum((1, 2, 3)) for t in (test.target, grey))
    assert (own < half).double().mean().item() == pytest.approx(row["right"], abs=0.003)
    assert row["parameters"] == sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "networks_", "runs"),
    [("painting", 14, 10), ("reading", 4, 10), ("sides", 2, 4), ("where", 19, 10), ("after", 7, 10)],
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


SHIPPED = [path.stem for path in trained.FOLDER.glob("fleet_*.safetensors")]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_resnets_load_and_answer(name: str) -> None:
    network = trained.load(networks.build(name.removeprefix("fleet_").rsplit("_", 2)[0]), name)
    with torch.no_grad():
        assert network(torch.randn(2, 3, 32, 32)).isfinite().all()


@pytest.mark.parametrize("epochs", [6, 24])
def test_the_gates_that_follow_from_the_shipped_means_are_those_of_the_tables(epochs: int) -> None:
    held, weights = trained.tensors("squeezed"), trained.tensors(f"fleet_se_resnet20_{epochs}_0")
    rows = [row for row in trained.table("components") if (row["epochs"], row["seed"]) == (epochs, 0)]
    assert [str(row["block"]) for row in rows] == [f"{i}.{j}" for i in (1, 2, 3) for j in (1, 2, 3)]
    for row in rows:
        stage, block = (int(part) - 1 for part in str(row["block"]).split("."))
        fc = f"stages.{stage}.{block}.gates.standard.fc"
        z = held[f"{epochs}.{row['block']}"].float()
        s = functional.excite(z, weights[f"{fc}.0.weight"], weights[f"{fc}.2.weight"]).double()
        assert s.std(0).mean().item() == pytest.approx(row["spread of s"], rel=0.01, abs=1e-5)
        squares = torch.linalg.svdvals(s - s.mean(0)).square()
        assert (squares[0] / squares.sum()).item() == pytest.approx(row["component 1"], abs=2e-3)


def test_every_examined_network_has_the_same_rows_and_its_counts_agree() -> None:
    rows = trained.table("interventions")
    found = trained.group(rows, lambda row: (row["epochs"], row["seed"]))
    assert {(24, 0), (24, 1), (24, 2)} < set(found)
    (kinds,) = {tuple((row["gates"], row["within"]) for row in of) for of in found.values()}
    assert len(kinds) == 30
    assert kinds[0] == ("own", "all")
    for of in found.values():
        for row in of:
            assert row["right"] == of[0]["right"] + row["won"] - row["lost"]
    for name, of_one in (("components", 9), ("readouts", 42)):
        by_run = trained.group(trained.table(name), lambda row: (row["epochs"], row["seed"]))
        assert set(by_run) >= set(found)
        assert {len(of) for of in by_run.values()} == {of_one}
    assert len({run for run in by_run if run[0] == 24}) == 3


def test_a_column_of_gates_is_found_by_network_epochs_and_change() -> None:
    assert trained.by_block("fleet_gates", "mean").shape == (12, 9)
    assert trained.by_block("fleet_gates", "mean", epochs=24, epoch=3).shape == (3, 9)
    (row,) = (
        row
        for row in trained.table("fleet_gates")
        if (row["gate_decay"], row["seed"], row["gate"]) == (0, 2, "stages.1.2.gates.standard")
    )
    assert trained.by_block("fleet_gates", "between images", gate_decay=0)[2, 5].item() == pytest.approx(
        row["between images"]
    )
    with pytest.raises(ValueError, match="no rows of resnet20"):
        trained.by_block("fleet_gates", "mean", "resnet20")


def test_classes_average_to_the_block_s_mean_and_to_its_share_between_classes() -> None:
    """CIFAR-10 has as many test images of each class, so variances of means and means of variances do."""
    for epochs in (6, 24, 30):
        means = trained.by_block("fleet_gates", "mean", epochs=epochs)
        shares = trained.by_block("fleet_gates", "between classes", epochs=epochs)
        spreads = trained.by_block("fleet_gates", "between images", epochs=epochs)
        classes = trained.classes(epochs=epochs)
        for of_seed, mean, share, spread in zip(classes, means, shares, spreads, strict=False):
            assert [of.mean.shape for of in of_seed] == [of.spread.shape for of in of_seed]
            assert [of.mean.shape[0] for of in of_seed] == [10] * 9
            found = torch.stack([of.mean.mean() for of in of_seed])
            torch.testing.assert_close(found, mean, atol=2e-4, rtol=0)
            for of, expected, loud in zip(of_seed, share, spread > 0.005, strict=True):
                between, within = of.mean.var(0, correction=0).sum(), of.spread.square().mean(0).sum()
                assert not loud or between / (between + within) == pytest.approx(float(expected), abs=0.01)
    with pytest.raises(ValueError, match="no rows of resnet20 with 6 epochs"):
        trained.classes("resnet20")


def test_spreads_are_those_of_all_and_of_the_first_component() -> None:
    rows = trained.select("fleet_gates", network="se_resnet20", epochs=24, epoch=5, seed=1)
    row = next(row for row in rows if row["gate"] == "stages.1.0.gates.standard")
    found = trained.spreads(5)
    assert found.shape == (3, 9, 2)
    expected = [row["between images"], row["spread 1"] / 32**0.5]
    assert found[1, 3].tolist() == pytest.approx(expected)
    for epoch in range(1, 25):
        of = trained.spreads(epoch)
        assert (of[..., 1] <= of[..., 0] + 1e-4).all()  # a part is no larger than the whole


@torch.no_grad()
def test_the_tool_s_answers_with_other_gates_are_the_package_s() -> None:
    spec = importlib.util.spec_from_file_location("tool", ROOT / "tools" / "trained.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    network = trained.load(networks.build("se_resnet20"), "fleet_se_resnet20_6_0")
    draw = torch.Generator().manual_seed(0)
    x = interpolate(255 * torch.rand(120, 3, 4, 4, generator=draw), size=(32, 32), mode="bilinear")
    fused = tool.fuse(copy.deepcopy(network))
    z, own = tool.squeeze_all(fused, x)
    assert torch.equal(own, network(cifar10.normalise(x)).argmax(1))
    assert len(own.unique()) > 2
    s = tool.excite_all(network, z)
    names = [f"stages.{stage}.{block}.gates.standard" for stage in range(3) for block in range(3)]
    for blocks_ in ([0], [4, 5], list(range(9))):
        other = {b: s[b].flip(0) * 1.5 for b in blocks_}
        (answers,) = tool.answer_all(fused, x, [tool.Change("", "", other)])
        with gates.replaced(network, {names[b]: rows for b, rows in other.items()}):
            assert torch.equal(answers, network(cifar10.normalise(x)).argmax(1))
    assert torch.equal(tool.squeeze_all(fused, x)[1], own), "its gates are its own again"


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
