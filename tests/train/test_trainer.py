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

import pytest
import torch
from helpers import (
    SETTINGS,
    KilledError,
    assert_same_result,
    ends_with,
    environment,
    files_in,
    log_of,
    options,
    rates,
)
from safetensors import safe_open
from safetensors.torch import load_file

from seblock import cifar10, networks, train
from seblock.train import checkpoint, command, trainer


def test_a_run_leaves_its_log_curve_weights_and_checkpoint(whole, capsys):
    assert files_in(whole) == [
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


def test_a_run_repeats_itself_bit_by_bit_and_another_seed_does_not(cifar, whole, tmp_path, no_curve, capsys):
    torch.rand(7)  # whatever was drawn before
    train.main(options(cifar, tmp_path / "again"))
    assert_same_result(tmp_path / "again", whole)
    said = capsys.readouterr()
    assert [line.split(":")[0] for line in said.out.splitlines()] == [f"epoch {n} of 3" for n in (1, 2, 3)]
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

    monkeypatch.setattr(trainer, "batches", noted)
    for seed in (5, 6):
        settings = train.Settings("resnet8", epochs=3, seed=seed, batch=16, images=48)
        train.run(settings, cifar, tmp_path / str(seed), bar=False)
    assert len({tuple(order) for order in orders}) == 6


def run_until(monkeypatch, moment, where, *arguments, **named):
    """Run, and die at the moment-th file: half-written, whole but not in its place, or in its place."""
    count = 0

    def write_file(path, content):
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
        patch.setattr(checkpoint, "write_file", write_file)
        with pytest.raises(KilledError):
            train.run(*arguments, **named)


@pytest.mark.parametrize(
    ("schedule", "where", "moments"),
    [
        ("one-cycle", "half", (3, 4, 9)),
        ("one-cycle", "after", (1, 2, 3, 6, 7, 9, 10)),
        ("cosine", "beside", (6, 10)),
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
    for moment in moments:  # three files an epoch, and the weights before the last checkpoint
        out = tmp_path / f"{moment}"
        run_until(monkeypatch, moment, where, settings, cifar, out, bar=False)
        done = train.run(settings, cifar, out, resume=True, bar=False)
        assert len(done.log) == 3
        assert_same_result(out, expected)
        assert not list(out.glob("*.part"))


def test_a_resumed_run_does_only_what_was_left(cifar, tmp_path, monkeypatch, no_curve, capsys):
    run_until(monkeypatch, 7, "half", SETTINGS, cifar, tmp_path, bar=False)
    capsys.readouterr()
    train.main(options(cifar, tmp_path, "--resume"))
    assert "epoch 2" not in capsys.readouterr().out.split("epoch 3 of 3")[0]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_a_process_killed_at_random_and_resumed_ends_as_if_it_had_not_been(cifar, tmp_path, no_curve):
    words, out = {"epochs": 40, "images": 16}, tmp_path / "killed"
    command = [sys.executable, "-m", "seblock.train", *options(cifar, out, "--resume", **words)]
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
    assert not (tmp_path / "run").exists() or files_in(tmp_path / "run") == []


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
    monkeypatch.setattr(trainer, "evaluate", lambda *_: (math.nan, 0.1))
    assert "the test loss is nan" in ends_with(capsys, options(cifar, tmp_path))
    assert files_in(tmp_path) == []


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
    monkeypatch.setattr(trainer, "steps", lambda *_: pytest.fail("it trained"))
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "run"):
        assert str(tmp_path / "file") in ends_with(capsys, options(cifar, out))

    def refuse(dir):
        raise PermissionError(errno.EACCES, "Permission denied", str(dir))

    monkeypatch.setattr(trainer.tempfile, "TemporaryFile", refuse)
    assert "Permission denied" in ends_with(capsys, options(cifar, tmp_path / "run"))


def test_a_full_disk_costs_no_more_than_the_epoch(cifar, whole, tmp_path, capsys, monkeypatch, no_curve):
    sync, count = os.fsync, 0

    def full(file):
        nonlocal count
        count += 1
        if count == 6:  # the second epoch's checkpoint
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        assert "No space left" in ends_with(capsys, options(cifar, tmp_path))
    assert files_in(tmp_path) == ["checkpoint.safetensors", "curve.png", "log.csv"]
    train.main(options(cifar, tmp_path, "--resume"))
    assert_same_result(tmp_path, whole)


def test_an_interrupted_run_says_how_to_go_on(cifar, tmp_path, capsys, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trainer, "evaluate", interrupt)
    assert "--resume goes on" in ends_with(capsys, options(cifar, tmp_path), status=130)


def test_two_runs_do_not_write_into_one_directory(cifar, tmp_path, capsys):
    with checkpoint.lock_folder(tmp_path):
        sentence = ends_with(capsys, options(cifar, tmp_path, "--resume"))
    assert "another process is training into" in sentence
    with checkpoint.lock_folder(tmp_path):  # free again
        pass


def test_sizes_reach_the_batches_and_smoothing_the_loss(cifar, tmp_path, monkeypatch, no_curve):
    sides, losses = [], []

    def noted(network, batches, loss, *others, real=trainer.steps):
        output, y = torch.tensor([[2.0, 0, 0, 0]]), torch.tensor([0])
        p = output.log_softmax(1)[0]
        losses.append((loss(output, y).item(), (-0.9 * p[0] - 0.1 * p.mean()).item()))
        pairs = list(batches)
        sides.extend(x.shape[2] for x, _ in pairs)
        yield from real(network, pairs, loss, *others)

    monkeypatch.setattr(trainer, "steps", noted)
    settings = train.Settings("resnet8", 3, 5, batch=16, images=48, sizes=(16, 24, 32), smoothing=0.1)
    train.run(settings, cifar, tmp_path, bar=False)
    assert sides == [16] * 3 + [24] * 3 + [32] * 3
    for got, expected in losses:
        assert math.isclose(got, expected, rel_tol=1e-5)


def test_a_run_with_sizes_is_resumed_as_if_it_had_not_been_killed(cifar, tmp_path, monkeypatch, no_curve):
    settings = train.Settings("resnet8", 3, 5, batch=16, images=48, sizes=(24, 32), smoothing=0.1)
    train.run(settings, cifar, tmp_path / "expected", bar=False)
    run_until(monkeypatch, 6, "after", settings, cifar, tmp_path / "run", bar=False)
    words = ["--resume", "--sizes", "24", "32"]
    train.main(options(cifar, tmp_path / "run", *words, smoothing=0.1))
    assert_same_result(tmp_path / "run", tmp_path / "expected")


def test_after_each_epoch_a_function_is_called_before_the_checkpoint_is_written(cifar, tmp_path, no_curve):
    counted = []

    def look(run, test):
        path = tmp_path / "checkpoint.safetensors"
        before = 0
        if path.exists():
            with safe_open(path, "pt") as file:
                before = len(json.loads(file.metadata()["run"])["log"])
        _, accuracy = train.evaluate(run.network, test)
        assert math.isclose(accuracy, run.log[-1]["test_accuracy"])
        counted.append((len(run.log), before))

    train.run(SETTINGS, cifar, tmp_path, bar=False, after_epoch=look)
    assert counted == [(1, 0), (2, 1), (3, 2)]


def test_what_a_function_after_an_epoch_cannot_do_ends_the_run_without_a_checkpoint(cifar, tmp_path):
    def fail(run, test):
        raise OSError("no room for it")

    with pytest.raises(OSError, match="no room for it"):
        train.run(SETTINGS, cifar, tmp_path, bar=False, after_epoch=fail)
    assert files_in(tmp_path) == []


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
def test_a_lock_does_not_outlive_the_process_that_held_it(tmp_path):
    code = (
        "import pathlib, sys, time; from seblock.train import checkpoint\n"
        "with checkpoint.lock_folder(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(100)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "held\n"
            with pytest.raises(BlockingIOError, match="another process is training into"):
                checkpoint.lock_folder(tmp_path).__enter__()
        finally:
            process.kill()
    with checkpoint.lock_folder(tmp_path):
        pass


@pytest.mark.parametrize("native", [True, False])
def test_mixed_on_a_cpu_that_emulates_bfloat16_is_said_to_be_slower(
    cifar, tmp_path, capsys, monkeypatch, no_curve, native
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(command, "cpu_has_bfloat16", lambda: native)
    train.main(options(cifar, tmp_path / "mixed", "--mixed", epochs=1))
    said = "--mixed is slower here: this CPU has no bfloat16, which is emulated\n"
    assert capsys.readouterr().err == ("" if native else said)
    train.main(options(cifar, tmp_path / "plain", epochs=1))
    assert capsys.readouterr().err == ""
