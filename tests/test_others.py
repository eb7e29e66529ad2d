"""What came after SE, against the papers' formulas written out in loops, values and gradients, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seblock import gates
from seblock.blocks import SELayer
from seblock.convert import to_fast
from seblock.cost import Cost, operations, parameters
from seblock.networks import ResidualBlock, cifar_resnet
from seblock.others import (
    CBAM,
    CHANNEL_GATES,
    CSE,
    ECA,
    OTHERS,
    SCSE,
    SSE,
    CBAMChannel,
    CBAMSpatial,
    EffectiveSE,
    GatherExcite,
    GlobalContext,
    Reordered,
    eca_kernel,
)

C, H, W = 8, 5, 3


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def sigmoid(a):
    return 1 / (1 + torch.exp(-a))


def mean(u):
    """(N, C, H, W) -> (N, C), position by position."""
    return sum(u[:, :, i, j] for i in range(u.shape[2]) for j in range(u.shape[3])) / (
        u.shape[2] * u.shape[3]
    )


def norm(a, layer):
    """A BatchNorm in evaluation mode."""
    shape = (1, -1, 1, 1)
    scale = layer.weight / (layer.running_var + layer.eps).sqrt()
    return a * scale.view(shape) + (layer.bias - layer.running_mean * scale).view(shape)


def each(s, u):
    return torch.einsum("nc,ncij->ncij", s, u)


def eca(gate, u):
    (weights,) = gate.conv.weight[0]
    z, reach = mean(u), len(weights) // 2
    rows = [
        sum(weights[d + reach] * z[:, c + d] for d in range(-reach, reach + 1) if 0 <= c + d < u.shape[1])
        for c in range(u.shape[1])
    ]
    return each(sigmoid(torch.stack(rows, dim=1)), u)


def effective(gate, u):
    a = torch.einsum("dc,nc->nd", gate.fc.weight, mean(u)) + gate.fc.bias
    return each((a + 3).clamp(0, 6) / 6, u)


def two_layers(gate, z):
    hidden = torch.einsum("hc,nc->nh", gate.fc[0].weight, z).clamp(min=0)
    return torch.einsum("ch,nh->nc", gate.fc[2].weight, hidden)


def largest(u, dims):
    for d in sorted(dims, reverse=True):
        u = torch.stack(u.unbind(d)).max(0).values
    return u


def cbam_channel(gate, u):
    return each(sigmoid(two_layers(gate, mean(u)) + two_layers(gate, largest(u, (2, 3)))), u)


def cbam_spatial(gate, u):
    maps = torch.stack([sum(u.unbind(1)) / u.shape[1], largest(u, (1,))], dim=1)
    kernel, reach = gate.conv.weight[0], gate.conv.weight.shape[-1] // 2
    rows = [
        [
            sum(
                kernel[m, a + reach, b + reach] * maps[:, m, i + a, j + b]
                for m in range(2)
                for a in range(-reach, reach + 1)
                for b in range(-reach, reach + 1)
                if 0 <= i + a < u.shape[2] and 0 <= j + b < u.shape[3]
            )
            for j in range(u.shape[3])
        ]
        for i in range(u.shape[2])
    ]
    found = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)[:, None]
    return torch.einsum("ncij,nij->ncij", u, sigmoid(norm(found, gate.norm))[:, 0])


def cbam(gate, u):
    return cbam_spatial(gate.spatial, cbam_channel(gate.channel, u))


def cse(gate, u):
    return each(sigmoid(two_layers(gate, mean(u))), u)


def sse(gate, u):
    q = torch.einsum("c,ncij->nij", gate.conv.weight[0, :, 0, 0], u)
    return torch.einsum("nij,ncij->ncij", sigmoid(q), u)


def scse(gate, u):
    return cse(gate.cse, u) + sse(gate.sse, u)


def gather(gate, u):
    """Without parameters: the mean of what lies within e − 1 steps of every e-th position, repeated."""
    e = gate.extent
    if not e:
        return each(sigmoid(mean(u)), u)
    height, width = u.shape[2:]
    rows = []
    for i in range(0, height, e):
        row = []
        for j in range(0, width, e):
            window = u[:, :, max(0, i - e + 1) : i + e, max(0, j - e + 1) : j + e]
            row.append(mean(window))
        rows.append(torch.stack(row, dim=-1))
    coarse = torch.stack(rows, dim=-2)
    i = [row * coarse.shape[2] // height for row in range(height)]
    j = [column * coarse.shape[3] // width for column in range(width)]
    return u * sigmoid(coarse[:, :, i][..., j])


def gather_learned(gate, u):
    coarse = u
    for part in gate.gather:
        if isinstance(part, nn.Conv2d):
            pieces = [
                F.conv2d(
                    coarse[:, c : c + 1], part.weight[c : c + 1], stride=part.stride, padding=part.padding
                )
                for c in range(u.shape[1])
            ]
            coarse = torch.cat(pieces, dim=1)
        else:
            coarse = norm(coarse, part) if isinstance(part, nn.BatchNorm2d) else coarse.clamp(min=0)
    i = [row * coarse.shape[2] // u.shape[2] for row in range(u.shape[2])]
    j = [column * coarse.shape[3] // u.shape[3] for column in range(u.shape[3])]
    return u * sigmoid(coarse[:, :, i][..., j])


def global_context(gate, u):
    logits = torch.einsum("c,ncij->nij", gate.attend.weight[0, :, 0, 0], u) + gate.attend.bias
    powers = torch.exp(logits)
    weights = powers / powers.sum((1, 2), keepdim=True)
    context = torch.einsum("nij,ncij->nc", weights, u)
    first, layer_norm, _, last = gate.fc
    hidden = context @ first.weight.T + first.bias
    centred = hidden - hidden.mean(1, keepdim=True)
    hidden = centred / (centred.square().mean(1, keepdim=True) + layer_norm.eps).sqrt()
    hidden = (hidden * layer_norm.weight + layer_norm.bias).clamp(min=0)
    return u + (hidden @ last.weight.T + last.bias)[:, :, None, None]


FORMULAS = {
    "ECA": (lambda: ECA(C), eca),
    "ECA, kernel 5": (lambda: ECA(C, 5), eca),
    "effective SE": (lambda: EffectiveSE(C), effective),
    "CBAM's channel part": (lambda: CBAMChannel(C, 4), cbam_channel),
    "CBAM's spatial part": (lambda: CBAMSpatial(C), cbam_spatial),
    "CBAM": (lambda: CBAM(C, 4), cbam),
    "cSE": (lambda: CSE(C), cse),
    "sSE": (lambda: SSE(C), sse),
    "scSE": (lambda: SCSE(C), scse),
    "gather-excite": (lambda: GatherExcite(C), gather),
    "gather-excite, extent 2": (lambda: GatherExcite(C, 2), gather),
    "gather-excite, extent 3": (lambda: GatherExcite(C, 3), gather),
    "gather-excite, extent 2, learned": (lambda: GatherExcite(C, 2, learned=True), gather_learned),
    "gather-excite, extent 4, learned": (lambda: GatherExcite(C, 4, learned=True), gather_learned),
    "gather-excite, learned": (lambda: GatherExcite(C, learned=True, size=(H, W)), gather_learned),
    "global context": (lambda: GlobalContext(C, 4), global_context),
}
every_one = pytest.mark.parametrize("name", FORMULAS)


def shaken(module):
    """Every parameter and statistic off its first value."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()
                part.running_var.uniform_(0.5, 2)
    return module


def make(name):
    return shaken(FORMULAS[name][0]()).eval()


@every_one
def test_values_and_gradients_are_those_of_the_formula(name):
    gate, formula = make(name).double(), FORMULAS[name][1]
    x, g = torch.randn(2, 3, C, H, W, dtype=torch.double)
    results = []
    for function in (gate, lambda u: formula(gate, u)):
        u = x.clone().requires_grad_()
        y = function(u)
        results.append((y, *torch.autograd.grad(y, [u, *gate.parameters()], g)))
    torch.testing.assert_close(*results, rtol=1e-7, atol=1e-8)  # PyTorch's hard sigmoid rounds 1/6
    assert not torch.allclose(results[0][0], x, atol=1e-2)


# Eq. 12 worked out by hand: (log2 C + 1) / 2 is 3.5, 4, 4.5, 5, 5.5 and 6.
@pytest.mark.parametrize(
    ("channels", "kernel"),
    [(64, 3), (128, 5), (256, 5), (512, 5), (1024, 5), (2048, 7), (16, 3), (8, 3), (2, 1)],
)
def test_eca_s_kernel_grows_with_the_logarithm_of_the_channels(channels, kernel):
    assert eca_kernel(channels) == kernel
    assert ECA(channels).conv.weight.shape == (1, 1, kernel)


@pytest.mark.parametrize("channels", range(1, 2049, 7))
def test_eca_s_kernel_is_the_nearest_odd_number(channels):
    t = (math.log2(channels) + 1) / 2
    nearest = min((1, 3, 5, 7, 9), key=lambda odd: (abs(odd - t), -odd))
    assert eca_kernel(channels) == nearest


@every_one
def test_maps_of_a_wrong_shape_are_refused(name):
    for shape in [(2, C), (C, H, W), (2, C + 1, H, W), (2, C, H, W, 1)]:
        with pytest.raises(ValueError, match=rf"\(N, C = {C}, H, W\)"):
            make(name)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: ECA(8, 4), "kernel_size must be odd, got 4"),
        (lambda: CBAMSpatial(8, 6), "kernel_size must be odd, got 6"),
        (lambda: CBAM(8), "no hidden unit"),
        (lambda: GlobalContext(8), "no hidden unit"),
        (
            lambda: GatherExcite(8, 3, learned=True),
            "extent must be 0 or, if learned, 2, 4, 8 or alike, got 3",
        ),
        (lambda: GatherExcite(8, 1, learned=True), "got 1"),
        (lambda: GatherExcite(8, -2), "got -2"),
        (lambda: GatherExcite(8, learned=True), "size is for"),
        (lambda: GatherExcite(8, 2, learned=True, size=(5, 3)), "size is for"),
        (
            lambda: GatherExcite(8, learned=True, size=(5, 3))(torch.zeros(1, 8, 3, 5)),
            r"\(5, 3\), got \(3, 5\)",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_in_a_sentence(build, says):
    with pytest.raises(ValueError, match=says):
        build()


@every_one
def test_torch_fx_traces_it(name):
    gate, x = make(name), torch.randn(2, C, H, W)
    torch.testing.assert_close(torch.fx.symbolic_trace(gate)(x), gate(x))


@every_one
def test_each_non_linearity_is_a_module(name):
    """What hooks them, as captum does, sees all of them."""
    graph = torch.fx.symbolic_trace(make(name)).graph
    functions = {str(node.target) for node in graph.nodes if node.op in ("call_function", "call_method")}
    assert not [function for function in functions if "relu" in function or "sigmoid" in function]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_one
def test_torchscript_compiles_it(name):
    gate, x = make(name), torch.randn(2, C, H, W)
    torch.testing.assert_close(torch.jit.script(gate)(x), gate(x))


@every_one
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_the_order_in_memory_stays(name, form):
    gate, x = make(name), torch.randn(2, C, H, W)
    y = gate(x.contiguous(memory_format=form))
    assert y.is_contiguous(memory_format=form)
    torch.testing.assert_close(y, gate(x))


def test_global_context_adds_nothing_at_first_and_learns():
    gate, x = GlobalContext(C, 4), torch.randn(2, C, H, W)
    assert torch.equal(gate(x), x)
    gate(x).square().sum().backward()
    assert gate.fc[3].weight.grad.abs().max() > 0


def test_cse_is_the_se_block_of_r_2():
    ours, se, x = CSE(C), SELayer(C, 2), torch.randn(2, C, H, W)
    ours.load_state_dict(se.state_dict())
    assert torch.equal(ours(x), se(x))


FOUND = {
    "ECA": ["1"],
    "ECA, kernel 5": ["1"],
    "effective SE": ["1"],
    "CBAM's channel part": ["1"],
    "CBAM": ["1.channel"],  # the whole is none
    "cSE": ["1"],
    "scSE": ["1.cse"],  # the sum is none
    "gather-excite": ["1"],
    "gather-excite, learned": ["1"],
}
"""By name what `gates.find` finds in a network with it; of the others nothing."""


@every_one
def test_channel_gates_are_found_and_what_is_none_is_not(name):
    network = nn.Sequential(nn.Conv2d(4, C, 1), make(name), nn.ReLU())
    assert gates.find(network, torch.randn(2, 4, H, W)) == FOUND.get(name, [])


@every_one
def test_channel_gates_are_those_that_say_so(name):
    gate = make(name)
    whole = isinstance(gate, GatherExcite) and not gate.extent
    assert (isinstance(gate, CHANNEL_GATES) or whole) is (FOUND.get(name) == ["1"])
    assert isinstance(gate, OTHERS)


@every_one
def test_conversion_leaves_it_and_says_so(name):
    model = nn.Sequential(nn.Conv2d(4, C, 1), make(name), nn.ReLU()).eval()
    x = torch.randn(2, 4, H, W)
    before = model(x)
    done = to_fast(model)
    torch.testing.assert_close(model(x), before)
    # cSE is the SE block, so it is replaced, within scSE too
    assert list(done.replaced) == {"cSE": ["1"], "scSE": ["1.cse"]}.get(name, [])
    left = {"CBAM": {"1.channel", "1.spatial"}, "cSE": set(), "scSE": {"1.sse"}}.get(name, {"1"})
    assert set(done.left) == left
    assert all("linear" in why for why in done.left.values())


ONE = C * H * W
COSTS = {  # parameters; multiply-adds of layers; additions and rescales of elements
    "ECA": (3, C * 3, 0, ONE),
    "ECA, kernel 5": (5, C * 5, 0, ONE),
    "effective SE": (C * C + C, C * C, 0, ONE),
    "CBAM's channel part": (2 * C * 2, 2 * 2 * C * 2, 0, ONE),
    "CBAM's spatial part": (2 * 49 + 2, H * W * 2 * 49, 0, ONE),
    "CBAM": (2 * C * 2 + 100, 2 * 2 * C * 2 + H * W * 98, 0, 2 * ONE),
    "cSE": (2 * C * 4, 2 * C * 4, 0, ONE),
    "sSE": (C, ONE, 0, ONE),
    "scSE": (2 * C * 4 + C, 2 * C * 4 + ONE, ONE, 2 * ONE),
    "gather-excite": (0, 0, 0, ONE),
    "gather-excite, extent 2": (0, 0, 0, ONE),
    "gather-excite, extent 3": (0, 0, 0, ONE),
    "gather-excite, extent 2, learned": (C * 9 + 2 * C, C * 3 * 2 * 9, 0, ONE),
    "gather-excite, extent 4, learned": (2 * (C * 9 + 2 * C), C * (3 * 2 + 2 * 1) * 9, 0, ONE),
    "gather-excite, learned": (ONE + 2 * C, ONE, 0, ONE),
    # one map of logits, the weighted mean, two layers with biases and two numbers a hidden unit of LayerNorm
    "global context": (C + 1 + 2 * C * 2 + 2 + C + 2 * 2, ONE + ONE + 2 * C * 2, ONE, 0),
}


@every_one
@pytest.mark.parametrize("images", [1, 3])
def test_its_cost_is_counted_as_by_hand(name, images):
    gate = FORMULAS[name][0]()
    weights, *counts = COSTS[name]
    assert parameters(gate) == weights
    expected = Cost(*(images * count for count in counts))
    assert operations(gate, (images, C, H, W)) == expected
    block = ResidualBlock(nn.Identity(), nn.Identity(), (C, C), lambda channels: FORMULAS[name][0]())
    placed = operations(block, (images, C, H, W))
    assert placed == Cost(expected.layers, expected.additions + images * ONE, expected.rescales)


@pytest.mark.parametrize("gate", [ECA, EffectiveSE, CBAM, CSE, SSE, SCSE, GatherExcite, GlobalContext])
def test_it_takes_se_s_place_in_a_residual_network_and_learns(gate):
    network = cifar_resnet(20, gate)
    assert sum(isinstance(module, gate) for module in network.modules()) == 9
    loss = network(torch.randn(4, 3, 16, 16)).square().sum()
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_a_reordered_gate_meets_the_channels_in_the_other_order_and_gives_them_back_in_their_own():
    order, x = torch.tensor([3, 1, 0, 2]), torch.randn(2, 4, H, W)
    eca = shaken(ECA(4, 3))
    expected = torch.empty_like(x)
    for place, channel in enumerate(order):
        expected[:, channel] = eca(torch.stack([x[:, c] for c in order], dim=1))[:, place]
    torch.testing.assert_close(Reordered(eca, order)(x), expected)
    assert not torch.allclose(eca(x), expected)
    with pytest.raises(ValueError, match="each of 0 to 3 once"):
        Reordered(eca, torch.tensor([0, 1, 1, 3]))


def test_se_takes_any_order_of_channels_by_reordering_its_weights():
    order, x, se = torch.randperm(C), torch.randn(2, C, H, W), SELayer(C, 2)
    other = SELayer(C, 2)
    with torch.no_grad():
        other.fc[0].weight.copy_(se.fc[0].weight[:, order])
        other.fc[2].weight.copy_(se.fc[2].weight[order])
    torch.testing.assert_close(Reordered(other, order)(x), se(x))
