"""Who makes the tables is tested too: each maker of tools/ in small, beside the same by hand."""

import csv
import dataclasses
import importlib.util
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from seblock import cifar10, gates, lines, networks, others, puzzles, scanner, trained

TOOLS = Path(__file__).parents[1] / "tools"


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"making_{name}", TOOLS / f"{name}.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = tool
    spec.loader.exec_module(tool)
    return tool


makes = load_tool("trained")
scans = load_tool("scanner")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the makers write instead of in seblock/trained, and 60 images to learn from, 100 to be asked."""
    monkeypatch.setattr(makes, "FOLDER", tmp_path)
    monkeypatch.setattr(makes, "LEARNED", 60)
    monkeypatch.setattr(makes, "JUDGED", 100)
    return tmp_path


@pytest.fixture
def lessons(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """What was to be learned, call by call; shipped weights are learned, where there are some."""
    calls: list[tuple] = []

    def learn(network: nn.Module, x: Tensor, y: Tensor, loss: object, *how: float) -> None:
        calls.append((x, y, loss, *how))
        weights = SHIPPED.get(sum(p.numel() for p in network.parameters()))
        if weights:
            network.load_state_dict(trained.tensors(weights))
        network.eval()

    monkeypatch.setattr(makes, "learn", learn)
    return calls


SHIPPED = {
    sum(
        tensor.numel()
        for key, tensor in trained.tensors(name).items()
        if "running" not in key and "num" not in key
    ): name
    for name in ("painter_se", "painter_plain", "painter_eca", "where_se", "where_spatial")
}
"""The shipped weights by how many parameters their networks have."""


def painted(network: nn.Module, x: Tensor, s: dict[str, Tensor]) -> Tensor:
    """A painter's output if its gates are those given, layer by layer."""
    for name, layer in network.named_children():
        x = x * s[name][:, :, None, None] if name in s else layer(x)
    return x


@torch.no_grad()
def test_a_painter_is_judged_on_test_digits_with_its_own_gates_and_with_others(
    folder: Path, lessons: list[tuple]
) -> None:
    row = makes.paint("SE", 3)
    network = trained.load(puzzles.painter(makes.SE), "painter_se")
    test = puzzles.painting_puzzle(100, 0, "test")
    own: dict[str, Tensor] = {}
    for name in ("3", "7", "11"):
        network.get_submodule(name).nonlin2.register_forward_hook(
            lambda _gate, _a, s, name=name: own.update({name: s})
        )
    output = network(test.x)

    def right(s: dict[str, Tensor]) -> float:
        return round(float(test.painted(painted(network, test.x, s)).float().mean()), 4)

    def of_cue(s: Tensor, cue: Tensor) -> Tensor:
        return torch.stack([s[test.cue == c].mean(0) for c in cue.tolist()])

    mine, others = ({k: of_cue(s, cue) for k, s in own.items()} for cue in (test.cue, 1 - test.cue))
    middle = {k: s.mean(0).expand_as(s) for k, s in own.items()}
    expected = {
        "right": round(float(test.painted(output).float().mean()), 4),
        "at its cue's mean": right(mine),
        "at the other cue's mean": right(others),
        "at the mean of all": right(middle),
    }
    for number, name in enumerate(own, start=1):
        expected[f"block {number} at the other cue's mean"] = right({name: others[name]})
        expected[f"block {number} at the mean of all"] = right({name: middle[name]})
    assert expected["at its cue's mean"] > 0.9 > 0.1 > expected["at the other cue's mean"]
    assert {k: row[k] for k in expected} == pytest.approx(expected, abs=0.011)
    assert list(row)[:6] == ["network", "parameters", "epochs", "peak", "seed", "right"]
    assert (row["network"], row["parameters"], row["epochs"], row["peak"], row["seed"]) == (
        *("SE", 12_139, 12),
        *(2e-2, 3),
    )


@torch.no_grad()
def test_a_painter_learns_from_its_seed_s_training_digits_and_of_seed_0_alone_the_weights_are_kept(
    folder: Path, lessons: list[tuple]
) -> None:
    test = puzzles.painting_puzzle(100, 0, "test")
    plain = float(test.painted(trained.load(puzzles.painter(), "painter_plain")(test.x)).float().mean())
    painters, kept = (
        (("SE", 1), ("plain", 2), ("plain", 0), ("SE, lower rate", 0), ("SE", 0)),
        (0, 0, 1, 1, 2),
    )
    for (name, seed), files in zip(painters, kept, strict=True):
        row = makes.paint(name, seed)
        assert len(list(folder.iterdir())) == files
        x, y, loss, *how = lessons[-1]
        learned = puzzles.painting_puzzle(60, seed)
        assert torch.equal(x, learned.x)
        assert torch.equal(y, learned.target)
        assert loss is F.mse_loss
        assert how == [seed, row["epochs"], row["peak"]] == [seed, 12, 5e-3 if "rate" in name else 2e-2]
        if name == "plain":
            assert row["right"] == pytest.approx(plain, abs=1e-4)
            assert "at the mean of all" not in row
    for name in ("painter_plain", "painter_se"):
        torch.testing.assert_close(load_file(folder / f"{name}.safetensors"), trained.tensors(name))


@torch.no_grad()
def test_a_u_net_learns_its_seed_s_scenes_and_is_judged_on_the_same_test_scenes(
    folder: Path, lessons: list[tuple]
) -> None:
    row = makes.segment("skips, lower rate", 4)
    ((x, ink, loss, *how),) = lessons
    learned = puzzles.scenes(1000, 4)
    assert torch.equal(x, learned.x)
    assert torch.equal(ink, learned.ink)
    assert loss is F.binary_cross_entropy_with_logits
    assert how == [4, 8, 5e-3]
    torch.manual_seed(4)
    network = puzzles.UNet(makes.SE, ["skips"]).eval()
    test = puzzles.scenes(1000, 0, "test")
    assert row == {
        "network": "skips, lower rate",
        "parameters": sum(p.numel() for p in network.parameters()),
        "epochs": 8,
        "peak": 5e-3,
        "seed": 4,
        "overlap": pytest.approx(test.overlap(network(test.x)).item(), abs=2e-3),
    }
    assert not list(folder.iterdir())


@torch.no_grad()
def test_a_larger_image_is_painted_and_its_side_is_told(folder: Path, lessons: list[tuple]) -> None:
    row = makes.paint("SE, side 40", 0)
    assert lessons[0][0].shape == (60, 3, 40, 40)
    test = puzzles.painting_puzzle(100, 0, "test", 40)
    output = trained.load(puzzles.painter(makes.SE), "painter_se")(test.x)
    assert row["right"] == pytest.approx(float(test.painted(output).float().mean()), abs=0.006)
    assert row["side"] == 40
    assert not list(folder.iterdir())


@torch.no_grad()
def test_a_reader_is_asked_for_the_named_digit(
    folder: Path, lessons: list[tuple], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = makes.read("SE", 4)
    x, y, loss, *how = lessons[0]
    learned = puzzles.painting_puzzle(60, 4)
    assert torch.equal(x, learned.x)
    assert torch.equal(y, learned.named)
    assert loss is F.cross_entropy
    assert how == [4, 36, 5e-3]
    torch.manual_seed(4)
    test = puzzles.painting_puzzle(100, 0, "test")
    answers = makes.READERS["SE"].build().eval()(test.x).argmax(1)
    assert row["right"] == pytest.approx(float((answers == test.named).double().mean()), abs=0.006)
    assert row["the other digit"] == pytest.approx(
        float((answers == test.unnamed).double().mean()), abs=0.006
    )
    assert row["right"] != row["the other digit"]


def test_learning_is_adamw_on_one_cycle_over_orders_that_the_seed_draws() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(140, 4), torch.randn(140, 2)
    network, twin = nn.Linear(4, 2), nn.Linear(4, 2)
    twin.load_state_dict(network.state_dict())
    makes.learn(network, x, y, F.mse_loss, seed=5, epochs=3, peak=0.1)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=6)
    draw = torch.Generator().manual_seed(5)
    for _ in range(3):
        order = torch.randperm(140, generator=draw)
        for rows in (order[:64], order[64:128]):  # the last 12 do not fill a batch
            optimizer.zero_grad()
            F.mse_loss(twin(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    torch.testing.assert_close(network.state_dict(), twin.state_dict())
    assert not network.training


def test_only_what_a_table_misses_is_made_and_its_rows_are_in_order(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, int]] = []

    def fake(name: str, seed: int) -> dict[str, object]:
        made.append((name, seed))
        return {"network": name, "seed": seed, "right": 0.5}

    monkeypatch.setattr(makes, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    monkeypatch.setattr(makes, "READERS", dict.fromkeys(("plain", "SE")))
    monkeypatch.setattr(makes, "read", fake)
    makes.write("reading", [{"network": "SE", "seed": 1, "right": 0.25}])
    makes.train_puzzles(["reading"], seeds=2, processes=1)
    assert made == [("plain", 0), ("SE", 0), ("plain", 1)]
    with open(folder / "reading.csv", newline="") as file:
        rows = [tuple(row.values()) for row in csv.DictReader(file)]
    assert rows == [("plain", "0", "0.5"), ("plain", "1", "0.5"), ("SE", "0", "0.5"), ("SE", "1", "0.25")]
    assert makes.rows_of("no such table") == []


def test_other_gates_come_from_training_images_or_other_test_images() -> None:
    torch.manual_seed(0)
    channels = (4, 3, 5) * 3
    s, s_train = ([torch.rand(n, c) for c in channels] for n in (12, 15))
    y, y_train = torch.arange(12) % 3, torch.arange(15).flip(0) % 3
    found = {(c.what, c.within): c.s for c in makes.changes(s, s_train, y, y_train)[::-1]}
    order = [torch.randperm(12, generator=torch.Generator().manual_seed(k)) for k in range(3)]
    assert sorted(found["channel's mean", "stage 2"]) == [3, 4, 5]
    assert sorted(found["channel's mean", "block 3.1"]) == [6]
    assert sorted(found["another image's", "stage 3"]) == [6, 7, 8]
    for b, (of, of_train) in enumerate(zip(s, s_train, strict=True)):
        mean = of_train.mean(0)
        torch.testing.assert_close(found["channel's mean", "all"][b], mean)
        torch.testing.assert_close(found["another image's", "all"][b], of[order[0]])
        by_class = torch.stack([of_train[y_train == c].mean(0) for c in y.tolist()])
        torch.testing.assert_close(found["class's mean", "all"][b], by_class)
        torch.testing.assert_close(found["block's mean", "all"][b], mean.mean().expand(len(mean)))
        axes = torch.linalg.eigh((of_train - mean).T @ (of_train - mean)).eigenvectors.flip(1)
        for kept, name in ((1, "1 component"), (2, "2 components")):
            part = (of - mean) @ axes[:, :kept] @ axes[:, :kept].T
            torch.testing.assert_close(found[name, "all"][b], mean + part, rtol=0, atol=1e-4)
            if kept == 1:
                torch.testing.assert_close(
                    found["without component 1", "all"][b], of - part, rtol=0, atol=1e-4
                )
        for name, value in (("one half", 0.5), ("one", 1)):
            assert (found[name, "all"][b] == value).all()
    shuffles = [c.s[0] for c in makes.changes(s, s_train, y, y_train) if c[:2] == ("another image's", "all")]
    assert all(torch.equal(rows, s[0][by]) for rows, by in zip(shuffles, order, strict=True))


def smooth(n: int, seed: int) -> cifar10.Images:
    """Images of bytes without fine grain, which the shipped networks take for different classes."""
    draw = torch.Generator().manual_seed(seed)
    x = F.interpolate(255 * torch.rand(n, 3, 4, 4, generator=draw), size=(32, 32), mode="bilinear")
    return cifar10.Images(x.to(torch.uint8), torch.randint(10, (n,), generator=draw))


@torch.no_grad()
def test_a_network_is_examined_on_test_images_and_its_other_gates_are_those_of_training_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "fleet_se_resnet20_6_0"
    network = trained.load(networks.build("se_resnet20"), name)
    parts = {"train": smooth(80, 1), "test": smooth(80, 2)}
    known = network(cifar10.normalise(parts["test"].x)).argmax(1)  # of three in four, so that it knows most
    parts["test"].y.copy_(torch.where(torch.arange(80) % 4 > 0, known, (known + 1) % 10))
    monkeypatch.setattr(makes.cifar10, "load", lambda _directory, part, n: parts[part] if n == 80 else None)
    monkeypatch.setattr(makes, "IMAGES", 40)
    monkeypatch.setattr(makes, "describe", lambda *_: [])
    monkeypatch.setattr(makes, "read_out", lambda *given: given[1:])
    measure, measured = makes.measure_batch_norms, []
    monkeypatch.setattr(makes, "measure_batch_norms", lambda net, x: measured.append(x) or measure(net, x))
    changes, asked = makes.changes, []
    monkeypatch.setattr(makes, "changes", lambda *given: asked.append(given) or changes(*given))
    found = makes.examine(Path(), trained.FOLDER / f"{name}.safetensors", "se_resnet20", closely=True)
    x, y = parts["test"].x[:40], parts["test"].y[:40]

    def z_of(images: Tensor) -> list[Tensor]:
        return list(gates.record(network, [cifar10.normalise(images)], squeezed=True).z.values())

    z_fit, y_fit, z, labels = found["readouts"]
    for mine, images in ((z_fit, parts["test"].x[40:]), (z, x)):
        torch.testing.assert_close(mine, [of.float() for of in z_of(images)], rtol=5e-3, atol=5e-3)
    assert torch.equal(y_fit, parts["test"].y[40:])
    assert torch.equal(labels, y)
    assert torch.equal(found["labels"], y)
    rows = {(row["gates"], row["within"]): row for row in found["interventions"][::-1]}

    own = network(cifar10.normalise(x)).argmax(1) == y

    def counts(answers: Tensor) -> dict[str, int]:
        right = answers == y
        return {
            "right": int(right.sum()),
            "lost": int((own & ~right).sum()),
            "won": int((right & ~own).sum()),
        }

    def agree(key: tuple[str, str], answers: Tensor, most: int = 1) -> None:
        for column, value in counts(answers).items():
            assert abs(rows[key][column] - value) <= most, (key, column)

    agree(("own", "all"), network(cifar10.normalise(x)).argmax(1), 0)
    learned = gates.record(network, [cifar10.normalise(parts["train"].x[:40])])
    assert len(measured) == 3
    assert all(torch.equal(of, parts["train"].x[:40]) for of in measured)
    ((s, s_train, y_s, y_train),) = asked
    assert torch.equal(y_s, y)
    assert torch.equal(y_train, parts["train"].y[:40])
    for mine, part in ((s, gates.record(network, [cifar10.normalise(x)])), (s_train, learned)):
        for ours, theirs in zip(mine, part.s.values(), strict=True):
            torch.testing.assert_close(
                ours.nan_to_num(), theirs.float().where(~theirs.isnan(), ours), rtol=0, atol=2e-3
            )
    for within, key in (("", "all"), ("stages.1", "stage 2"), ("stages.2.1", "block 3.2")):
        with gates.frozen(network, learned, within):
            agree(("channel's mean", key), network(cifar10.normalise(x)).argmax(1))
    with gates.clamped(network, learned):
        agree(("one", "all"), network(cifar10.normalise(x)).argmax(1), 0)
        anew = network.train()
        for module in anew.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        anew(cifar10.normalise(parts["train"].x[:40]))
        answers = anew.eval()(cifar10.normalise(x)).argmax(1)
    trained.load(network, name)
    agree(("one, BatchNorm anew", "all"), answers)
    assert len({tuple(row.values())[2:] for row in found["interventions"]}) > 8


@torch.no_grad()
def test_what_describes_a_network_makes_the_table_s_rows_again() -> None:
    held = trained.tensors("squeezed")
    network = trained.load(networks.build("se_resnet20"), "fleet_se_resnet20_24_0")
    z = [held[f"24.{name}"].float() for name in makes.BLOCKS]
    images = cifar10.Images(smooth(2000, 0).x, held["labels"].long())
    s = makes.excite_all(network, z)
    found = makes.describe(network, z, s, images)
    pixels = images.x.double() / 255
    light = {
        "brightness": pixels.mean((1, 2, 3)),
        "contrast": pixels.mean(1).flatten(1).std(1),
        "blue less red": pixels[:, 2].mean((1, 2)) - pixels[:, 0].mean((1, 2)),
    }
    for row, told, of in zip(found, trained.select("components", epochs=24, seed=0), s, strict=True):
        score, _ = makes.first_component(of)
        for name, value in row.items():
            if name in light:
                expected = abs(float(torch.corrcoef(torch.stack([score, light[name]]))[0, 1]))
                assert value == pytest.approx(expected, abs=1e-3), name
            elif name == "block":
                assert float(value) == told[name]
            else:
                assert value == pytest.approx(float(told[name]), rel=0.03, abs=0.02), (row["block"], name)


def test_a_read_out_is_fitted_to_some_images_and_judged_on_others() -> None:
    torch.manual_seed(0)
    network = networks.build("se_resnet20")
    fit, test = ([torch.randn(40, c).abs() for c in (16, 32, 64) for _ in range(3)] for _ in range(2))
    y, y_test = torch.arange(40) % 3, torch.arange(40).flip(0) % 3
    rows = makes.read_out(network.requires_grad_(False), fit, y, test, y_test)
    assert len(rows) == 42
    for row in rows:
        number = makes.BLOCKS.index(row["block"])
        fc = makes.residual_blocks(network)[number].gates["standard"].fc
        part = {"z": nn.Identity(), "hidden units": fc[:2], "gates": fc}[row["from"]]
        here, there = (part(of[number]).double() for of in (fit, test))
        if row["numbers"] == "scaled":
            middle, spread = here.mean(0), here.std(0, correction=0)
            spread[spread == 0] = 1
            here, there = (here - middle) / spread, (there - middle) / spread
        model = makes.LogisticRegression(C=row["C"], max_iter=1000).fit(here.numpy(), y.numpy())
        assert row["right"] == pytest.approx(model.score(there.numpy(), y_test.numpy()), abs=0.03)


def test_of_the_shown_networks_the_means_are_kept_and_only_some_are_looked_at_closely(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = smooth(5, 3).x
    asked: list[tuple[str, bool]] = []

    def examine(_directory: Path, weights: Path, name: str, closely: bool) -> dict[str, object]:
        asked.append((weights.parent.name, closely))
        z = [torch.full((5, 2), float(b + 10 * len(asked))) for b in range(9)]
        rows = {"components": [{"block": "1.1"}], "interventions": [{"gates": "own"}] if closely else []}
        return {**rows, "z": z, "labels": torch.arange(5), "x": x}

    monkeypatch.setattr(makes, "examine", examine)
    names = ["se_resnet20_6_0", "se_resnet20_6_1", "se_resnet20_24_0", "se_resnet20_30_0", "se_resnet20_6_9"]
    for name in names:
        (folder / name).mkdir()
        (folder / name / "weights.safetensors").touch()
    makes.write("components", [{"network": "se_resnet20", "epochs": 6, "seed": 1, "block": "1.1"}])
    makes.write("interventions", [{"network": "se_resnet20", "epochs": 6, "seed": 1, "gates": "own"}])
    makes.write("readouts", [{"network": "se_resnet20", "epochs": 6, "seed": 1, "block": "1.1"}])
    makes.examine_gates(Path("data"), folder)
    assert asked == [(names[2], True), (names[0], True), (names[3], False), (names[4], False)]
    runs = [(row["epochs"], row["seed"]) for row in makes.rows_of("interventions")]
    assert runs == [("6", "1"), ("24", "0"), ("6", "0")]
    held = load_file(folder / "squeezed.safetensors")
    assert {name.partition(".")[0] for name in held} == {"6", "24", "labels", "colours", "contrast"}
    assert (held["24.2.1"] == 13).all()
    assert (held["6.1.1"] == 20).all()
    assert held["labels"].tolist() == list(range(5))
    grey = x.double().mean(1) / 255
    torch.testing.assert_close(held["contrast"].double(), grey.flatten(1).std(1), rtol=0, atol=1e-3)
    colours = (x.double() / 255).mean((2, 3))
    torch.testing.assert_close(held["colours"].double(), colours, rtol=0, atol=1e-3)


# The tables beside the weights that are shipped


@pytest.mark.parametrize("epochs", [6, 24])
@torch.no_grad()
def test_what_is_told_of_the_shown_gates_follows_from_their_weights_and_means(
    epochs: int,
) -> None:
    held = trained.tensors("squeezed")
    network = trained.load(networks.build("se_resnet20"), f"fleet_se_resnet20_{epochs}_0")
    labels, colours = held["labels"].long(), held["colours"].double()
    light = {
        "brightness": colours.mean(1),
        "contrast": held["contrast"].double(),
        "blue less red": colours[:, 2] - colours[:, 0],
    }
    rows = trained.select("components", epochs=epochs, seed=0)
    for row, block in zip(rows, makes.residual_blocks(network), strict=True):
        z, norm, fc = held[f"{epochs}.{row['block']}"].double(), block.branch[4].double(), block.double()
        fc = block.gates["standard"].fc
        s, hidden, d = fc(z), torch.relu(z @ fc[0].weight.T), (z - norm.bias) / norm.weight
        axes = torch.linalg.eigh(torch.cov(s.T))
        score = (s - s.mean(0)) @ axes.eigenvectors[:, -1]

        def first(values: Tensor) -> float:
            found = torch.linalg.eigvalsh(torch.cov(values.T))
            return float(found[-1] / found.sum())

        with_z = torch.stack([torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(s.T, z.T, strict=True)])
        classes = torch.stack([score[labels == c].mean() for c in range(10)])
        between = float((classes[labels] - score.mean()).square().mean() / score.var(correction=0))
        above = float((axes.eigenvectors[:, -1] > 0).double().mean())
        expected = {
            "component 1 of logits": first(hidden @ fc[2].weight.T),
            "component 1 of z": first(z),
            "same sign": max(above, 1 - above),
            "between classes": between,
            "channels whose gate follows z": float((with_z > 0).double().mean()),
            "gate with z": float(with_z.nanmean()),
            "mean of d": float(d.mean(0).abs().mean()),
            "spread of d": float(d.std(0).mean()),
            "spread of z": float(z.std(0).mean()),
            "spread with 4 z": float(fc(4 * z).std(0).mean()),
            "spread with 4 d": float(fc(norm.bias + 4 * norm.weight * d).std(0).mean()),
            "spread with 4 beta": float(fc(4 * norm.bias + norm.weight * d).std(0).mean()),
            **{
                name: abs(float(torch.corrcoef(torch.stack([score, of]))[0, 1])) for name, of in light.items()
            },
        }
        if row["spread of s"] > 1e-3:  # else half precision is all that is left of it
            for name, value in expected.items():
                assert float(row[name]) == pytest.approx(value, rel=0.03, abs=0.01), (row["block"], name)
            at_work = int(((hidden > 0).double().mean(0) > 0.01).sum())
            assert abs(row["hidden units at work"] - at_work) <= 1


@pytest.mark.parametrize("epochs", [6, 24])
@torch.no_grad()
def test_the_fleet_s_rows_of_a_shown_network_are_of_its_own_weights(epochs: int) -> None:
    """The tables look at 10,000 test images, of which 2,000 are shown: within what these can say."""
    held = trained.tensors("squeezed")
    network = trained.load(networks.build("se_resnet20"), f"fleet_se_resnet20_{epochs}_0")
    labels = held["labels"].long()
    means = trained.by_block("fleet_gates", "mean", epochs=epochs)
    spreads = trained.by_block("fleet_gates", "between images", epochs=epochs)
    shares = trained.by_block("fleet_gates", "between classes", epochs=epochs)
    told = trained.classes(epochs=epochs)
    for b, block in enumerate(makes.residual_blocks(network)):
        s = block.gates["standard"].fc(held[f"{epochs}.{makes.BLOCKS[b]}"].float()).double()
        assert means[0, b].item() == pytest.approx(float(s.mean()), abs=0.003)
        spread = float(s.var(0, correction=0).mean().sqrt())
        assert spreads[0, b].item() == pytest.approx(spread, rel=0.1, abs=1e-4)
        if spread > 0.01:
            assert shares[0, b].item() == pytest.approx(gates.class_specificity(s, labels), abs=0.05)
        by_class = torch.stack([s[labels == c].mean(0) for c in range(10)])
        error = (told[0][b].mean - by_class).abs().max()
        others = [(of[b].mean - by_class).abs().max() for of in told[1:]]
        assert error < 0.05
        assert spread < 1e-3 or error < min(others) / 2


# The text scanner


@pytest.fixture
def network() -> nn.Module:
    compact: nn.Module = scans.Compact().network
    return compact


def some_lines(count: int = 6, seed: int = 3) -> Tensor:
    return scanner.pack(lines.both_ways(lines.random_lines(count, seed)))


@torch.no_grad()
def test_the_compact_scanner_says_what_the_whole_one_says(network: nn.Module) -> None:
    x = some_lines()
    torch.testing.assert_close(network(x), scanner.load()(x), rtol=0, atol=1e-3)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.blocks.modules())


def test_mixed_lines_are_half_ordinary_ones_and_half_grey_ones_of_every_contrast() -> None:
    mixed = scans.mixed_lines(200, 5)
    assert mixed[:100] == lines.random_lines(100, 5)
    grey = mixed[100:]
    assert {(line.colour, line.noise) for line in grey} == {(0, 0)}
    assert [line.text for line in grey] == [
        line.text for line in lines.random_lines(100, 6, colour=0, noise=0)
    ]
    logs = torch.tensor([math.log(line.contrast) for line in grey])
    assert math.log(0.04) <= logs.min() < math.log(0.06)
    assert math.log(0.8) < logs.max() <= math.log(0.95)
    middle = (math.log(0.04) + math.log(0.95)) / 2
    assert abs(float(logs.mean()) - middle) < 0.3  # as many at each ratio: the mean deviates by 0.09


def test_a_row_has_shares_and_differences_from_the_own_gates_line_by_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = {
        "own": torch.tensor([[1.0, 1, 0, 1], [1, 0, 0, 1]]),
        "one": torch.tensor([[1.0, 0, 0, 1], [0, 0, 1, 1]]),
        "half": torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 1]]),
    }
    answers = iter([*right.values(), right["own"], right["half"]])
    monkeypatch.setattr(scans.scanner, "is_right", lambda *_: next(answers).double())
    table = scans.Table(tmp_path / "scanner.csv")
    table.add("ordinary", torch.zeros(8), {"one": {}, "half": {}}, contrast="")
    table.add("grey", torch.zeros(8), {"half": {}}, again=True, contrast=0.08)
    with open(tmp_path / "scanner.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["lines"], row["gates"]) for row in rows] == [
        *(("ordinary", name) for name in right),
        ("grey", "half"),
    ]
    for row in rows:
        share = 100 * right[row["gates"]].mean(0)
        change = share - 100 * right["own"].mean(0)
        for column, values in (("right", share), ("difference", change)):
            assert float(row[column]) == pytest.approx(float(values.mean()), abs=0.01)
            half = 1.96 * float(values.std()) / 2
            assert float(row[f"half of {column}"]) == pytest.approx(half, abs=0.01)
        assert row["count"] == "4"
    assert float(rows[0]["difference"]) == 0


@torch.no_grad()
def test_gates_are_changed_for_the_row_that_names_them_and_for_no_other(network: nn.Module) -> None:
    x, asked = some_lines(3), []
    table = scans.Table(Path("never written"))
    table.write = lambda told, right, own: asked.append((told["gates"], right, own))
    means = table.means(lines.random_lines(4, 1))
    expected = gates.record(network, [some_lines(4, 1)], scans.ALL).s
    for name, mean in means.items():
        torch.testing.assert_close(mean, expected[name].double().mean(0), rtol=0, atol=2e-3)
    table.add("ordinary", x, {"nothing": dict.fromkeys(scans.ALL, 0.0), "as it is": {}})
    assert [name for name, *_ in asked] == ["own", "nothing", "as it is"]
    own = scanner.is_right(table.network, x)
    assert torch.equal(asked[0][1], own)
    assert torch.equal(asked[2][1], own)
    with gates.replaced(table.network, dict.fromkeys(scans.ALL, 0.0)):
        assert torch.equal(asked[1][1], scanner.is_right(table.network, x))
    assert not torch.equal(asked[1][1], own)
    assert all(torch.equal(of, own) for _, _, of in asked)


def test_a_masked_squeeze_is_the_mean_over_the_columns_that_hold_the_line() -> None:
    squeeze, u = scans.MaskedSqueeze(), torch.randn(2, 4, 3, 7)
    squeeze.mask = (torch.arange(7) < torch.tensor([[5], [2]])).float()[:, None, None]
    expected = torch.stack([u[0, :, :, :5].mean((1, 2)), u[1, :, :, :2].mean((1, 2))])
    torch.testing.assert_close(squeeze(u), expected)


def test_constants_start_at_the_means_and_learn_from_new_lines_each_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scans, "OTHERS", 100)
    few = lines.random_lines
    monkeypatch.setattr(
        scans.lines, "random_lines", lambda count, seed, **more: few(min(count, 6), seed, **more)
    )
    asked: list[tuple[int, int]] = []
    losses: list[float] = []

    def choose(count: int, seed: int) -> list[lines.Line]:
        asked.append((count, seed))
        return few(count, seed)

    cross_entropy = F.cross_entropy

    def watch(output: Tensor, y: Tensor) -> Tensor:
        assert y.tolist() == [0] * 32 + [1] * 32
        loss = cross_entropy(output, y)
        losses.append(float(loss.detach()))
        return loss

    monkeypatch.setattr(scans.F, "cross_entropy", watch)
    made = scans.train_constants(choose, steps=2)
    assert asked == [(32, 200), (32, 202)]
    means = gates.record(scans.Compact().network, [some_lines(6, 100)], scans.ALL).s
    assert list(made) == scans.ALL
    for name, s in made.items():
        mean = means[name].float().mean(0).clamp(0.02, 0.98)
        # Adam's first steps are of 0.05 and at most 0.05 on the scale of logits.
        assert 0 < float((s.logit() - mean.logit()).abs().max()) < 0.11
    assert losses[0] < math.log(2)


@torch.no_grad()
def test_the_scanner_s_rows_ask_with_the_gates_that_they_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scans, "COUNT", 4)
    few = lines.random_lines
    monkeypatch.setattr(
        scans.lines, "random_lines", lambda count, seed, **more: few(min(count, 4), seed, **more)
    )
    monkeypatch.setattr(scans, "write_padding", lambda _table: None)
    asked: dict[tuple[str, object], list[tuple[Tensor, dict[str, dict[str, Tensor]]]]] = {}

    def add(
        _table: object, kind: str, x: Tensor, tried: dict, again: bool = False, contrast: object = ""
    ) -> None:
        asked.setdefault((kind, contrast), []).append((x, tried))

    monkeypatch.setattr(scans.Table, "add", add)
    scans.write_table()
    (x, tried), (again, constants) = asked["ordinary", ""]
    assert torch.equal(x, some_lines(4, 0))
    assert torch.equal(again, x)
    s, others = (gates.record(scans.Compact().network, [some_lines(4, n)], scans.ALL).s for n in (0, 10_000))
    held = trained.tensors("scanner_constants")
    for number, name in enumerate(scans.ALL, start=1):
        mean = others[name].double().mean(0)
        torch.testing.assert_close(tried["means"][name], mean, rtol=0, atol=2e-3)
        assert tried["one number a block"][name] == pytest.approx(float(mean.mean()), abs=2e-3)
        turned = torch.cat([s[name][4:], s[name][:4]])
        for gates_ in ("its twin's", f"its twin's, {number}"):
            torch.testing.assert_close(tried[gates_][name], turned, rtol=0, atol=2e-3)
        assert list(tried[f"its twin's, {number}"]) == [name]
        mine, given = s[name].float(), tried["another line's, same direction"][name].float()
        for half in (slice(4), slice(4, 8)):  # in another order, and of the same direction
            torch.testing.assert_close(
                given[half].sort(0).values, mine[half].sort(0).values, rtol=0, atol=2e-3
            )
        anyone = tried["another line's"][name].float()
        torch.testing.assert_close(anyone.sort(0).values, mine.sort(0).values, rtol=0, atol=2e-3)
        assert torch.equal(constants["constants, mixed"][name], held[f"mixed.{name}"])
    assert list(tried["means, 1 and 2"]) == scans.ALL[:2]
    network, means = scans.Compact().network, tried["means"]

    def close(given: dict[str, Tensor], wanted: dict[str, Tensor], names: list[str] = scans.ALL) -> None:
        assert list(given) == names
        for name in names:
            torch.testing.assert_close(given[name].double(), wanted[name].double(), rtol=0, atol=2e-3)

    def seen(chosen: list[lines.Line]) -> dict[str, Tensor]:
        return gates.record(network, [scanner.pack(lines.both_ways(chosen))], scans.ALL).s

    def means_of(chosen: list[lines.Line]) -> dict[str, Tensor]:
        return {name: s.double().mean(0) for name, s in seen(chosen).items()}

    paper = [dataclasses.replace(line, light_on_dark=not line.light_on_dark) for line in few(4, 0)]
    assert len({line.light_on_dark for line in paper}) == 2
    close(tried["light on dark and back"], seen(paper))
    mixed = means_of(scans.mixed_lines(400, 10_001))
    close(tried["means of mixed lines"], mixed)
    for name, value in (("one", 1.0), ("one half", 0.5)):
        assert tried[name] == dict.fromkeys(scans.ALL, value)
    last = scans.ALL[-1]
    order = torch.cdist(tried["another line's"][last].float(), s[last].float()).argmin(1)

    grey, first = {"colour": 0, "noise": 0}, scans.ALL[:2]
    assert {contrast for kind, contrast in asked if kind == "grey"} == {0.7, 0.35, 0.2, 0.12, 0.08, 0.05}
    looks = {"grey": grey, "grey, some noise": {"colour": 0, "noise": 0.015}}
    looks |= {"coloured": {"colour": 0.6, "noise": 0}}
    looks |= {"grey, white paper": {**grey, "light_on_dark": False, "brightness": 0.96}}
    for (kind, contrast), of in asked.items():
        if kind in looks:
            x = scanner.pack(lines.both_ways(few(4, 0, **looks[kind], contrast=contrast)))
            assert all(torch.equal(each, x) for each, _ in of), (kind, contrast)
        if kind != "ordinary":
            close(of[0][1]["means, 1 and 2"], means, first)
    images = lines.both_ways(few(4, 0, **grey, contrast=0.08))
    ((stretched, tried),) = asked["grey, stretched", 0.08]
    assert torch.equal(stretched, scanner.pack([lines.stretch(image) for image in images]))
    close(tried["means"], means)

    (_, tried), (_, constants) = asked["grey", 0.08]
    assert torch.equal(constants["constants, ordinary"][last], held[f"ordinary.{last}"])
    pale = means_of(few(4, 10_000, **grey, contrast=0.08))
    s = seen(few(4, 0, **grey, contrast=0.08))
    close(tried["means of pale lines, 1 and 2"], pale, first)
    close(tried["another pale line's, 1 and 2"], {name: s[name][order] for name in first}, first)
    for name in first:
        number = tried["one number a block, 1 and 2"][name]
        assert number == pytest.approx(float(pale[name].mean()), abs=2e-3)
    close(tried["means of mixed lines, 1 and 2"], mixed, first)
    close(tried["means of mixed lines"], mixed)
    close(tried["means"], means)
    close(tried["means, 3 to 9"], means, scans.ALL[2:])
    for k in (2, 4, 6, 7):
        close(tried[f"means, {k + 1} and {k + 2}"], means, scans.ALL[k : k + 2])
    for k in (0, 1):
        close(tried[f"means, {k + 1}"], means, [scans.ALL[k]])


def test_the_mask_of_a_short_line_ends_where_the_line_does_however_wide_the_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = lines.random_lines
    monkeypatch.setattr(scans.lines, "random_lines", lambda count, seed, **more: few(24, seed, **more))
    images = [image for image in map(lines.draw, few(24, 0, words=1)) if image.shape[2] < 150]
    assert 5 < len(images) < 24
    x = [scanner.pack(images + [lines.turn(image) for image in images], width) for width in (192, 576)]
    asked: list[tuple[Tensor, list[nn.Module]]] = []

    def answer(network: nn.Module, part: Tensor) -> Tensor:
        asked.append((part, [network.get_submodule(name).pool for name in scans.ALL]))
        return 0.4 + 0.2 * (torch.arange(len(part)) < (3 if len(asked) > 1 else 0))  # “turned”

    monkeypatch.setattr(scans.scanner, "answer", answer)
    table, written = scans.Table(Path("never written")), []
    table.write = lambda told, right, own: written.append((told["lines"], told["gates"], right, own))
    scans.write_padding(table)
    assert [told[:2] for told in written] == [
        (f"short, {width} wide", gates_) for width in (192, 576) for gates_ in ("mean", "masked")
    ]
    for number, ((part, pools), (*_, right, own)) in enumerate(zip(asked, written, strict=True)):
        assert torch.equal(part, x[number // 2])
        assert right[0].tolist() == [float(k >= 3 or number == 0) for k in range(len(images))]
        assert not right[1].any()
        assert own is written[0][2]
        kind = scans.MaskedSqueeze if number % 2 else scans.blocks.Squeeze
        assert all(type(pool) is kind for pool in pools)
        if number % 2:
            columns = (part != 0).any((1, 2)).float()
            half = F.max_pool1d(columns[:, None], 2)[:, 0]  # the network's maps are half as wide
            filled = half.flip(1).cumsum(1).flip(1) > 0  # an empty column within a line is the line's
            assert torch.equal(pools[0].mask[:, 0, 0].bool(), filled)
    assert all(type(table.network.get_submodule(name).pool) is scans.blocks.Squeeze for name in scans.ALL)


def test_constants_are_kept_by_the_lines_that_they_learned_from(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scans, "FOLDER", folder)
    values = {scans.lines.random_lines: 0.25, scans.mixed_lines: 0.75}
    monkeypatch.setattr(scans, "train_constants", lambda choose: {"gate": torch.tensor(values[choose])})
    scans.write_constants()
    held = load_file(folder / "scanner_constants.safetensors")
    assert {name: float(s) for name, s in held.items()} == {"ordinary.gate": 0.25, "mixed.gate": 0.75}


def test_paddleocr_s_tensors_come_to_the_layers_that_have_their_names() -> None:
    network = scanner.load()
    held = {"fc_0.w_0": network.classify.weight.T, "fc_0.b_0": network.classify.bias}

    def put(name: str, layer: nn.Sequential) -> None:
        norm = layer[1]
        held[f"{name}_weights"] = layer[0].weight
        held[f"{name}_bn_scale"], held[f"{name}_bn_offset"] = norm.weight, norm.bias
        held[f"{name}_bn_mean"], held[f"{name}_bn_variance"] = norm.running_mean, norm.running_var

    put("conv1", network.stem)
    put("conv_last", network.last)
    for number, block in enumerate(network.blocks, start=2):
        put(f"conv{number}_expand", block.expand)
        put(f"conv{number}_depthwise", block.depthwise)
        put(f"conv{number}_linear", block.project)
        if isinstance(block.gate, scanner.Gate):
            for layer in (1, 2):
                linear = block.gate.get_submodule(f"linear{layer}")
                held[f"conv{number}_se_{layer}_weights"] = linear.weight[:, :, None, None]
                held[f"conv{number}_se_{layer}_offset"] = linear.bias
    made, own = scans.convert(held), network.state_dict()
    assert made.keys() == own.keys()
    counts = "num_batches_tracked"  # of no use after training
    for name, tensor in made.items():
        assert tensor.is_contiguous()
        assert name.endswith(counts) or torch.equal(tensor, own[name]), name


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "weights", "gate"),
    [("SE", "where_se", makes.SE), ("CBAM's spatial part", "where_spatial", others.CBAMSpatial)],
)
def test_a_painter_of_places_is_judged_on_test_digits_and_tells_how_far_apart_it_paints_them(
    folder: Path, lessons: list[tuple], name: str, weights: str, gate: networks.Gate
) -> None:
    row = makes.find_place(name, 3)
    assert not list(folder.iterdir())
    x, y, loss, *how = lessons[-1]
    learned = puzzles.where_puzzle(1000, 3)
    assert torch.equal(x, learned.x)
    assert torch.equal(y, learned.target)
    assert loss is F.mse_loss
    assert how == [3, 8, 2e-2]
    test = puzzles.where_puzzle(1000, 0, "test")
    network = trained.load(puzzles.painter(gate, width=12, inputs=2), weights)
    output, grey = network(test.x), (test.target + test.other) / 2
    near, far = (((output - t) ** 2).mean((1, 2, 3)) for t in (test.target, grey))
    assert row["right"] == pytest.approx(float((near < far).double().mean()), abs=0.003)
    error = float(near.mean() / ((grey - test.target) ** 2).mean())
    assert row["error"] == pytest.approx(error, abs=1.1e-4)
    boxes = test.boxes(output)
    apart = float((boxes[:, 0] - boxes[:, 1]).abs().max())
    if name == "SE":
        assert max(apart, float(row["apart"])) < 1e-4  # rounding, which differs
    else:
        assert row["apart"] == f"{apart:.1g}"
        assert apart > 0.1
    assert row["parameters"] == sum(p.numel() for p in network.parameters())
    makes.find_place(name, 0)
    makes.find_place(f"{name}, lower rate", 0)
    assert [path.stem for path in folder.iterdir()] == [weights]
    torch.testing.assert_close(load_file(folder / f"{weights}.safetensors"), trained.tensors(weights))


@pytest.mark.parametrize(
    ("table", "candidates"),
    [
        ("painting", makes.PAINTERS),
        ("reading", makes.READERS),
        ("paths", makes.PATHS),
        ("sides", makes.SIDES),
        ("asked", makes.ASKED),
        ("after", makes.AFTER),
        ("where", makes.WHERE),
    ],
)
def test_each_table_is_of_the_networks_that_the_tool_trains(
    table: str, candidates: dict[str, makes.Candidate]
) -> None:
    rows = {row["network"]: row for row in trained.table(table)}
    assert rows.keys() == candidates.keys()
    for name, candidate in candidates.items():
        row, network = rows[name], candidate.build()
        assert row["parameters"] == sum(p.numel() for p in network.parameters()), name
        assert row["epochs"] == candidate.epochs, name
        assert row.get("peak", candidate.peak) == candidate.peak, name
        assert row.get("side", candidate.side) == candidate.side, name


def test_blocks_that_stand_in_for_se_change_what_their_names_say() -> None:
    torch.manual_seed(0)
    own = makes.SE(8)
    u = torch.randn(3, 8, 4, 5).relu().requires_grad_()
    g = torch.randn(3, 8, 4, 5)

    def beside(other: nn.Module) -> tuple[Tensor, Tensor]:
        other.load_state_dict(own.state_dict())
        x = other(u)
        return x, torch.autograd.grad(x, u, g)[0]

    x, gradient = beside(makes.OnePath(8, reduction=4))
    s = own.linear2(own.linear1(u.mean((2, 3))).relu()).sigmoid()[:, :, None, None]
    torch.testing.assert_close(x, own(u))
    torch.testing.assert_close(gradient, s * g)
    x, _ = beside(makes.FourTimes(8, reduction=4))
    hidden = own.linear1(4 * u.mean((2, 3))).relu()
    torch.testing.assert_close(x, u * own.linear2(hidden).sigmoid()[:, :, None, None])
    x, _ = beside(makes.HardGate(8))
    a = own.linear2(own.linear1(u.mean((2, 3))).relu())
    torch.testing.assert_close(x, u * (a / 6 + 0.5).clamp(0, 1)[:, :, None, None])


@torch.no_grad()
def test_what_came_after_se_has_its_error_and_eca_is_asked_with_its_channels_shuffled(
    folder: Path, lessons: list[tuple]
) -> None:
    row = makes.paint("ECA", 0)
    assert [path.stem for path in folder.iterdir()] == ["painter_eca"]
    torch.testing.assert_close(load_file(folder / "painter_eca.safetensors"), trained.tensors("painter_eca"))
    network = trained.load(puzzles.painter(others.ECA), "painter_eca")
    test = puzzles.painting_puzzle(100, 0, "test")
    own = network(test.x)
    grey = ((test.target - test.other) ** 2).mean() / 4
    assert row["error"] == pytest.approx(float(((own - test.target) ** 2).mean() / grey), abs=2e-3)
    outputs: list[Tensor] = []

    def right() -> float:
        outputs.append(network(test.x))
        return float(len(outputs))

    assert makes.shuffle_gates(network, right) == 2.5
    for seed, output in enumerate(outputs):
        draw, x = torch.Generator().manual_seed(seed), test.x
        for name, layer in network.named_children():
            if name in ("3", "7", "11"):
                order = torch.randperm(24, generator=draw)
                x = layer(x[:, order])[:, order.argsort()]
            else:
                x = layer(x)
        torch.testing.assert_close(output, x)
    torch.testing.assert_close(network(test.x), own)
    shares = [float(test.painted(output).double().mean()) for output in outputs]
    assert row["channels shuffled afterwards"] == pytest.approx(sum(shares) / 4, abs=0.011)


def test_neighbours_are_drawn_by_the_run_s_seed_and_the_weights_stay_as_they_are() -> None:
    orders = []
    for seed in (1, 2, 1):
        torch.manual_seed(seed)
        drawn = makes.shuffled_eca(16)
        torch.manual_seed(seed)
        assert torch.equal(drawn.gate.conv.weight, others.ECA(16).conv.weight)
        orders.append(drawn.order)
    assert torch.equal(orders[0], orders[2])
    assert not torch.equal(orders[0], orders[1])


@torch.no_grad()
def test_batch_norms_are_measured_anew_as_the_plain_mean_over_batches_of_250() -> None:
    norm = nn.BatchNorm2d(3)
    norm.running_mean.fill_(7.0)
    x = smooth(500, 4).x
    x[250:] //= 2
    makes.measure_batch_norms(nn.Sequential(norm), x)
    parts = cifar10.normalise(x).split(250)
    means = torch.stack([part.mean((0, 2, 3)) for part in parts])
    torch.testing.assert_close(norm.running_mean, means.mean(0), rtol=1e-3, atol=1e-4)
    spreads = torch.stack([part.var((0, 2, 3)) for part in parts])
    torch.testing.assert_close(norm.running_var, spreads.mean(0), rtol=1e-3, atol=1e-4)
    assert not norm.training


def test_the_networks_that_were_looked_at_are_those_of_the_tool() -> None:
    names = ("interventions", "readouts", "components")
    runs = {name: {(row["epochs"], row["seed"]) for row in trained.table(name)} for name in names}
    assert runs["interventions"] == runs["readouts"] == set(makes.EXAMINED)
    assert runs["components"] == {*makes.EXAMINED, *makes.DESCRIBED}


def test_a_table_has_the_columns_of_its_longest_row_first(folder: Path) -> None:
    makes.write("some", [{"a": 1, "d": 2}, {"a": 3, "b": 4, "c": 5}])
    assert (folder / "some.csv").read_text() == "a,b,c,d\n1,,,2\n3,4,5,\n"


# What the gates let back


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool of the table of gradients, which imports the one beside it."""
    monkeypatch.syspath_prepend(str(TOOLS))
    return load_tool("gradients")


def test_what_gates_let_back_is_what_their_two_ways_carry_apart(looks: ModuleType) -> None:
    network = trained.load(puzzles.painter(makes.SE), "painter_se")
    test = puzzles.painting_puzzle(256, 1, "test")
    found = looks.look_at_gates(network, test)
    assert network.training
    network = trained.load(puzzles.painter(makes.SE), "painter_se").train()
    x, silent, negative = test.x, 0, 0
    ways: list[tuple[Tensor, Tensor, Tensor]] = []
    for layer in network:
        if not isinstance(layer, scans.blocks.SqEx):
            x = layer(x)
            continue
        u = x
        direct, through = u.clone(), u.clone()
        hidden = layer.linear1(through.mean((2, 3))).relu()
        s = layer.linear2(hidden).sigmoid()
        x = direct * s[:, :, None, None]
        ways.append((direct, through, s.detach()))
        off = (hidden == 0).all(0)
        silent += int(off.sum())
        negative += int((layer.linear1.weight[off] < 0).all(1).sum())
    loss = F.mse_loss(x, test.target)
    expected: dict[str, float] = {"silent": silent, "negative": negative}
    for k, (direct, through, s) in enumerate(ways, start=1):
        one, other = torch.autograd.grad(loss, [direct, through], retain_graph=True)
        expected[f"slope {k}"] = float((s * (1 - s)).mean())
        expected[f"share {k}"] = float(other.norm() / one.norm())
    assert found == pytest.approx(expected, rel=1e-3, abs=2e-5)


def test_a_painter_is_looked_at_on_other_images_than_it_is_judged_on(
    looks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple] = []

    def learn(network: nn.Module, x: Tensor, y: Tensor, loss: object, *how: object, **more: object) -> None:
        calls.append((x, y, loss, *how, *more.values()))
        network.eval()

    monkeypatch.setattr(looks, "learn", learn)
    row = looks.examine_painter(5)
    ((x, y, loss, *how),) = calls
    learned = puzzles.painting_puzzle(2000, 5)
    assert torch.equal(x, learned.x)
    assert torch.equal(y, learned.target)
    assert loss is F.mse_loss
    assert how == [5, 12, 2e-2]
    torch.manual_seed(5)
    network, test = puzzles.painter(makes.SE).eval(), puzzles.painting_puzzle(1000, 0, "test")
    with torch.no_grad():
        output = network(test.x)
    assert row["right"] == pytest.approx(float(test.painted(output).double().mean()), abs=3e-3)
    others_ = looks.look_at_gates(network, puzzles.painting_puzzle(256, 1, "test"))
    assert {name: row[name] for name in others_} == pytest.approx(others_, rel=1e-2)
    told = {"network": "SE", "epochs": 12, "seed": 5}
    assert {name: row[name] for name in told} == told
    assert list(row) == list(trained.table("gradients")[0])
