"""A file is whole or absent, and a checkpoint is loaded by the run that it belongs to, or not at all."""

import json
import os
import re

import pytest
import torch
from helpers import KilledError, assert_same_result, copy_of, ends_with, options
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from seblock import train
from seblock.train import checkpoint


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "weights.safetensors"])
def test_a_run_that_is_there_is_not_overwritten(cifar, tmp_path, capsys, name):
    (tmp_path / name).write_bytes(b"mine")
    assert f"{name} exists: go on with --resume" in ends_with(capsys, options(cifar, tmp_path))
    assert (tmp_path / name).read_bytes() == b"mine"


def test_resume_without_a_checkpoint_starts_afresh(cifar, whole, tmp_path, no_curve):
    train.main(options(cifar, tmp_path / "new" / "run", "--resume"))
    assert_same_result(tmp_path / "new" / "run", whole)


def test_other_settings_than_the_checkpoints_are_refused_by_name(cifar, whole, capsys):
    sentence = ends_with(
        capsys, options(cifar, whole, "--resume", "--smoothing", "0.1", epochs=4, gate_decay=0.5)
    )
    assert (
        "belongs to another run: epochs 3, not 4; gate_decay None, not 0.5; smoothing 0.0, not 0.1"
        in sentence
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
    checkpoint.write_file(path, b"old")

    def die(*_):
        raise KilledError

    for name in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, die)
            with pytest.raises(KilledError):
                checkpoint.write_file(path, b"new")
        assert path.read_bytes() == b"old"
        assert [p.name for p in tmp_path.iterdir()] == ["file"]
    checkpoint.write_file(path, b"new")
    assert path.read_bytes() == b"new"
