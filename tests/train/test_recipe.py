"""The settings, and what follows from them for decay, learning rate and image size."""

import math

import numpy as np
import pytest
import torch
from helpers import rates
from torch import nn

from seblock import networks, train
from seblock.blocks import ConstantGate
from seblock.train.recipe import choose_side


def test_weights_decay_biases_and_batch_norm_do_not_and_gates_as_they_are_told():
    network = networks.build("se_resnet20")
    for gate_decay in (None, 0.0, 0.01):
        settings = train.Settings(weight_decay=0.003, gate_decay=gate_decay)
        groups = train.group_parameters(network, settings)
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
    train.set_beta(network, 0.7)
    for name, p in network.named_parameters():
        ends = name.endswith(".branch.4.bias")
        assert torch.equal(p, torch.full_like(p, 0.7) if ends else before[name])
    assert sum(name.endswith(".branch.4.bias") for name in before) == 3


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


def test_a_constant_gate_decays_as_gates_do():
    network = networks.build("constant_resnet20")
    groups = train.group_parameters(network, train.Settings(weight_decay=0.003, gate_decay=0.01))
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    weights = [m.weight for m in network.modules() if isinstance(m, ConstantGate)]
    assert len(weights) == 9
    assert {decays[id(w)] for w in weights} == {0.01}
    assert decays[id(network.classify.bias)] == 0
    groups = train.group_parameters(network, train.Settings(weight_decay=0.003))
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert {decays[id(w)] for w in weights} == {0.003}


@pytest.mark.parametrize(
    ("epochs", "sizes", "expected"),
    [
        (3, (), [None, None, None]),
        (3, (24,), [24, 24, 24]),
        (4, (16, 32), [16, 16, 32, 32]),
        (5, (16, 24, 32), [16, 16, 24, 24, 32]),
        (2, (16, 24, 32), [16, 24]),
    ],
)
def test_each_size_has_an_equal_share_of_the_epochs(epochs, sizes, expected):
    settings = train.Settings(epochs=epochs, sizes=sizes)
    assert [choose_side(settings, epoch) for epoch in range(epochs)] == expected


def test_sizes_from_json_are_those_from_python():
    assert train.Settings(sizes=[24, 32]) == train.Settings(sizes=(24, 32))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"sizes": (7, 32)}, r"sizes must lie between 8 and 32 pixels, got \(7, 32\)"),
        ({"sizes": (33,)}, "sizes must lie between 8 and 32"),
        ({"smoothing": 1.0}, "smoothing must be at least 0 and less than 1, got 1.0"),
        ({"smoothing": -0.1}, "smoothing must be at least 0"),
        ({"smoothing": math.nan}, "smoothing must be at least 0"),
    ],
)
def test_sizes_and_smoothing_that_no_run_can_have_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        train.Settings(**wrong)
