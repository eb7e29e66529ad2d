"""A step, a batch, an epoch and an evaluation, by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers import learned, small
from torch import nn

from seblock import cifar10, networks, train


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
    for mixed, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        loss, output, _ = next(train.steps(layer, [pair], F.cross_entropy, optimizer, schedule, mixed))
        assert (loss.dtype, output.dtype, layer.weight.dtype) == (torch.float32, dtype, torch.float32)


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


def test_training_an_epoch_gives_its_mean_loss_and_accuracy(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")  # room for all that the bar says
    losses, right = [0.5 + n / 7 for n in range(23)], [n % 3 == 0 for n in range(23)]
    for shown in (True, False):
        loss, accuracy = train.train_epoch(learned(losses, right), 23, "epoch 4 of 5", shown)
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
    learning = (taken.append(step) or step for step in learned(losses, [True] * 23))
    with pytest.raises(train.Diverged, match="lower --peak"):
        train.train_epoch(learning, 23, "epoch 1 of 5", bar=False)
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


@pytest.mark.parametrize("side", [16, 24, 32])
def test_images_are_shrunk_after_they_were_shifted_and_mirrored(side):
    images = small(16)
    whole, shrunk = (list(train.batches(images, 8, seed=3, side=s)) for s in (None, side))
    for (x, y), (smaller, same) in zip(whole, shrunk, strict=True):
        assert torch.equal(y, same)
        assert smaller.shape == (8, 3, side, side)
        assert smaller.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(smaller, F.adaptive_avg_pool2d(x, side), rtol=1e-4, atol=1e-5)


def test_an_image_is_shifted_down_and_right_as_drawn_and_what_comes_in_is_black():
    from seblock import cifar10
    from seblock.train.loop import PADDING, take_batch

    images = cifar10.Images(torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8), torch.tensor([3, 5]))
    x, y = take_batch(images, torch.tensor([[1], [PADDING - 2], [PADDING + 3], [0]]))
    shifted = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    shifted[0, :, 2:, :-3] = images.x[1, :, :-2, 3:]
    torch.testing.assert_close(x, cifar10.normalise(shifted), check_stride=False)
    assert y.tolist() == [5]
