"""What the trainer's tests share: a run of three steps an epoch, and what it leaves."""

import csv
import os

import pytest
import torch
from torch import nn

from seblock import cifar10, train

SETTINGS = train.Settings("resnet8", epochs=3, seed=5, batch=16, images=48)
"""Three steps an epoch of the smallest network."""


def options(directory, out, *more, **changed):
    """The command line for `SETTINGS`, changed or with more."""
    chosen = {"network": "resnet8", "epochs": 3, "seed": 5, "batch": 16, "images": 48, **changed}
    words = [word for name, value in chosen.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    return ["--data", str(directory), "--out", str(out), *words, *more]


def small(n=8):
    draw = torch.Generator().manual_seed(1)
    x = torch.randint(256, (n, 3, 32, 32), generator=draw, dtype=torch.uint8)
    return cifar10.Images(x, torch.arange(n) % 10)


def learned(losses, right):
    """What `steps` yields: a loss, and an output that is right for the first of two images or for none."""
    for loss, first in zip(losses, right):
        yield torch.tensor(loss), torch.tensor([[float(first), 0.5], [1.0, 0.0]]), torch.tensor([0, 1])


def rates(total, **settings):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=settings["peak"])
    schedule = train.make_schedule(optimizer, train.Settings(**settings), total)
    taken = []
    for _ in range(total):
        taken.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return taken


def files_in(out):
    """The names of the files that a run left, but for its lock."""
    return sorted(path.name for path in out.iterdir() if path.name != ".lock")


def log_of(out):
    """The log, but for the time that it took."""
    with open(out / "log.csv", newline="", encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(file)]


def assert_same_result(out, other):
    assert (out / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()
    assert log_of(out) == log_of(other)


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), **more}


def ends_with(capsys, arguments, status=1):
    """The sentence on stderr with which the command ends."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        train.main(arguments)
    assert caught.value.code == status
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    return err


def copy_of(whole, tmp_path, *names):
    for name in names or [p.name for p in whole.iterdir()]:
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    return tmp_path


class KilledError(BaseException):
    """Nothing catches it, as nothing catches kill -9."""
