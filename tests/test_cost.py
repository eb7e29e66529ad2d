"""The counts against the paper's figures and against counts by hand."""

import copy

import pytest
import torch
from torch import nn

from seblock.blocks import ResBlockSqEx, SELayer, SqEx
from seblock.cost import Cost, operations, parameters, passes, se_parameters
from seblock.fast import FastSELayer
from seblock.networks import PLACEMENTS, ResidualBlock, cifar_resnet, imagenet_resnet, small_se
from seblock.puzzles import painter

RESNET_50 = [(3, 256), (4, 512), (6, 1024), (3, 2048)]
IMAGE = (1, 3, 224, 224)


def on_meta(build, *arguments):
    with torch.device("meta"):
        return build(*arguments)


def test_equation_5_gives_the_extra_parameters_of_se_resnet_50():
    assert se_parameters(RESNET_50) == 2_514_944
    assert se_parameters(RESNET_50[-1:]) == 1_572_864
    assert se_parameters([]) == 0


@pytest.mark.parametrize("reduction", [2, 4, 8, 16, 32])
def test_equation_5_counts_the_weights_of_the_layers_that_are_built(reduction):
    with torch.device("meta"):
        built = [SELayer(c, reduction) for n, c in RESNET_50 for _ in range(n)]
    assert se_parameters(RESNET_50, reduction) == sum(w.numel() for m in built for w in m.parameters())


def test_equation_5_refuses_channels_that_are_no_multiple_of_the_reduction():
    with pytest.raises(ValueError, match="24 channels are not a multiple of r = 16"):
        se_parameters([(1, 64), (2, 24)])
    assert se_parameters([(2, 24)], reduction=8) == 2 * 2 * 24 * 3


@pytest.mark.parametrize(("reduction", "millions"), [(2, 45.7), (4, 35.7), (8, 30.7), (16, 28.1), (32, 26.9)])
def test_the_parameters_for_each_reduction_are_those_of_table_10(reduction, millions):
    network = on_meta(imagenet_resnet, 50, lambda channels: SqEx(channels, reduction))
    assert parameters(network) / 1e6 == pytest.approx(millions, abs=0.1)


def test_parameters_counts_weights_and_biases_but_no_statistics_and_shared_ones_once():
    linear = nn.Linear(7, 3)
    assert parameters(linear) == 7 * 3 + 3
    assert parameters(nn.BatchNorm2d(5)) == 10
    assert parameters(nn.Sequential(linear, nn.ReLU(), linear)) == 24
    assert parameters(nn.Identity()) == 0


# Table 2 has two decimals. SE-ResNet-101 is the one that comes out 0.01 below the table's 7.60.
@pytest.mark.parametrize(
    ("depth", "layers", "plain", "plain_table", "se", "se_table"),
    [
        (50, 3.858, 3.863, 3.86, 3.872, 3.87),
        (101, 7.570, 7.579, 7.58, 7.593, 7.59),
        (152, 11.282, 11.296, 11.30, 11.315, 11.32),
    ],
)
def test_the_operations_of_the_resnets_are_those_of_table_2(depth, layers, plain, plain_table, se, se_table):
    without = operations(on_meta(imagenet_resnet, depth), IMAGE)
    assert round(without.layers / 1e9, 3) == layers
    assert round(without.total / 1e9, 3) == plain
    assert round(without.total / 1e9, 2) == plain_table
    assert without.rescales == 0
    gated = operations(on_meta(imagenet_resnet, depth, SELayer), IMAGE)
    assert round(gated.total / 1e9, 3) == se
    assert round(gated.total / 1e9, 2) == se_table


def test_se_resnet_50_has_a_quarter_of_a_percent_more_operations_and_ten_percent_more_parameters():
    plain, gated = on_meta(imagenet_resnet, 50), on_meta(imagenet_resnet, 50, SELayer)
    more = operations(gated, IMAGE).total / operations(plain, IMAGE).total - 1
    assert 0.002 < more < 0.003
    assert parameters(gated) / parameters(plain) == pytest.approx(1.10, abs=0.005)


def test_additions_are_the_elements_that_the_residual_blocks_put_out():
    positions = {256: 56**2, 512: 28**2, 1024: 14**2, 2048: 7**2}
    expected = sum(blocks * channels * positions[channels] for blocks, channels in RESNET_50)
    gated = operations(on_meta(imagenet_resnet, 50, SELayer), IMAGE)
    assert gated.additions == expected
    assert gated.rescales == expected
    assert operations(on_meta(imagenet_resnet, 50), IMAGE).additions == expected


def test_the_operations_of_plain_layers_are_counted_as_by_hand():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),  # 9×7 -> 5×4
        nn.ReLU(),
        nn.Conv2d(4, 8, (1, 3), groups=2, bias=False),  # 5×4 -> 5×2
        nn.BatchNorm2d(8),
        nn.Flatten(),
        nn.Linear(80, 5),
    )
    one = 5 * 4 * 4 * (3 * 3 * 3) + 5 * 2 * 8 * (2 * 1 * 3) + 80 * 5
    assert operations(network, (1, 3, 9, 7)) == Cost(layers=one, additions=0, rescales=0)
    assert operations(network, (6, 3, 9, 7)) == Cost(layers=6 * one, additions=0, rescales=0)


@pytest.mark.parametrize(
    ("placement", "gate_weights", "rescaled"),
    [
        ("standard", 2 * 8 * 2, 8 * 5 * 3),
        ("PRE", 2 * 4 * 1, 4 * 10 * 6),
        ("POST", 2 * 8 * 2, 8 * 5 * 3),
        ("Identity", 2 * 8 * 2, 8 * 5 * 3),
    ],
)
@pytest.mark.parametrize("layer", [SELayer, SqEx])
def test_the_operations_of_a_residual_block_are_counted_as_by_hand(placement, gate_weights, rescaled, layer):
    branch = nn.Conv2d(4, 8, 3, stride=2, padding=1, bias=False)  # 10×6 -> 5×3
    shortcut = nn.Conv2d(4, 8, 1, stride=2, bias=False)
    block = ResidualBlock(branch, shortcut, (4, 8), lambda channels: layer(channels, 4), placement)
    convolutions = 5 * 3 * 8 * 4 * (9 + 1)
    cost = operations(block, (2, 4, 10, 6))
    assert cost == Cost(
        layers=2 * (convolutions + gate_weights), additions=2 * 8 * 5 * 3, rescales=2 * rescaled
    )
    assert cost.total == cost.layers + cost.additions + cost.rescales


def snapshot(network):
    return {
        "training": {name: m.training for name, m in network.named_modules()},
        "hooks": {
            name: (len(m._forward_hooks), len(m._forward_pre_hooks)) for name, m in network.named_modules()
        },
        "tensors": {
            key: (id(t), t.device, t.dtype, t.requires_grad, t._version) for key, t in tensors(network)
        },
        "values": {key: t.detach().clone() for key, t in tensors(network)},
        "gradients": {key: p.grad for key, p in network.named_parameters()},
    }


def tensors(network):
    return [*network.named_parameters(), *network.named_buffers()]


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_counting_leaves_the_network_as_it_was(placement):
    network = cifar_resnet(20, small_se, placement)
    network.stages[1].eval()  # a mixture of modes, which `train()` at the end would not restore
    network.stem[0].weight.requires_grad_(False)
    before, state = snapshot(network), torch.get_rng_state()
    assert len({*before["training"].values()}) == 2
    assert before["tensors"]["stem.0.weight"][1] == torch.device("cpu")
    operations(network, (2, 3, 32, 32))
    after = snapshot(network)
    torch.testing.assert_close(after.pop("values"), before.pop("values"), rtol=0, atol=0)
    assert after == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_network_with_data_and_one_without_cost_the_same():
    with_data = cifar_resnet(20, small_se)
    without_data = on_meta(cifar_resnet, 20, small_se)
    assert operations(with_data, (1, 3, 32, 32)) == operations(without_data, (1, 3, 32, 32))
    assert {p.device.type for p in without_data.parameters()} == {"meta"}


def test_counting_twice_gives_the_same_count():
    network = on_meta(cifar_resnet, 20, small_se)
    assert operations(network, (1, 3, 32, 32)) == operations(network, (1, 3, 32, 32))


def test_a_network_in_training_costs_what_it_does_in_evaluation():
    network = copy.deepcopy(painter(small_se))
    assert operations(network.train(), (1, 3, 20, 20)) == operations(network.eval(), (1, 3, 20, 20))


def test_counting_does_not_call_the_hooks_of_the_network() -> None:
    network, seen = cifar_resnet(20, small_se), []
    network.stem.register_forward_hook(lambda _m, _i, output: seen.append(output))
    network(torch.ones(1, 3, 32, 32))  # from here on the hook holds a map that cannot be copied
    seen_before = len(seen)
    operations(network, (1, 3, 32, 32))
    assert len(seen) == seen_before == 1


def test_gates_outside_a_residual_block_are_counted_too() -> None:
    gated = operations(painter(gate=lambda channels: SqEx(channels, 4)), (1, 3, 20, 20))
    assert (gated.additions, gated.rescales) == (0, 3 * 24 * 20 * 20)
    plain, wrapped = (
        operations(cifar_resnet(20, gate), (1, 3, 32, 32))
        for gate in (lambda c: SELayer(c, 4), lambda c: nn.Sequential(SELayer(c, 4)))
    )
    assert wrapped == plain
    residual = ResBlockSqEx(16)
    block = operations(residual, (2, 16, 5, 3))
    assert (block.additions, block.rescales) == (2 * 16 * 5 * 3, 2 * 16 * 5 * 3)
    residual.sqex = FastSELayer(16, bias=True)
    assert operations(residual, (2, 16, 5, 3)) == block


def test_passes_are_counted_in_whole_maps():
    def moved(block, u):
        found = passes(block, u)
        return sum(each.reads for each in found), sum(each.writes for each in found)

    class Twice(nn.Module):
        def forward(self, u):
            return (2 * u).flatten(2).view_as(u)  # a view moves nothing

    u = torch.randn(4, 32, 10, 10)
    assert moved(Twice(), u) == (2, 2)
    assert moved(SELayer(32), u) == (8, 5)
    assert moved(FastSELayer(32), u) == (5, 2)
