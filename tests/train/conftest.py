"""A small CIFAR-10, and a run on it that nothing interrupts."""

import random

import pytest
from helpers import SETTINGS

from seblock import cifar10, train
from seblock.plots import training


@pytest.fixture(scope="session")
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
    monkeypatch.setattr(training, "png_of", lambda log: b"a picture")


@pytest.fixture(scope="session")
def whole(cifar, tmp_path_factory):
    """What an uninterrupted run leaves."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train.run(SETTINGS, cifar, out, bar=False)
    return out
