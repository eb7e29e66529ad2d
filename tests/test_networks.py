"""The networks against counts from the paper, formulas of the placements, and a ResNet written anew."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seblock import cost, gates, networks
from seblock.blocks import SELayer, SqEx
from seblock.networks import (
    PLACEMENTS,
    PaddedShortcut,
    ResidualBlock,
    cifar_resnet,
    imagenet_resnet,
    small_se,
)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def count(module):
    return sum(p.numel() for p in module.parameters())


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize("depth", [20, 32, 56, 110])
def test_the_cifar_resnets_have_as_many_parameters_as_the_published_ones(depth):
    expected = {20: 269_722, 32: 464_154, 56: 853_018, 110: 1_727_962}
    with torch.device("meta"):
        assert count(cifar_resnet(depth)) == expected[depth]


@pytest.mark.parametrize(
    ("gate", "depth", "expected"),
    [
        (nn.Identity, 50, 25_557_032),
        (nn.Identity, 101, 44_549_160),
        (nn.Identity, 152, 60_192_808),
        (SqEx, 50, 28_088_024),
        (SqEx, 101, 49_326_872),
        (SqEx, 152, 66_821_848),
        (SELayer, 50, 28_071_976),
        (SELayer, 101, 49_292_328),
        (SELayer, 152, 66_770_984),
    ],
)
def test_the_imagenet_resnets_have_as_many_parameters_as_the_published_ones(gate, depth, expected):
    with torch.device("meta"):
        assert count(imagenet_resnet(depth, gate)) == expected


@pytest.mark.parametrize("name", ["resnet20", "se_resnet20", "constant_resnet20", "se_resnet20_nosqueeze"])
def test_torch_fx_traces_a_network(name):
    network, x = networks.build(name).eval(), torch.randn(2, 3, 16, 12)
    assert torch.equal(torch.fx.symbolic_trace(network)(x), network(x))


# PyTorch 2.13 warns of the end of torch.jit.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["se_resnet8", "constant_resnet8"])
def test_torchscript_compiles_a_network(name):
    network, x = networks.build(name).eval(), torch.randn(2, 3, 16, 12)
    torch.testing.assert_close(torch.jit.script(network)(x), network(x))


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_each_non_linearity_of_a_network_is_a_module_that_is_called_once(placement):
    """DeepLift, for one, hooks them: its numbers are off if one is a function or is used twice."""
    network = cifar_resnet(20, small_se, placement).eval()
    graph = torch.fx.symbolic_trace(network).graph
    functions = {str(node.target) for node in graph.nodes if node.op in ("call_function", "call_method")}
    assert not [name for name in functions if "relu" in name or "sigmoid" in name]
    called = [node.target for node in graph.nodes if node.op == "call_module"]
    assert len(called) == len(set(called))
    kinds = [type(network.get_submodule(name)).__name__ for name in called]
    # The stem, two in each of nine blocks, and each gate's.
    assert kinds.count("ReLU") == 1 + 18 + 9
    assert kinds.count("Sigmoid") == 9


def stage_shapes(network, x):
    shapes = []
    for module in (network.stem, *network.stages):
        x = module(x)
        shapes.append(tuple(x.shape[1:]))
    return shapes


def test_the_stages_of_the_networks_put_out_the_sizes_of_the_published_tables():
    with torch.device("meta"):
        assert stage_shapes(imagenet_resnet(50), torch.zeros(1, 3, 224, 224)) == [
            (64, 56, 56),
            (256, 56, 56),
            (512, 28, 28),
            (1024, 14, 14),
            (2048, 7, 7),
        ]
        assert imagenet_resnet(50)(torch.zeros(2, 3, 224, 224)).shape == (2, 1000)
        assert stage_shapes(cifar_resnet(20), torch.zeros(1, 3, 32, 32)) == [
            (16, 32, 32),
            (16, 32, 32),
            (32, 16, 16),
            (64, 8, 8),
        ]


@pytest.mark.parametrize("depth", [50, 101, 152])
def test_the_stride_is_in_the_first_convolution_of_a_bottleneck(depth):
    with torch.device("meta"):
        network = imagenet_resnet(depth)
    blocks = {50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}[depth]
    assert [len(stage) for stage in network.stages] == blocks
    for number, stage in enumerate(network.stages):
        for place, block in enumerate(stage):
            found = [(m.kernel_size, m.stride) for m in block.branch if isinstance(m, nn.Conv2d)]
            stride = (2, 2) if number > 0 and place == 0 else (1, 1)
            assert found == [((1, 1), stride), ((3, 3), (1, 1)), ((1, 1), (1, 1))]


def cifar_resnet_written_anew(network, x, blocks):
    """The network's function from its weights alone, in the order in which He et al. apply them."""
    convolutions = iter([m for m in network.modules() if isinstance(m, nn.Conv2d)])
    norms = iter([m for m in network.modules() if isinstance(m, nn.BatchNorm2d)])

    def normalised(y, stride=1):
        y = F.conv2d(y, next(convolutions).weight, stride=stride, padding=1)
        norm = next(norms)
        return F.batch_norm(y, None, None, norm.weight, norm.bias, training=True)

    x = normalised(x).relu()
    for stage in range(3):
        for block in range(blocks):
            narrows = stage > 0 and block == 0
            y = normalised(normalised(x, stride=2 if narrows else 1).relu())
            if narrows:
                zeros = torch.zeros_like(y[:, : x.shape[1] // 2])
                x = torch.cat([zeros, x[:, :, ::2, ::2], zeros], dim=1)
            x = (x + y).relu()
    assert next(convolutions, None) is None
    return torch.einsum("ncij,kc->nk", x, network.classify.weight) / x[0, 0].numel() + network.classify.bias


@pytest.mark.parametrize("size", [(3, 3, 32, 32), (2, 3, 9, 13)], ids=str)
def test_a_cifar_resnet_computes_what_one_written_anew_does(size):
    network = cifar_resnet(20).double()
    weights = list(network.parameters())
    x = torch.randn(size, dtype=torch.double)
    ours, theirs = network(x), cifar_resnet_written_anew(network, x, blocks=3)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)
    direction = torch.randn_like(ours)
    torch.testing.assert_close(
        torch.autograd.grad(ours, weights, direction),
        torch.autograd.grad(theirs, weights, direction),
        rtol=0,
        atol=1e-8,
    )


@pytest.mark.parametrize("size", [(2, 8, 5, 3), (2, 8, 4, 6)], ids=str)
@pytest.mark.parametrize("outputs", [16, 13])
def test_the_padded_shortcut_takes_every_second_position_and_adds_channels_of_zeros(size, outputs):
    x = torch.randn(size)
    y = PaddedShortcut(8, outputs)(x)
    below = (outputs - 8) // 2
    assert y.shape == (2, outputs, (size[2] + 1) // 2, (size[3] + 1) // 2)
    for c in range(outputs):
        for i, j in itertools.product(range(y.shape[2]), range(y.shape[3])):
            kept = 0 <= c - below < 8
            expected = x[:, c - below, 2 * i, 2 * j] if kept else torch.zeros(2)
            assert torch.equal(y[:, c, i, j], expected)


def b(x):
    return 3 * x - 1


def s(x):
    return 1 - x


def halve(x):
    return 0.5 * x


def shift(x):
    return x - 0.25


FORMULAS = {
    "standard": lambda g, x: torch.relu(g(b(x)) + s(x)),
    "PRE": lambda g, x: torch.relu(b(g(x)) + s(x)),
    "POST": lambda g, x: g(torch.relu(b(x) + s(x))),
    "Identity": lambda g, x: torch.relu(b(x) + g(s(x))),
}


def test_the_placements_are_those_of_the_formulas():
    assert set(PLACEMENTS) == set(FORMULAS)


@pytest.mark.parametrize("placement", FORMULAS)
@pytest.mark.parametrize("g", [halve, shift])
def test_a_placement_is_its_formula_and_no_other_placement(g, placement):
    x = torch.randn(2, 8, 5, 3, dtype=torch.double, requires_grad=True)
    block = ResidualBlock(Apply(b), Apply(s), (8, 8), lambda channels: Apply(g), placement)
    results = {place: formula(g, x) for place, formula in FORMULAS.items()}
    y = block(x)
    torch.testing.assert_close(y, results[placement])
    torch.testing.assert_close(
        torch.autograd.grad(y.square().sum(), x),
        torch.autograd.grad(results[placement].square().sum(), x),
    )
    for one, other in itertools.combinations(FORMULAS, 2):
        if g is shift and {one, other} == {"standard", "Identity"}:
            continue  # a constant added to either summand is the same sum
        assert (results[one] - results[other]).abs().max() > 0.1, (one, other)


@pytest.mark.parametrize("placement", FORMULAS)
def test_an_se_block_at_each_placement_is_the_formula_too(placement):
    x = torch.randn(2, 8, 5, 3)
    block = ResidualBlock(Apply(b), Apply(s), (8, 8), small_se, placement)
    gate = block.gates[placement]
    assert isinstance(gate, SELayer)
    torch.testing.assert_close(block(x), FORMULAS[placement](gate, x))


def test_a_residual_block_is_standard_and_without_a_gate_unless_told():
    x = torch.randn(2, 8, 5, 3)
    torch.testing.assert_close(ResidualBlock(Apply(b), Apply(s), (8, 8))(x), torch.relu(b(x) + s(x)))
    asked = ResidualBlock(Apply(b), Apply(s), (8, 8), lambda channels: Apply(halve))
    torch.testing.assert_close(asked(x), FORMULAS["standard"](halve, x))


@pytest.mark.parametrize(
    ("placement", "expected"), [("standard", 5), ("PRE", 3), ("POST", 5), ("Identity", 5)]
)
def test_a_gate_is_built_once_for_the_channels_that_pass_it(placement, expected):
    asked = []

    def gate(channels):
        asked.append(channels)
        return nn.Identity()

    ResidualBlock(nn.Conv2d(3, 5, 1), nn.Conv2d(3, 5, 1), (3, 5), gate, placement)
    assert asked == [expected]


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("build", [lambda *a: cifar_resnet(20, *a), lambda *a: imagenet_resnet(50, *a)])
def test_a_network_passes_the_gate_and_the_placement_to_every_block(build, placement):
    with torch.device("meta"):
        network = build(small_se, placement)
        assert network(torch.zeros(1, 3, 64, 64)).shape[0] == 1
    blocks = [m for m in network.modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) in (9, 16)
    for block in blocks:
        gated = [place for place, gate in block.gates.items() if isinstance(gate, SELayer)]
        assert gated == [placement]


@pytest.mark.parametrize(
    ("channels", "hidden"), [(16, 4), (32, 4), (64, 4), (128, 8), (256, 16), (2048, 128)]
)
def test_small_se_keeps_four_hidden_units_or_more(channels, hidden):
    gate = small_se(channels)
    assert gate.fc[0].weight.shape == (hidden, channels)
    if channels >= 64:
        assert hidden == channels // 16


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 24, 60])
def test_small_se_takes_any_number_of_channels(channels):
    hidden = small_se(channels).fc[0].weight.shape[0]
    assert min(4, channels) <= hidden <= channels
    x = torch.randn(2, channels, 5, 3)
    assert small_se(channels)(x).shape == x.shape


@pytest.mark.parametrize("depth", [2, 7, 18, 21, 34, 101, 0, -4])
def test_an_unknown_depth_of_a_cifar_resnet_is_refused(depth):
    with pytest.raises(ValueError, match=rf"6n \+ 2.*got {depth}"):
        cifar_resnet(depth)


@pytest.mark.parametrize("depth", [18, 34, 51, 0])
def test_an_unknown_depth_of_an_imagenet_resnet_is_refused(depth):
    with pytest.raises(ValueError, match=rf"\(50, 101, 152\), got {depth}"):
        imagenet_resnet(depth)


@pytest.mark.parametrize("placement", ["Standard", "pre", "identity", "", None])
def test_an_unknown_placement_is_refused(placement):
    for build in (
        lambda: cifar_resnet(20, small_se, placement),
        lambda: imagenet_resnet(50, small_se, placement),
        lambda: ResidualBlock(Apply(b), Apply(s), (8, 8), small_se, placement),
    ):
        with torch.device("meta"), pytest.raises(ValueError, match=f"standard.*got {placement!r}"):
            build()


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_a_backward_pass_gives_every_parameter_a_gradient(placement):
    network = cifar_resnet(20, small_se, placement, classes=7)
    with torch.no_grad():
        for gate in [m for m in network.modules() if isinstance(m, SELayer)]:
            gate.fc[0].weight.abs_()  # or all four hidden units of a gate may happen to be off at the start
    y = network(torch.randn(4, 3, 32, 32))
    assert y.shape == (4, 7)
    F.cross_entropy(y, torch.tensor([0, 2, 4, 6])).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("shape", [(3, 32, 32), (2, 1, 32, 32), (2, 32, 32, 3), (2, 3 * 32 * 32)], ids=str)
@pytest.mark.parametrize(
    "build", [lambda: cifar_resnet(20), lambda: imagenet_resnet(50)], ids=["cifar", "imagenet"]
)
def test_a_network_refuses_what_are_no_images_by_name(build, shape):
    with torch.device("meta"), pytest.raises(ValueError, match=r"\(N, C = 3, H, W\)") as error:
        build()(torch.zeros(shape))
    assert str(error.value).endswith(f"got {shape}")


def test_a_network_is_known_by_its_name() -> None:
    assert cost.parameters(networks.build("resnet20")) == 269_722
    assert cost.parameters(networks.build("resnet56")) == 853_018
    extra = cost.parameters(networks.build("se_resnet20")) - 269_722
    assert extra == sum(3 * 2 * channels * 4 for channels in (16, 32, 64))
    extra = cost.parameters(networks.build("se_resnet20_r2")) - 269_722
    assert extra == sum(3 * channels * channels for channels in (16, 32, 64))


def test_ses_rivals_are_known_by_their_names() -> None:
    with_constants = cost.parameters(networks.build("constant_resnet20"))
    assert with_constants - 269_722 == sum(3 * channels for channels in (16, 32, 64))
    plain, of_max = networks.build("se_resnet20"), networks.build("se_resnet20_max")
    assert of_max.load_state_dict(plain.state_dict())
    x = torch.rand(2, 3, 32, 32)
    assert not torch.allclose(plain.eval()(x), of_max.eval()(x))


def test_a_small_gate_of_the_maximum_is_se_with_the_maximum_for_z() -> None:
    gate = networks.CHANGES["max"](16)
    u = torch.randn(2, 16, 5, 3)
    s = gate.fc(u.flatten(2).max(dim=2).values)
    torch.testing.assert_close(gate(u), u * s[:, :, None, None])


@pytest.mark.parametrize(
    ("word", "last"), [("tanh", torch.tanh), ("relu", torch.relu), ("hardsigmoid", F.hardsigmoid)]
)
def test_another_function_can_stand_in_the_sigmoid_s_place(word: str, last) -> None:
    network = networks.build(f"se_resnet8_{word}")
    gate = network.get_submodule("stages.1.0.gates.standard")
    u = torch.randn(2, 32, 5, 3)
    hidden = (u.mean((2, 3)) @ gate.fc[0].weight.T).relu()
    torch.testing.assert_close(gate(u), u * last(hidden @ gate.fc[2].weight.T)[:, :, None, None])


def test_a_name_can_say_where_the_gates_stand() -> None:
    image = torch.rand(2, 3, 32, 32)
    for word, placement in networks.PLACES.items():
        found = gates.find(networks.build(f"se_resnet8_{word}"), image)
        assert {name.rpartition(".")[2] for name in found} == {placement}
        assert len(found) == 3
    for stage in (1, 2, 3):
        found = gates.find(networks.build(f"se_resnet14_stage{stage}"), image)
        assert found == [f"stages.{stage - 1}.{block}.gates.standard" for block in (0, 1)]


@pytest.mark.parametrize(
    "name",
    [
        "resnet",
        "se_resnet20_stage4",
        "se_resnet20_pre2",
        "se_resnet20_stage",
        "resnet20_pre",
        "resnet20_r2",
        "resnet21",
        "se-resnet20",
        "se_resnet20_r",
        "x",
        "constant_resnet20_r2",
        "resnet20_max",
    ],
)
def test_an_unknown_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"resnet20|6n"):
        networks.build(name)


def test_the_gates_of_a_network_are_described_by_stage_and_block() -> None:
    found = gates.find(networks.build("se_resnet20"), torch.rand(2, 3, 32, 32))
    assert [networks.describe_gate(name) for name in found] == [
        f"stage {stage}, block {block}" for stage in (1, 2, 3) for block in (1, 2, 3)
    ]
    for placement in ("PRE", "POST", "Identity"):
        found = gates.find(cifar_resnet(8, networks.small_se, placement), torch.rand(2, 3, 32, 32))
        assert [networks.describe_gate(name) for name in found] == [
            f"stage {stage}, block 1, {placement}" for stage in (1, 2, 3)
        ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("stages.3.10.gates.standard", "stage 4, block 11"),
        ("stages.2", "stage 3"),
        ("stages.2.0", "stage 3, block 1"),
        ("7", "7"),
        ("", ""),
        ("layer1.0.se", "layer1.0.se"),
        ("stages.0.1.branch.4", "stages.0.1.branch.4"),
        ("module.stages.0.1.gates.PRE", "module.stages.0.1.gates.PRE"),
    ],
)
def test_stages_and_blocks_are_described_and_other_names_given_back(name: str, said: str) -> None:
    assert networks.describe_gate(name) == said
