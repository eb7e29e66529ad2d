"""The paper's ablations, small: the table, what makes it, and what is read from it."""

import csv
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from scipy import stats
from torch import nn

from seblock import ablations, blocks, cifar10, cost, networks, paper, trained
from tools import ablations as maker


def test_a_row_comes_out_again_from_its_seed():
    for variant in ("SE", "ReLU"):
        row = trained.select("ablations", task="digits", variant=variant, seed=3)[0]
        again = maker.train_one("digits", variant, seed=3)
        assert {
            name: again[name] for name in ("task", "variant", "parameters", "epochs", "peak", "seed")
        } == {name: row[name] for name in ("task", "variant", "parameters", "epochs", "peak", "seed")}
        assert again["right"] == pytest.approx(row["right"], abs=0.01)  # another processor rounds otherwise


def test_every_variant_of_every_task_has_the_same_seeds_and_at_least_ten():
    rows = trained.select("ablations")
    for name, task in maker.TASKS.items():
        seeds = {
            v: sorted(int(r["seed"]) for r in rows if (r["task"], r["variant"]) == (name, v))
            for v in task.networks
        }
        counts = {len(found) for found in seeds.values()}
        assert len(counts) == 1, (name, seeds)
        assert min(counts) >= 10
        assert all(found == list(range(len(found))) for found in seeds.values())


def test_parameters_in_the_table_are_those_of_the_networks():
    for name, task in maker.TASKS.items():
        for variant, build in task.networks.items():
            row = trained.select("ablations", task=name, variant=variant)[0]
            assert row["parameters"] == sum(p.numel() for p in build().parameters()), (name, variant)


def test_cifar10_rows_are_the_fleets():
    with open(trained.FOLDER / "fleet_runs.csv", newline="", encoding="utf-8") as file:
        fleet = {
            (row["network"], row["seed"]): row["test_accuracy"]
            for row in csv.DictReader(file)
            if row["epochs"] == row["epoch"] == "6" and not row["gate_decay"] and float(row["beta"]) == 0
        }
    rows = trained.select("ablations", task="CIFAR-10")
    assert len(rows) >= 5 * 11
    for row in rows:
        told = fleet[maker.CIFAR10[row["variant"]], str(int(row["seed"]))]
        assert float(told) == row["right"]


def test_cifar10_rows_are_made_of_the_fleets_last_epochs():
    rows = {(row["variant"], row["seed"]): row for row in trained.select("ablations", task="CIFAR-10")}
    made = {(row["variant"], row["seed"]): row for row in maker.fleet_rows()}
    assert made.keys() == rows.keys()
    for key, row in rows.items():
        again = {
            name: trained.number(value) if name == "peak" else value for name, value in made[key].items()
        }
        assert {name: value for name, value in row.items() if name in again} == again


def test_the_fleets_networks_are_the_variants_that_they_stand_for():
    build = {name: networks.build(network) for name, network in maker.CIFAR10.items()}
    gates = {
        name: [m for m in network.modules() if isinstance(m, blocks.SELayer)]
        for name, network in build.items()
    }
    for r in (2, 4, 8, 16):
        assert {gate.channel // gate.fc[0].out_features for gate in gates[f"r = {r}"]} == {r}
    lasts = {"tanh": nn.Tanh, "ReLU": nn.ReLU, "hard sigmoid": nn.Hardsigmoid, "SE": nn.Sigmoid}
    for name, last in lasts.items():
        assert {type(gate.fc[-1]) for gate in gates[name]} == {last}
    for place in (1, 2, 3):
        assert {gate.channel for gate in gates[f"place {place}"]} == {8 * 2**place}
    for placement in networks.PLACEMENTS[1:]:
        stack = [m for m in build[placement].modules() if isinstance(m, networks.ResidualBlock)]
        assert all(isinstance(block.gates[placement], blocks.SELayer) for block in stack)
    kinds = {"plain": nn.Identity, "constant": blocks.ConstantGate, "no squeeze": blocks.NoSqueeze}
    for name, kind in kinds.items():
        stack = [m for m in build[name].modules() if isinstance(m, networks.ResidualBlock)]
        assert all(isinstance(block.gates["standard"], kind) for block in stack)
    u = torch.randn(2, 16, 5, 3, generator=torch.Generator().manual_seed(0))
    gate = gates["max"][0]
    assert torch.allclose(gate(u), gate.fc(u.amax((2, 3)))[:, :, None, None] * u)


def test_what_is_trained_takes_its_place_among_what_is_there(monkeypatch):
    names = ["plain", "end of the branch", "after the 3×3"]
    task = "digits, bottlenecks"
    there = {"task": task, "variant": "plain", "seed": "1", "right": "0.5"}
    former = {"task": "CIFAR-10", "variant": "SE", "seed": "7", "right": "0.1"}
    fleets = {"task": "CIFAR-10", "variant": "SE", "seed": 0, "right": 0.8}
    asked, written = [], []

    def train(task, variant, seed, device):
        asked.append((variant, seed, device))
        return {"task": task, "variant": variant, "seed": seed, "right": 0.75}

    monkeypatch.setattr(maker, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    monkeypatch.setattr(maker, "rows_of", lambda name: [dict(former), dict(there)])
    monkeypatch.setattr(maker, "fleet_rows", lambda: [fleets])
    monkeypatch.setattr(maker, "train_one", train)
    monkeypatch.setattr(maker, "write", lambda name, rows: written.append((name, list(rows))))
    maker.train_all([task], 2, 1, "meta")
    wanted = [(name, seed) for name in names for seed in (0, 1)]
    assert sorted(asked) == sorted((*each, "meta") for each in wanted if each != ("plain", 1))
    assert {name for name, _ in written} == {"ablations"}
    *rows, last = written[-1][1]
    assert [(row["variant"], int(row["seed"])) for row in rows] == wanted
    assert rows[1] == there
    assert last == fleets
    asked.clear()
    written.clear()
    maker.train_all([task], 0, 1, "cpu")  # nothing to train: the fleet's rows are brought in all the same
    assert not asked
    assert written == [("ablations", [there, fleets])]


def test_small_photographs_are_means_of_two_by_two_pixels_of_the_part_that_is_asked_for(monkeypatch):
    images = {part: torch.randint(256, (6, 3, 32, 32), dtype=torch.uint8) for part in ("train", "test")}
    classes = {"train": torch.arange(6), "test": torch.arange(6) + 1}
    asked = []

    def load(directory, part, images_=None, **named):
        asked.append((directory, images_ or named["images"]))
        return cifar10.Images(images[part], classes[part])

    monkeypatch.setattr(maker.cifar10, "load", load)
    monkeypatch.setenv(maker.DATA, "somewhere")
    for part in ("train", "test"):
        x, y = maker.photos_of.__wrapped__(part)
        expected = cifar10.normalise(images[part]).unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean((3, 5))
        torch.testing.assert_close(x, expected)
        assert torch.equal(y, classes[part])
    assert asked == [("somewhere", 10_000)] * 2


def test_what_is_missing_leaves_out_what_is_there():
    rows = [{"task": "digits, bottlenecks", "variant": "plain", "seed": "0"}]
    assert maker.missing(rows, ["digits, bottlenecks"], seeds=2) == [
        ("digits, bottlenecks", "end of the branch", 0),
        ("digits, bottlenecks", "after the 3×3", 0),
        ("digits, bottlenecks", "plain", 1),
        ("digits, bottlenecks", "end of the branch", 1),
        ("digits, bottlenecks", "after the 3×3", 1),
    ]


def test_networks_never_learn_from_the_digits_that_they_are_asked():
    asked, classes = maker.digits_of("test")
    assert len(asked) == len(classes) == 1000
    for seed in (0, 1):
        x, y = maker.digits_of("train", seed)
        assert x.shape == (400, 3, 8, 8)
        assert y.shape == (400,)
        both = torch.cat([asked, x]).flatten(1)
        assert len(both.unique(dim=0)) == 1400
    assert not torch.equal(x, maker.digits_of("train", 0)[0])


def test_a_network_is_judged_on_other_puzzles_than_it_learns_from():
    seen = {}

    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            seen["x"] = x
            return x[:, :1]

    task = maker.TASKS["puzzle, 16 wide"]
    right = task.right(Looks())
    assert 0.4 < right < 0.6  # it always paints the first digit

    def digits(x):
        return {tuple(d[d > 0].tolist()) for d in x[:, 0]}

    x, _ = task.data(0)
    assert not digits(x) & digits(seen["x"])


@pytest.mark.parametrize("place", [1, 2, 3])
def test_a_gate_at_one_place_only(place):
    for build in (maker.TASKS["puzzle, 16 wide"], maker.TASKS["digits"]):
        network = build.networks[f"place {place}"]()
        kinds = [m for m in network.modules() if isinstance(m, blocks.SELayer | networks.ResidualBlock)]
        if any(isinstance(m, networks.ResidualBlock) for m in kinds):
            gated = [
                isinstance(m.gates["standard"], blocks.SELayer)
                for m in kinds
                if isinstance(m, networks.ResidualBlock)
            ]
        else:
            gated = [isinstance(network[i], blocks.SELayer) for i in (3, 7, 11)]
        assert gated == [number == place for number in (1, 2, 3)]


def test_each_variant_changes_what_it_says():
    u = torch.randn(2, 16, 5, 3, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    gates = {name: build(16) for name, build in maker.GATES.items()}
    assert [gates[f"r = {r}"].fc[0].out_features for r in (2, 8, 16)] == [8, 2, 1]
    assert gates["SE"].fc[0].out_features == 4
    lasts = {"tanh": nn.Tanh, "ReLU": nn.ReLU, "hard sigmoid": nn.Hardsigmoid, "SE": nn.Sigmoid}
    for name, last in lasts.items():
        assert isinstance(gates[name].fc[-1], last)
    of = gates["max"]
    assert torch.allclose(of(u), of.fc(u.amax((2, 3)))[:, :, None, None] * u)
    assert gates["plain"](u) is u


def test_where_the_gate_of_a_bottleneck_stands():
    task = maker.TASKS["digits, bottlenecks"].networks
    outer, inner = task["end of the branch"](), task["after the 3×3"]()
    wide = [m.channel for m in outer.modules() if isinstance(m, blocks.SELayer)]
    narrow = [m.channel for m in inner.modules() if isinstance(m, blocks.SELayer)]
    assert wide == [32, 64, 128]
    assert narrow == [8, 16, 32]
    assert cost.parameters(task["plain"]()) < cost.parameters(inner) < cost.parameters(outer)
    for block in (m for m in inner.modules() if isinstance(m, networks.ResidualBlock)):
        before, gate, after = block.branch[5:8]
        assert (type(before), type(gate), after.kernel_size) == (nn.ReLU, blocks.SELayer, (1, 1))


def test_a_residual_painters_gates_stand_where_they_are_asked_to():
    for placement in networks.PLACEMENTS:
        network = maker.residual_painter(maker.changed, placement)
        found = [m for m in network.modules() if isinstance(m, networks.ResidualBlock)]
        assert len(found) == 2
        assert all(isinstance(m.gates[placement], blocks.SELayer) for m in found)


def test_the_residual_painter_cannot_see_the_cue_without_gates():
    network = maker.residual_painter().eval()
    x = torch.rand(1, 3, 20, 20, requires_grad=True)
    network(x)[:, :, :13, :13].sum().backward()
    assert x.grad[:, 2, -4:, -4:].abs().max() == 0


def test_newcombes_interval():
    # Newcombe 1998, Table II, (e): 9/10 − 3/10 is 0.1705 to 0.8090 by method 10.
    assert ablations.newcombe(9, 3, 10) == pytest.approx((0.6, 0.1705, 0.8090), abs=5e-5)
    mean, low, high = ablations.newcombe(10, 10, 10)
    assert mean == 0
    assert low < -0.2
    assert high > 0.2


def test_a_difference_is_the_variants_less_ses_with_its_interval():
    with open(trained.FOLDER / "ablations.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["task"] == "digits"]
    of = {v: [float(r["right"]) for r in rows if r["variant"] == v] for v in ("max", "SE")}
    d = [100 * (a - b) for a, b in zip(of["max"], of["SE"])]
    found = ablations.compare("digits", "max")
    low, high = stats.ttest_1samp(d, 0).confidence_interval()
    assert (found.mean, found.low, found.high) == pytest.approx((sum(d) / len(d), low, high))
    assert found.runs == len(d)
    assert ablations.compare("digits", "nothing") is None


def test_a_difference_is_of_the_seeds_that_both_have_and_of_a_puzzle_of_the_runs_that_solve_it(monkeypatch):
    right = {"SE": [0.99, 0.95, 0.5, 0.4], "max": [0.5, 0.91, 0.6, 0.4, 0.99], "tanh": [0.99]}
    right["no squeeze"] = right["max"]
    rows = [
        {"task": task, "variant": variant, "seed": seed, "right": share}
        for task in ("puzzle, small", "digits")
        for variant, shares in right.items()
        for seed, share in enumerate(shares)
    ]
    monkeypatch.setattr(
        trained,
        "select",
        lambda name, **wanted: [row for row in rows if all(row[k] == v for k, v in wanted.items())],
    )
    found = ablations.compare("puzzle, small", "max")
    expected = [100 * value for value in ablations.newcombe(1, 2, 4)]
    assert (found.mean, found.low, found.high) == pytest.approx(expected)
    assert (found.runs, round(found.mean)) == (4, -25)
    of_digits = ablations.compare("digits", "max")
    assert of_digits.mean == pytest.approx(100 * (sum(right["max"][:4]) - sum(right["SE"])) / 4)
    assert ablations.compare("digits", "tanh") is None  # of a single seed
    assert [(d.variant, d.task) for d in ablations.compare_all("Tables 11 and 16")] == [
        (variant, task) for variant in ("max", "no squeeze") for task in ("puzzle, small", "digits")
    ]


@pytest.mark.parametrize(
    ("mean", "half", "published", "verdict"),
    [
        (-1.0, 0.5, -1.2, "agrees"),
        (1.0, 0.5, 0.4, "agrees"),
        (1.0, 0.5, -1.2, "disagrees"),
        (-1.0, 1.5, -1.2, "can't tell"),
        (-1.0, 0.5, None, "finds a difference"),
        (-1.0, 0.5, 0.05, "finds a difference"),
    ],
)
def test_the_verdict_follows_from_the_interval(mean, half, published, verdict):
    found = ablations.Difference("digits", "max", mean, mean - half, mean + half, 10, published)
    assert found.verdict == verdict


def test_a_difference_says_itself_in_a_line():
    found = ablations.Difference("digits", "ReLU", -2.99, -4.11, -1.87, 10, -1.19)
    assert str(found) == "ReLU, digits: −3.0 points, −4.1 to −1.9 (10 runs each); the paper −1.19: agrees"
    found = ablations.Difference("digits", "constant", 0.04, -0.2, 0.28, 20, None)
    assert str(found) == "constant, digits: 0.0 points, −0.2 to +0.3 (20 runs each): can't tell"


def test_the_papers_differences_are_negative_where_its_error_is_higher():
    told = {name: value for table in ablations.VARIANTS.values() for name, value in table.items()}
    assert told["ReLU"] == pytest.approx(-1.19)
    assert told["tanh"] == pytest.approx(-0.72)
    assert told["plain"] == pytest.approx(-1.02)
    assert told["no squeeze"] == pytest.approx(-0.65)
    assert told["POST"] == pytest.approx(-0.50)
    assert told["PRE"] == pytest.approx(0.05)
    assert told["place 3"] == pytest.approx(-0.40)
    assert told["r = 2"] == pytest.approx(0.02)
    assert told["r = 8"] == pytest.approx(-0.44)
    assert told["Identity"] == pytest.approx(0.08)
    assert (told["place 1"], told["place 2"]) == pytest.approx((-0.75, -0.76))
    assert told["max"] == pytest.approx(-0.29)
    assert told["after the 3×3"] == pytest.approx(-0.20)
    assert paper.TABLE_16 == {"NoSqueeze": 22.93, "SE": 22.28}
    variants = {v for task in maker.TASKS.values() for v in task.networks} - set(ablations.SE_NAMES)
    assert variants == set(told)
