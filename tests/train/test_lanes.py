"""A lane takes the steps that `train.run` takes, run after run; on a CPU to the bit."""

import dataclasses
import random

import pytest
import torch

from seblock import cifar10, train
from seblock.train.lanes import Lane, plan_rates

SETTINGS = train.Settings(network="se_resnet8", epochs=3, seed=1, batch=16, sizes=(16, 24, 32), images=64)
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are for a GPU")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """CIFAR-10's binary version, of which the first 64 images are random and all others black."""
    directory, draw = tmp_path_factory.mktemp("cifar"), random.Random(0)
    for name in (*(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin"):
        with open(directory / name, "wb") as file:
            for number in range(64):
                file.write(bytes([number % 10]) + draw.randbytes(3072))
            file.truncate(30_730_000)
    return directory


@pytest.fixture(scope="module")
def images(directory):
    """Training and test images."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = (cifar10.load(directory, part, 64) for part in ("train", "test"))
    return [cifar10.Images(x.to(device), y.to(device)) for x, y in loaded]


def go_through(lane, settings):
    """What the epochs of a run leave."""
    lane.load(settings)
    for epoch in range(settings.epochs):
        lane.begin_epoch(lane.draw(epoch))
        for _ in range(lane.steps_each):
            lane.step(epoch)
        yield lane.end_epoch()


def test_a_lane_trains_run_after_run_as_the_trainer_does(directory, images, tmp_path) -> None:
    lane = Lane(dataclasses.replace(SETTINGS, seed=0, epochs=2, beta=1.0), *images, longest=3)
    for seed in (5, 1):
        settings = dataclasses.replace(SETTINGS, seed=seed)
        expected = train.run(settings, directory, tmp_path / str(seed), bar=False)
        for epoch, row in zip(go_through(lane, settings), expected.log, strict=True):
            assert epoch.means() == pytest.approx({name: row[name] for name in epoch.means()}, rel=1e-5)
        found = epoch.weights(3 * lane.steps_each)
        for name, tensor in expected.network.state_dict().items():
            torch.testing.assert_close(found[name], tensor.cpu(), rtol=1e-4, atol=1e-5)


def test_what_an_epoch_left_is_not_changed_by_the_next(images) -> None:
    lane = Lane(SETTINGS, *images, longest=3)
    (first, second, _), weights = (epochs := list(go_through(lane, SETTINGS))), epochs[0].weights(4)
    assert any(not torch.equal(weights[name], tensor) for name, tensor in second.weights(8).items())
    assert first.means()["loss"] != second.means()["loss"]


def test_a_lane_is_for_one_network_and_recipe(images) -> None:
    lane = Lane(SETTINGS, *images, longest=3)
    for other in ({"network": "resnet8"}, {"gate_decay": 0.0}, {"sizes": (32,)}, {"peak": 0.1}):
        with pytest.raises(ValueError, match="this lane is for"):
            lane.load(dataclasses.replace(SETTINGS, **other))


def test_the_rates_are_those_of_the_schedule() -> None:
    rates = plan_rates(dataclasses.replace(SETTINGS, epochs=2), 8)
    assert max(rates) == pytest.approx(SETTINGS.peak)
    assert rates[0] < rates[1] > rates[2] > rates[-1]


@needs_gpu
def test_two_lanes_side_by_side_do_not_disturb_each_other(images) -> None:
    one, other = (Lane(SETTINGS, *images, longest=3) for _ in range(2))
    for a, b in zip(go_through(one, SETTINGS), go_through(other, SETTINGS), strict=True):
        assert a.means() == b.means()
