"""A run repeats itself exactly, survives being killed at any moment, and ends with a sentence if it must."""

import csv
import errno
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from seblock import cifar10, networks, train

SETTINGS = train.Settings("resnet8", epochs=3, seed=5, batch=16, images=48)
"""Three steps an epoch of the smallest network."""


def options(directory, out, *more, **changed):
    """The command line for `SETTINGS`, changed or with more."""
    chosen = {"network": "resnet8", "epochs": 3, "seed": 5, "batch": 16, "images": 48, **changed}
    words = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return ["--data", str(directory), "--out", str(out), *words, *more]


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """CIFAR-10's binary version, of which the first 64 images are random and all others black."""
    directory = tmp_path_factory.mktemp("cifar")
    draw = random.Random(0)
    for name in (name for names in cifar10.FILES.values() for name in names):
        with open(directory / name, "wb") as file:
            for number in range(64):
                file.write(bytes([number % 10]) + draw.randbytes(3072))
            file.truncate(30_730_000)
    return directory


@pytest.fixture
def no_curve(monkeypatch):
    """Drawing takes longer than such an epoch."""
    there = train.available
    monkeypatch.setattr(train, "available", lambda module: module != "matplotlib" and there(module))


@pytest.fixture(scope="module")
def whole(cifar, tmp_path_factory):
    """What an uninterrupted run leaves."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train.run(SETTINGS, cifar, out, bar=False)
    return out


def small(n=8):
    draw = torch.Generator().manual_seed(1)
    x = torch.randint(256, (n, 3, 32, 32), generator=draw, dtype=torch.uint8)
    return cifar10.Images(x, torch.arange(n) % 10)


# The loop


def test_a_step_yields_what_was_before_it_and_moves_the_weights_against_the_gradient():
    torch.manual_seed(0)
    layer = nn.Linear(3, 4)
    w, b = (p.detach().clone() for p in layer.parameters())
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.1)
    pairs = [(torch.randn(5, 3), torch.tensor([0, 3, 1, 2, 2])) for _ in range(3)]
    layer.eval()
    seen = train.steps(layer, pairs, F.cross_entropy, optimizer, schedule)
    for (x, y), rate in zip(pairs, (0.5, 0.05, 0.005)):
        loss, output, same = next(seen)
        expected = x @ w.T + b
        p = expected.softmax(1)
        torch.testing.assert_close(output, expected)
        torch.testing.assert_close(loss, -p[range(5), y].log().mean())
        assert same is y
        assert not loss.requires_grad
        assert not output.requires_grad
        slope = (p - F.one_hot(y, 4)) / 5
        w, b = w - rate * slope.T @ x, b - rate * slope.sum(0)
        torch.testing.assert_close(layer.weight, w)
        torch.testing.assert_close(layer.bias, b)
    assert layer.training


def test_mixed_multiplies_in_bfloat16_and_takes_the_loss_in_float32():
    layer = nn.Linear(3, 4)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    pair = (torch.randn(5, 3), torch.zeros(5, dtype=torch.long))
    for mixed, kind in ((True, torch.bfloat16), (False, torch.float32)):
        loss, output, _ = next(train.steps(layer, [pair], F.cross_entropy, optimizer, schedule, mixed))
        assert (loss.dtype, output.dtype, layer.weight.dtype) == (torch.float32, kind, torch.float32)


def test_images_are_shifted_with_zeros_and_mirrored_one_by_one():
    x = torch.randint(1, 256, (6, 3, 10, 7), dtype=torch.uint8)
    top, left = torch.tensor([0, 8, 4, 4, 1, 5]), torch.tensor([0, 8, 4, 4, 7, 2])
    mirrored = torch.tensor([False, True, False, True, True, False])
    padded = np.pad(x.numpy(), [(0, 0), (0, 0), (4, 4), (4, 4)])
    for n, got in enumerate(train.crop_and_flip(x, top, left, mirrored)):
        image = padded[n, :, top[n] : top[n] + 10, left[n] : left[n] + 7]
        assert np.array_equal(got.numpy(), image[:, :, ::-1] if mirrored[n] else image)
    assert torch.equal(train.crop_and_flip(x, top, left, mirrored)[2], x[2])


def test_an_epoch_shows_each_image_at_most_once_shifted_and_mirrored_each_its_own_way():
    # Red tells which image it is, green its columns, blue its rows, however it was moved.
    number = torch.arange(1, 71).view(70, 1, 1).expand(70, 32, 32)
    place = torch.arange(1, 33).expand(70, 32, 32)
    images = cifar10.Images(torch.stack([number, place, place.mT], dim=1).byte(), torch.arange(1, 71))
    pairs = list(train.batches(images, 16, seed=3))
    assert [tuple(x.shape) for x, _ in pairs] == [(16, 3, 32, 32)] * 4
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x, _ in pairs)
    y = torch.cat([y for _, y in pairs])
    assert len(y.unique()) == 64
    assert y.tolist() != sorted(y.tolist())
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ([125.3, 123, 113.9], [63, 62.1, 66.7]))
    x = (torch.cat([x for x, _ in pairs]) * deviation + mean).round().long()
    assert torch.equal(x[:, 0, 16, 16], y)
    mirrored = x[:, 1, 16, 16] > x[:, 1, 16, 17]
    assert all(3 < batch.sum() < 13 for batch in mirrored.split(16))
    across = torch.where(mirrored, 33 - x[:, 1, 16, 16], x[:, 1, 16, 16]) - 17
    down = x[:, 2, 16, 16] - 17
    for shift in (across, down):
        assert set(shift.tolist()) == set(range(-4, 5))
    assert len(set(zip(across.tolist(), down.tolist()))) > 36  # of 81


def test_a_seed_repeats_an_epoch_and_another_seed_draws_another_order_shift_and_flip():
    images = small(32)
    first, again, other = (list(train.batches(images, 8, seed)) for seed in (3, 3, 4))
    for (x, y), (same_x, same_y) in zip(first, again, strict=True):
        assert torch.equal(x, same_x)
        assert torch.equal(y, same_y)
    assert any(not torch.equal(y, z) for (_, y), (_, z) in zip(first, other))
    state = torch.get_rng_state()
    list(train.batches(images, 8, 3))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("world", [2, 4])
def test_the_processes_shares_are_apart_and_together_the_batch_of_one_process(world):
    images = small(26)
    alone = list(train.batches(images, 8, seed=3))
    shares = [list(train.batches(images, 8, 3, rank, world)) for rank in range(world)]
    for number, (x, y) in enumerate(alone):
        for rank in range(world):
            mine, labels = shares[rank][number]
            assert len(labels) == 8 // world
            assert torch.equal(mine, x[rank::world])
            assert torch.equal(labels, y[rank::world])


def learned(losses, right):
    """What `steps` yields: a loss, and an output that is right for the first of two images or for none."""
    for loss, first in zip(losses, right):
        yield torch.tensor(loss), torch.tensor([[float(first), 0.5], [1.0, 0.0]]), torch.tensor([0, 1])


def test_an_epoch_is_watched_to_its_mean_loss_and_accuracy(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # room for all that the bar says
    losses, right = [0.5 + n / 7 for n in range(23)], [n % 3 == 0 for n in range(23)]
    for shown in (True, False):
        loss, accuracy = train.watched(learned(losses, right), 23, "epoch 4 of 5", shown)
        assert math.isclose(loss, sum(losses) / 23, rel_tol=1e-6)
        assert math.isclose(accuracy, sum(right) / 46, rel_tol=1e-6)
        err = capsys.readouterr().err
        assert ("epoch 4 of 5" in err) == shown
        if shown:
            assert f"loss={sum(losses) / 23:.3f}" in err
            assert f"accuracy={sum(right) / 46:.1%}" in err
            assert "23/23" in err


@pytest.mark.parametrize("at", [0, 19, 20, 22])
@pytest.mark.parametrize("value", [math.nan, math.inf, 1e9])
def test_a_loss_beyond_all_measure_ends_the_epoch_soon(at, value):
    losses = [0.5] * at + [value] * (23 - at)
    taken = []
    watched = (taken.append(step) or step for step in learned(losses, [True] * 23))
    with pytest.raises(train.Diverged, match="lower --peak"):
        train.watched(watched, 23, "epoch 1 of 5", shown=False)
    assert len(taken) - at <= 20


def test_evaluation_counts_in_evaluation_mode_and_leaves_the_network_as_it_was():
    torch.manual_seed(2)
    network = networks.build("se_resnet8")
    images = small(23)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    for training in (True, False):
        network.train(training)
        loss, accuracy = train.evaluate(network, images, size=5)
        assert network.training == training
        assert all(torch.equal(t, before[name]) for name, t in network.state_dict().items())
    with torch.no_grad():
        p = network.eval()(cifar10.normalise(images.x)).log_softmax(1)
    assert math.isclose(loss, -p[range(23), images.y].mean(), rel_tol=1e-5)
    assert math.isclose(accuracy, (p.argmax(1) == images.y).double().mean())


# The recipe


def test_weights_decay_biases_and_batch_norm_do_not_and_gates_as_they_are_told():
    network = networks.build("se_resnet20")
    for gate_decay in (None, 0.0, 0.01):
        settings = train.Settings(weight_decay=0.003, gate_decay=gate_decay)
        groups = train.grouped(network, settings)
        decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
        assert len(decays) == sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
        for name, module in network.named_modules():
            for part, p in module.named_parameters(recurse=False):
                expected = 0.0
                if part == "weight" and not isinstance(module, nn.BatchNorm2d):
                    gate = "gates" in name
                    assert gate == (isinstance(module, nn.Linear) and name != "classify")
                    expected = 0.003 if gate_decay is None or not gate else gate_decay
                assert decays[id(p)] == expected


def test_beta_is_set_where_a_branch_ends_and_nowhere_else():
    torch.manual_seed(0)
    network = networks.build("se_resnet8")
    before = {name: p.clone() for name, p in network.named_parameters()}
    train.start_at(network, 0.7)
    for name, p in network.named_parameters():
        ends = name.endswith(".branch.4.bias")
        assert torch.equal(p, torch.full_like(p, 0.7) if ends else before[name])
    assert sum(name.endswith(".branch.4.bias") for name in before) == 3


def rates(total, **settings):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=settings["peak"])
    schedule = train.scheduled(optimizer, train.Settings(**settings), total)
    taken = []
    for _ in range(total):
        taken.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return taken


def test_one_cycle_rises_to_its_peak_in_a_quarter_of_the_steps_and_falls_to_zero():
    taken = rates(400, peak=0.3, schedule="one-cycle")
    assert taken.index(max(taken)) == 99
    up = [0.3 / 25 + (0.3 - 0.3 / 25) * (1 - math.cos(math.pi * n / 99)) / 2 for n in range(100)]
    down = [0.3 * (1 + math.cos(math.pi * n / 300)) / 2 for n in range(1, 301)]
    np.testing.assert_allclose(taken, up + down, rtol=0, atol=2e-6)


def test_cosine_falls_from_its_peak_to_zero():
    taken = rates(40, peak=0.3, schedule="cosine")
    expected = [0.3 * (1 + math.cos(math.pi * n / 40)) / 2 for n in range(40)]
    np.testing.assert_allclose(taken, expected, rtol=1e-6)


@pytest.mark.parametrize("schedule", train.SCHEDULES)
def test_a_run_of_however_few_steps_has_a_schedule(schedule):
    for total in range(1, 12):
        assert all(0 <= rate <= 0.3 for rate in rates(total, peak=0.3, schedule=schedule))


# A run and its files


def test_a_run_leaves_its_log_curve_weights_and_checkpoint(whole, capsys):
    assert sorted(p.name for p in whole.iterdir()) == [
        "checkpoint.safetensors",
        "curve.png",
        "log.csv",
        "weights.safetensors",
    ]
    assert (whole / "curve.png").read_bytes().startswith(b"\x89PNG")
    with open(whole / "log.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "accuracy", "test_loss", "test_accuracy", "seconds"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert all(math.isfinite(float(value)) for row in rows for value in row.values())


def test_the_weights_that_are_left_give_the_last_test_result_of_the_log(whole, cifar):
    network = networks.build("resnet8")
    network.load_state_dict(load_file(whole / "weights.safetensors"))
    loss, accuracy = train.evaluate(network, cifar10.load(cifar, "test", 48))
    last = log_of(whole)[-1]
    assert math.isclose(loss, float(last["test_loss"]), rel_tol=1e-5)
    assert math.isclose(accuracy, float(last["test_accuracy"]))


def log_of(out):
    """The log, but for the time that it took."""
    with open(out / "log.csv", newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_result(out, other):
    assert (out / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()
    assert log_of(out) == log_of(other)


def test_a_run_repeats_itself_bit_by_bit_and_another_seed_does_not(cifar, whole, tmp_path, no_curve, capsys):
    torch.rand(7)  # whatever was drawn before
    train.main(options(cifar, tmp_path / "again"))
    assert_same_result(tmp_path / "again", whole)
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()[1:]] == [
        f"epoch {n} of 3" for n in (1, 2, 3)
    ]
    assert said.err == ""  # no bar where there is no terminal
    train.main(options(cifar, tmp_path / "other", seed=6))
    assert log_of(tmp_path / "other") != log_of(whole)


def test_an_epoch_is_nesterovs_momentum_by_hand(cifar, tmp_path, no_curve):
    settings = train.Settings("resnet8", epochs=1, seed=5, batch=16, images=48, peak=0.1, weight_decay=0.01)
    train.run(settings, cifar, tmp_path, bar=False)
    torch.manual_seed(5)
    network = networks.build("resnet8").to(memory_format=torch.channels_last)
    speed = {name: torch.zeros_like(p) for name, p in network.named_parameters()}
    seen = train.batches(cifar10.load(cifar, images=48), 16, 500_000)
    for rate, (x, y) in zip(rates(3, peak=0.1), seen):
        network.zero_grad()
        (-network(x).log_softmax(1)[range(16), y].mean()).backward()
        with torch.no_grad():
            for name, p in network.named_parameters():
                slope = p.grad + (0.01 * p if p.ndim > 1 else 0)
                speed[name] = 0.9 * speed[name] + slope
                p -= rate * (slope + 0.9 * speed[name])
    left = load_file(tmp_path / "weights.safetensors")
    for name, t in network.state_dict().items():
        torch.testing.assert_close(left[name], t, rtol=1e-3, atol=1e-5)


def test_each_epoch_and_each_seed_has_its_own_order(cifar, tmp_path, monkeypatch, no_curve):
    orders = []

    def noted(*arguments, real=train.batches):
        pairs = list(real(*arguments))
        orders.append([int(x.abs().sum() * 1000) for x, _ in pairs])
        return pairs

    monkeypatch.setattr(train, "batches", noted)
    for seed in (5, 6):
        settings = train.Settings("resnet8", epochs=3, seed=seed, batch=16, images=48)
        train.run(settings, cifar, tmp_path / str(seed), bar=False)
    assert len({tuple(order) for order in orders}) == 6


class KilledError(BaseException):
    """Nothing catches it, as nothing catches kill -9."""


def run_until(monkeypatch, moment, where, *arguments, **named):
    """Run, and die at the moment-th file: half-written, whole but not in its place, or in its place."""
    count = 0

    def replace(path, content):
        nonlocal count
        count += 1
        beside = path.with_name(path.name + ".part")
        beside.write_bytes(content)
        if count == moment:
            if where == "half":
                beside.write_bytes(content[: len(content) // 2])
            elif where == "after":
                os.replace(beside, path)
            raise KilledError
        os.replace(beside, path)

    with monkeypatch.context() as patch:
        patch.setattr(train, "replace", replace)
        with pytest.raises(KilledError):
            train.run(*arguments, **named)


@pytest.mark.parametrize(
    ("schedule", "where", "moments"),
    [
        ("one-cycle", "half", (2, 3, 6)),
        ("one-cycle", "after", range(1, 8)),
        ("cosine", "beside", (4, 7)),
    ],
)
def test_a_run_killed_at_any_moment_and_resumed_ends_as_if_it_had_not_been(
    cifar, whole, tmp_path, monkeypatch, no_curve, schedule, where, moments
):
    settings = train.Settings(**{**vars(SETTINGS), "schedule": schedule})
    if schedule == "one-cycle":
        expected = whole
    else:
        expected = tmp_path / "expected"
        train.run(settings, cifar, expected, bar=False)
    for moment in moments:  # two files an epoch, and the weights before the last checkpoint
        out = tmp_path / f"{moment}"
        run_until(monkeypatch, moment, where, settings, cifar, out, bar=False)
        done = train.run(settings, cifar, out, resume=True, bar=False)
        assert len(done.log) == 3
        assert_same_result(out, expected)
        assert not list(out.glob("*.part"))


def test_a_resumed_run_does_only_what_was_left(cifar, tmp_path, monkeypatch, no_curve, capsys):
    run_until(monkeypatch, 5, "half", SETTINGS, cifar, tmp_path, bar=False)
    capsys.readouterr()
    train.main(options(cifar, tmp_path, "--resume"))
    assert "epoch 2" not in capsys.readouterr().out.split("epoch 3 of 3")[0]


START = "import sys; sys.modules.update(dict.fromkeys({}.split())); from seblock import train; train.main()"
"""The command, on a machine without some packages."""


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), **more}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_a_process_killed_at_random_and_resumed_ends_as_if_it_had_not_been(cifar, tmp_path, no_curve):
    words, out = {"epochs": 40, "images": 16}, tmp_path / "killed"
    command = [sys.executable, "-c", START.format("'matplotlib'"), *options(cifar, out, "--resume", **words)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 100
        while not (out / "checkpoint.safetensors").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(random.uniform(0, 0.5))
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    train.main(options(cifar, out, "--resume", **words))
    train.main(options(cifar, tmp_path / "whole", **words))
    assert_same_result(out, tmp_path / "whole")


def test_a_finished_run_is_left_as_it_is(cifar, whole, capsys):
    def state():
        return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in whole.iterdir()}

    before = state()
    train.main(options(cifar, whole, "--resume"))
    assert state() == before
    assert "is finished: nothing to do" in capsys.readouterr().out


def ends_with(capsys, arguments, status=1):
    """The sentence on stderr with which the command ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        train.main(arguments)
    assert caught.value.code == status
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"network": "vgg16"}, "network must be .* got 'vgg16'"),
        ({"network": "resnet21"}, "depth must be 6n"),
        ({"network": "se_resnet8_r0"}, "reduction|zero|r must"),
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch": -1}, "batch must be at least 1, got -1"),
        ({"images": 0}, "images must be at least 1, got 0"),
        ({"images": 15}, "15 images do not fill a batch of 16"),
        ({"images": 50_001}, "images must lie between 1 and 50,000"),
        ({"seed": -1}, "seed must lie between"),
        ({"seed": 2**63}, "seed must lie between"),
        ({"peak": "nan"}, "peak must be a finite number"),
        ({"peak": -0.1}, "peak must be .* not negative"),
        ({"weight_decay": "inf"}, "weight_decay must be a finite number"),
        ({"gate_decay": -1}, "gate_decay must be"),
        ({"beta": "nan"}, "beta must be a finite number"),
        ({"peak": 1e6}, "loss is .*: try a lower --peak"),
        ({"peak": 1e30}, "loss is .*: try a lower --peak"),
    ],
    ids=lambda value: "-".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_what_cannot_be_done_ends_with_one_sentence(cifar, tmp_path, capsys, changed, sentence):
    assert re.search(sentence, ends_with(capsys, options(cifar, tmp_path / "run", **changed)))
    left = list((tmp_path / "run").iterdir()) if (tmp_path / "run").exists() else []
    assert left == []


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="one-cycle, cosine, got 'linear'"):
        train.Settings(schedule="linear")


def test_missing_and_truncated_images_end_with_one_sentence(cifar, tmp_path, capsys):
    assert "data_batch_1.bin is missing" in ends_with(capsys, options(tmp_path, tmp_path / "run"))
    for path in cifar.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "test_batch.bin").unlink()
    (tmp_path / "test_batch.bin").write_bytes(bytes(100))
    assert "test_batch.bin has 100 bytes" in ends_with(capsys, options(tmp_path, tmp_path / "run"))


def test_weights_that_explode_in_the_last_step_are_not_left(cifar, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train, "evaluate", lambda *_: (math.nan, 0.1))
    assert "the test loss is nan" in ends_with(capsys, options(cifar, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_images_are_fetched_only_when_asked_for(cifar, tmp_path, monkeypatch, no_curve, capsys):
    asked = []
    monkeypatch.setattr(cifar10, "download", asked.append)
    train.main(options(cifar, tmp_path / "run", epochs=1))
    assert asked == []
    train.main(options(cifar, tmp_path / "other", "--download", epochs=1))
    assert asked == [str(cifar)]

    def refuse(directory):
        raise ConnectionError("no network: fetch it elsewhere")

    monkeypatch.setattr(cifar10, "download", refuse)
    assert "no network: fetch it" in ends_with(capsys, options(cifar, tmp_path / "third", "--download"))


def test_an_out_that_cannot_be_written_to_is_found_out_at_the_start(cifar, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(train, "steps", lambda *_: pytest.fail("it trained"))
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert str(tmp_path / "file") in ends_with(capsys, options(cifar, out))

    def refuse(dir):
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr(train.tempfile, "TemporaryFile", refuse)
    assert "Permission denied" in ends_with(capsys, options(cifar, tmp_path / "run"))


def test_a_full_disk_costs_no_more_than_the_epoch(cifar, whole, tmp_path, capsys, monkeypatch, no_curve):
    sync, count = os.fsync, 0

    def full(file):
        nonlocal count
        count += 1
        if count == 4:  # the second epoch's checkpoint
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left" in ends_with(capsys, options(cifar, tmp_path))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint.safetensors", "log.csv"]
    train.main(options(cifar, tmp_path, "--resume"))
    assert_same_result(tmp_path, whole)


def test_an_interrupted_run_says_how_to_go_on(cifar, tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "evaluate", interrupt)
    assert "--resume goes on" in ends_with(capsys, options(cifar, tmp_path), status=130)


def test_two_runs_do_not_write_into_one_directory(cifar, tmp_path, capsys):
    pytest.importorskip("fcntl")
    with train.alone(tmp_path):
        sentence = ends_with(capsys, options(cifar, tmp_path, "--resume"))
    assert "another process is training into" in sentence
    with train.alone(tmp_path):  # free again
        pass


# Checkpoints


def copy_of(whole, tmp_path, *names):
    for name in names or [p.name for p in whole.iterdir()]:
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    return tmp_path


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "weights.safetensors", "weights.npz"])
def test_a_run_that_is_there_is_not_overwritten(cifar, tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"mine")
    assert f"{name} exists: go on with --resume" in ends_with(capsys, options(cifar, tmp_path))
    assert (tmp_path / name).read_bytes() == b"mine"


def test_resume_without_a_checkpoint_starts_afresh(cifar, whole, tmp_path, no_curve):
    train.main(options(cifar, tmp_path / "new" / "run", "--resume"))
    assert_same_result(tmp_path / "new" / "run", whole)


def test_other_settings_than_the_checkpoints_are_refused_by_name(cifar, whole, capsys):
    sentence = ends_with(capsys, options(cifar, whole, "--resume", "--mixed", epochs=4, gate_decay=0.5))
    assert (
        "belongs to another run: epochs 3, not 4; gate_decay None, not 0.5; mixed False, not True" in sentence
    )


def altered(whole, tmp_path, change):
    """A run whose checkpoint's tensors and JSON went through `change`."""
    path = copy_of(whole, tmp_path) / "checkpoint.safetensors"
    with safe_open(path, "pt") as file:
        rest = json.loads(file.metadata()["run"])
    tensors = load_file(path)
    change(tensors, rest)
    save_file(tensors, path, {"run": json.dumps(rest)})
    return tmp_path


def without_beta(tensors, rest):
    del rest["settings"]["beta"]


def test_a_setting_that_a_checkpoint_does_not_know_had_its_default(cifar, whole, tmp_path, capsys):
    out = altered(whole, tmp_path, without_beta)
    assert "beta 0.0, not 0.5" in ends_with(capsys, options(cifar, out, "--resume", beta=0.5))
    train.main(options(cifar, out, "--resume"))
    assert "is finished" in capsys.readouterr().out


def narrow(tensors, rest):
    tensors["network.classify.weight"] = torch.zeros(10, 63)


def unnamed(tensors, rest):
    del tensors["network.stem.0.weight"]


def narrow_momentum(tensors, rest):
    tensors["optimizer.2.momentum_buffer"] = torch.zeros(2)


def lost_momentum(tensors, rest):
    del tensors["optimizer.2.momentum_buffer"]


def lost_log(tensors, rest):
    del rest["log"]


def foreign_tensor(tensors, rest):
    tensors["optimizer.first.momentum_buffer"] = torch.zeros(2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (narrow, r"another network: classify.weight is \(10, 63\), not \(10, 64\)"),
        (unnamed, "another network: stem.0.weight stands in only one"),
        (narrow_momentum, "optimiser state of another network"),
        (lost_momentum, "optimiser state of another network"),
        (lost_log, "no checkpoint of this command, or a damaged one"),
        (foreign_tensor, "no checkpoint of this command, or a damaged one"),
    ],
)
def test_a_checkpoint_of_another_shape_is_refused(cifar, whole, tmp_path, capsys, change, sentence):
    out = altered(whole, tmp_path, change)
    assert re.search(sentence, ends_with(capsys, options(cifar, out, "--resume")))


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:100],
        lambda content: b"",
        lambda content: b"\xff" * 1000,
        lambda content: content.replace(b'{\\"settings', b'{\\"setting\\'),
    ],
    ids=["a byte lost", "torn", "empty", "noise", "header"],
)
def test_a_damaged_checkpoint_is_refused(cifar, whole, tmp_path, capsys, damage):
    path = copy_of(whole, tmp_path) / "checkpoint.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert "or a damaged one" in ends_with(capsys, options(cifar, tmp_path, "--resume"))


def test_weights_are_no_checkpoint(cifar, whole, tmp_path, capsys):
    (tmp_path / "checkpoint.safetensors").write_bytes((whole / "weights.safetensors").read_bytes())
    assert "is no checkpoint of this command" in ends_with(capsys, options(cifar, tmp_path, "--resume"))


def test_what_dies_while_it_writes_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    train.replace(path, b"old")

    def die(*_):
        raise KilledError

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, die)
            with pytest.raises(KilledError):
                train.replace(path, b"new")
        assert path.read_bytes() == b"old"
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
    train.replace(path, b"new")
    assert path.read_bytes() == b"new"


# A machine with nothing but PyTorch


def test_weights_as_npz_are_what_numpy_reads(tmp_path):
    tensors = {**networks.build("se_resnet8").state_dict(), "one": torch.tensor(7), "none": torch.zeros(0, 3)}
    (tmp_path / "weights.npz").write_bytes(train.npz_of(tensors))
    with np.load(tmp_path / "weights.npz") as arrays:
        assert set(arrays) == set(tensors)
        for name, t in tensors.items():
            assert arrays[name].dtype == t.numpy().dtype
            assert np.array_equal(arrays[name], t.numpy())
            assert arrays[name].shape == tuple(t.shape)


def test_a_bare_machine_trains_and_says_what_it_leaves_out(cifar, whole, tmp_path):
    code = START.format("'tqdm matplotlib safetensors numpy pooch PIL sklearn'")
    command = [sys.executable, "-W", "ignore", "-c", code, *options(cifar, tmp_path, "--resume")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    first, *others = done.stdout.splitlines()
    assert first.startswith(
        "not installed: tqdm (no progress bar); matplotlib (no curve.png); safetensors (no"
    )
    assert [line[:12] for line in others] == ["epoch 1 of 3", "epoch 2 of 3", "epoch 3 of 3"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.csv", "weights.npz"]
    assert log_of(tmp_path) == log_of(whole)
    with np.load(tmp_path / "weights.npz") as arrays:
        for name, t in load_file(whole / "weights.safetensors").items():
            assert np.array_equal(arrays[name], t.numpy())


def test_a_checkpoint_without_safetensors_to_read_it_is_not_overwritten(
    cifar, whole, tmp_path, capsys, monkeypatch
):
    out = copy_of(whole, tmp_path)
    monkeypatch.setattr(train, "available", lambda module: module != "safetensors")
    assert "needs safetensors to be read" in ends_with(capsys, options(cifar, out, "--resume"))


# A GPU, as far as it can be told without one


def test_a_gpu_without_bfloat16_and_too_few_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    for able in (False, True):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able)
        assert train.device_here(train.Settings()) == torch.device("cuda", 0)
        if able:
            assert train.device_here(train.Settings(mixed=True)) == torch.device("cuda", 0)
        else:
            with pytest.raises(ValueError, match="no bfloat16: leave --mixed out"):
                train.device_here(train.Settings(mixed=True))
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert train.device_here(train.Settings()) == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="2 GPUs are too few"):
        train.device_here(train.Settings())


# Two processes


def fixed_statistics():
    """A network whose BatchNorm stays in evaluation mode, some steps of it, and its optimiser."""
    torch.manual_seed(0)
    network = networks.build("se_resnet8")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True: None
    settings = train.Settings(peak=0.05)
    optimizer = torch.optim.SGD(train.grouped(network, settings), lr=0.05, momentum=0.9, nesterov=True)
    return network, optimizer, train.scheduled(optimizer, settings, 5)


def a_few_steps(rank=0, world=1):
    """Weights, first gradients, and each step's labels."""
    network, optimizer, schedule = fixed_statistics()
    learner = nn.parallel.DistributedDataParallel(network) if world > 1 else network
    seen = train.batches(small(40), 8, 3, rank, world)
    learning = train.steps(learner, seen, F.cross_entropy, optimizer, schedule)
    labels, first = [], {}
    for _, _, y in learning:
        labels.append(y)
        first = first or {f"gradient.{name}": p.grad.clone() for name, p in network.named_parameters()}
    return {**network.state_dict(), **first, "labels": torch.stack(labels)}


def one_of_two(rank, directory, cifar):
    """What each of two processes does; what it found is left in `directory`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{directory}/meet", rank=rank, world_size=2)
    save_file(a_few_steps(rank, 2), directory / f"steps{rank}.safetensors")

    found = {}
    network = networks.build("resnet8")
    for buffer in network.buffers():
        buffer.fill_(1 + rank)
    found["evaluated"] = train.evaluate(network, small(23), size=5)
    found["statistics"] = sorted({buffer.max().item() for buffer in network.buffers()})
    found["watched"] = train.watched(learned([1.0 + rank, 3.0], [True, rank == 0]), 2, "", shown=False)
    for culprit in (0, 1):
        try:
            with train.together():
                if rank == culprit:
                    raise ValueError(f"the fault of {culprit}")
        except (ValueError, SystemExit) as error:
            found[f"fault of {culprit}"] = repr(error)
    try:
        train.watched(learned([1.0, 1.0 if rank else math.nan], [True] * 2), 2, "", shown=False)
    except train.Diverged:
        found["diverged"] = True

    settings = train.Settings(**{**vars(SETTINGS), "epochs": 2})
    train.run(settings, cifar, directory / "whole", bar=False)
    leave = train.Run.leave

    def full(self, out, last):
        if last:
            raise OSError(errno.ENOSPC, "No space left on device")
        leave(self, out, last)

    train.Run.leave = full
    try:
        train.run(settings, cifar, directory / "resumed", bar=False)
    except (OSError, SystemExit) as error:
        found["full"] = repr(error)
    train.Run.leave = leave
    train.run(settings, cifar, directory / "resumed", resume=True, bar=False)

    for name, out, words in (("batch", "odd", {"batch": 15}), ("apart", f"whole{rank or ''}", {})):
        try:
            train.run(train.Settings(**{**vars(settings), **words}), cifar, directory / out, resume=True)
        except (ValueError, SystemExit) as error:
            found[name] = repr(error)
    (directory / f"found{rank}.json").write_text(json.dumps(found))
    train.depart()


@pytest.fixture(scope="module")
def two(cifar, tmp_path_factory):
    directory = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        torch.multiprocessing.spawn(one_of_two, (directory, cifar), nprocs=2)
    steps = [load_file(directory / f"steps{rank}.safetensors") for rank in range(2)]
    return directory, steps, [json.loads((directory / f"found{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_average_their_gradients_and_reach_the_weights_of_one(two):
    _, steps, _ = two
    alone = a_few_steps()
    for rank in range(2):
        assert torch.equal(steps[rank]["labels"], alone["labels"][:, rank::2])
        for name in alone.keys() - {"labels"}:
            torch.testing.assert_close(steps[rank][name], alone[name], rtol=1e-4, atol=1e-6)
            assert torch.equal(steps[rank][name], steps[1 - rank][name])
    start = fixed_statistics()[0].state_dict()
    assert (alone["classify.weight"] - start["classify.weight"]).abs().max() > 1e-3
    # The gradient is the mean of the gradients of the two shares, each taken apart.
    x, y = next(train.batches(small(40), 8, 3))
    gradients = []
    for share in (slice(0, None, 2), slice(1, None, 2)):
        network = fixed_statistics()[0]
        F.cross_entropy(network(x[share]), y[share]).backward()
        gradients.append(network.classify.weight.grad)
    assert not torch.allclose(*gradients, rtol=0.01)
    torch.testing.assert_close(steps[0]["gradient.classify.weight"], sum(gradients) / 2, rtol=1e-4, atol=1e-6)


def test_two_processes_count_together_with_the_statistics_that_are_saved(two):
    _, _, found = two
    assert found[0]["evaluated"] == found[1]["evaluated"]
    assert found[0]["statistics"] == found[1]["statistics"] == [1.0]
    assert found[0]["watched"] == found[1]["watched"] == [(1 + 3 + 2 + 3) / 4, 3 / 8]
    assert found[0]["diverged"]
    assert found[1]["diverged"]


def test_two_processes_end_together_and_one_says_why(two):
    _, _, found = two
    assert [f["fault of 0"] for f in found] == ["ValueError('the fault of 0')", "SystemExit(1)"]
    assert [f["fault of 1"] for f in found] == ["SystemExit(1)", "ValueError('the fault of 1')"]
    assert "No space left" in found[0]["full"]
    assert found[1]["full"] == "SystemExit(1)"
    assert "a batch of 15 cannot be shared evenly by 2" in found[0]["batch"]
    assert found[1]["batch"] == "SystemExit(1)"
    assert "not all processes see the same checkpoint" in found[0]["apart"]
    assert found[1]["apart"] == "SystemExit(1)"


def test_two_processes_resume_to_the_same_weights(two):
    directory, _, _ = two
    assert_same_result(directory / "resumed", directory / "whole")


def test_the_launcher_starts_the_same_run_and_everything_is_said_once(two, cifar, tmp_path):
    directory, _, _ = two
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["seblock.train", *options(cifar, tmp_path, epochs=2)]
    done = subprocess.run(
        command, env=environment(OMP_NUM_THREADS="1"), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert [line[:12] for line in done.stdout.splitlines()] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert_same_result(tmp_path, directory / "whole")
