"""Gates are found by what they do, recorded as what they are, and given back as they were."""

import contextlib
import copy
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from seblock.blocks import ResBlockSqEx, SELayer, SqEx
from seblock.functional import excite, squeeze
from seblock.gates import (
    Record,
    by_class,
    chosen,
    clamped,
    class_specificity,
    find,
    frozen,
    record,
    replaced,
    shuffled,
    specificity_by_chance,
    variance_split,
)
from seblock.networks import PLACEMENTS, cifar_resnet, imagenet_resnet, small_se
from seblock.puzzles import painter


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class Apply(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class Residual(nn.Sequential):
    """x + branch(x)."""

    def forward(self, x):
        return x + super().forward(x)


class Scale(nn.Module):
    """x̃ = s · u with s = to_gates(z), in place or not, and with another squeeze than the mean."""

    def __init__(self, to_gates, pool=squeeze, inplace=False):
        super().__init__()
        self.to_gates, self.pool, self.inplace = to_gates, pool, inplace

    def forward(self, u):
        s = self.to_gates(self.pool(u))[:, :, None, None]
        return u.mul_(s) if self.inplace else u * s


class ECA(nn.Module):
    """A gate from the neighbouring channels' means: σ of a 1-D convolution over the channels."""

    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, u):
        return u * self.conv(squeeze(u)[:, None]).sigmoid().transpose(1, 2)[..., None]


class GRN(nn.Module):
    """ConvNeXt V2's global response norm, without its offset: x (1 + γ |x_c| / mean |x|)."""

    def __init__(self, channels):
        super().__init__()
        self.gamma = nn.Parameter(torch.randn(1, channels, 1, 1))

    def forward(self, x):
        norms = x.norm(dim=(2, 3), keepdim=True)
        return x + self.gamma * x * norms / (norms.mean(dim=1, keepdim=True) + 1e-6)


def zeroed(layer):
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def rms(dims, eps):
    return Apply(lambda x: x / (x.square().mean(dim=dims, keepdim=True) + eps).sqrt())


def mean_and_max(u):
    return squeeze(u) + u.amax(dim=(2, 3))


def standard_deviation(u):
    return u.std(dim=(2, 3))


def batch(channels=8, images=6):
    return torch.randn(images, channels, 5, 3)


def mlp(channels=8, hidden=2, end=nn.Sigmoid, bias=True):
    return nn.Sequential(
        nn.Linear(channels, hidden, bias), nn.ReLU(), nn.Linear(hidden, channels, bias), end()
    )


GATES = {
    "SELayer": lambda: SELayer(8, 4),
    "SqEx": lambda: SqEx(8, 4),
    "one hidden unit without a bias": lambda: SELayer(8, 8),
    "in place": lambda: Scale(mlp(), inplace=True),
    "hard sigmoid": lambda: Scale(mlp(end=nn.Hardsigmoid)),
    "tanh, of either sign": lambda: Scale(mlp(end=nn.Tanh)),
    "ReLU": lambda: Scale(mlp(end=nn.ReLU)),
    "softmax": lambda: Scale(lambda z: z.softmax(dim=1)),
    "linear": lambda: Scale(nn.Linear(8, 8, bias=False)),
    "effective SE": lambda: Scale(nn.Sequential(nn.Linear(8, 8), nn.Hardsigmoid())),
    "ECA": lambda: ECA(8),
    "mean and maximum": lambda: Scale(lambda z: z.sigmoid(), mean_and_max),
    "blind to the sign": lambda: Scale(lambda z: z.sigmoid(), standard_deviation),
    "blind to the strength": lambda: Scale(lambda z: F.normalize(z).sigmoid()),
    "one gate alone depends on the image": lambda: Scale(
        lambda z: F.pad(z[:, :1].sigmoid(), (0, 7), value=1.0)
    ),
    "one for all channels": lambda: Scale(lambda z: z[:, :1].sigmoid().expand_as(z)),
    "hardly any effect": lambda: Scale(lambda z: (1e-4 * z).sigmoid()),
    "only strong maps": lambda: Scale(lambda z: (z - 20).relu().sigmoid()),
}

NO_GATES = {
    "Identity": lambda: nn.Identity(),
    "ReLU": lambda: nn.ReLU(),
    "ReLU in place": lambda: nn.ReLU(inplace=True),
    "SiLU": lambda: nn.SiLU(),
    "BatchNorm": lambda: nn.BatchNorm2d(8),
    "BatchNorm of the batch": lambda: nn.BatchNorm2d(8, track_running_stats=False),
    "dropout": lambda: nn.Dropout(0.5),
    "channel dropout": lambda: nn.Dropout2d(0.5),
    "channel dropout in eval mode too": lambda: Apply(lambda x: F.dropout2d(x, 0.5, training=True)),
    "a factor a channel": lambda: nn.Conv2d(8, 8, 1, groups=8, bias=False),
    "convolution": lambda: nn.Conv2d(8, 8, 3, padding=1),
    "zero": lambda: zeroed(nn.Conv2d(8, 8, 3, padding=1)),
    "a branch that carries zero": lambda: Residual(zeroed(nn.Conv2d(8, 8, 1))),
    "a gate that is constant": lambda: Scale(lambda z: (0 * z).sigmoid()),
    "InstanceNorm": lambda: nn.InstanceNorm2d(8),
    "GroupNorm": lambda: nn.GroupNorm(2, 8),
    "LayerNorm": lambda: nn.LayerNorm([8, 5, 3]),
    "RMS norm of the map": lambda: rms((2, 3), 1e-5),
    "RMS norm of the map, much added": lambda: rms((2, 3), 1e-3),
    "RMS norm of the image": lambda: rms((1, 2, 3), 1e-6),
    "RMS norm of the position": lambda: rms(1, 1e-6),
    "division by the mean": lambda: Apply(lambda x: x / x.mean(dim=(2, 3), keepdim=True)),
    "GRN": lambda: GRN(8),
    "spatial gate": lambda: Apply(lambda x: x * x.mean(dim=1, keepdim=True).sigmoid()),
    "spatial and channel gate at once": lambda: Apply(
        lambda x: x * (x.mean(dim=1, keepdim=True).sigmoid() + x.mean(dim=(2, 3), keepdim=True).sigmoid())
    ),
    "an added term": lambda: Apply(lambda x: x + x.mean(dim=(2, 3), keepdim=True)),
    "a gate for rows": lambda: Apply(lambda x: x * x.mean(dim=(1, 3), keepdim=True).sigmoid()),
    "two results": lambda: Apply(lambda x: (x, x)),
    "another shape": lambda: nn.MaxPool2d(3, stride=1),
}


@pytest.mark.parametrize("name", GATES)
def test_a_gate_is_found(name):
    network = nn.Sequential(nn.Conv2d(8, 8, 1), Apply(lambda x: x), GATES[name](), nn.ReLU())
    assert find(network, batch()) == ["2"]


@pytest.mark.parametrize("name", NO_GATES)
def test_what_is_no_gate_is_not_found(name):
    first = NO_GATES[name]()
    assert find(nn.Sequential(first), batch()) == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_gates_of_other_precision_are_found_and_norms_are_not(dtype):
    network = nn.Sequential(SqEx(8, 4), GRN(8), nn.BatchNorm2d(8), rms((2, 3), 1e-5), SELayer(8, 4)).to(dtype)
    assert find(network, batch().to(dtype)) == ["0", "4"]


@pytest.mark.parametrize("seed", range(5))
def test_each_gate_of_a_fresh_network_is_found_although_some_hidden_layers_are_dead(seed):
    torch.manual_seed(seed)
    expected = [f"stages.{i}.{j}.gates.standard" for i in range(3) for j in range(3)]
    assert find(cifar_resnet(20, small_se), torch.rand(2, 3, 16, 16)) == expected


@pytest.mark.parametrize(
    ("build", "depth", "placement", "gates"),
    [*((cifar_resnet, 20, placement, 9) for placement in PLACEMENTS), (imagenet_resnet, 50, "standard", 16)],
)
def test_the_gates_of_a_network_are_found_at_every_placement_and_nothing_else(build, depth, placement, gates):
    network = build(depth, small_se, placement)
    expected = [name for name, module in network.named_modules() if isinstance(module, SELayer)]
    assert find(network, torch.randn(2, 3, 32, 32)) == expected
    assert len(expected) == gates


def test_a_network_without_gates_has_none():
    assert find(cifar_resnet(20), torch.randn(2, 3, 16, 16)) == []
    assert find(painter(), torch.randn(2, 3, 20, 20)) == []


def test_gates_whose_blocks_carry_nothing_yet_are_found():
    network = cifar_resnet(20, small_se)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.zeros_(module.weight)
    assert len(find(network, torch.rand(2, 3, 16, 16))) == 9


def test_the_innermost_module_is_the_gate_and_the_model_itself_may_be_one():
    assert find(nn.Sequential(nn.Sequential(nn.Identity(), SqEx(8, 4))), batch()) == ["0.1"]
    assert find(ResBlockSqEx(16), batch(16)) == ["sqex"]
    assert find(SqEx(8, 4), batch()) == [""]
    shared = SqEx(8, 4)
    assert find(nn.Sequential(shared, nn.Sequential(shared)), batch()) == ["0"]


def test_modules_with_other_inputs_are_passed_over():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.add, self.attend, self.gate = Apply(sum), nn.MultiheadAttention(8, 2), SqEx(8, 4)
            self.pick, self.needs_batch = Apply(lambda d: d["x"]), Apply(lambda x: x.view(2, 8, 5, 3))

        def forward(self, x):
            x = self.pick({"x": self.needs_batch(self.add([x, x]))})
            z = squeeze(x)[None]
            return self.gate(x) + self.attend(z, z, z)[0][0, :, :, None, None]

    assert find(Sum(), batch()) == ["gate"]


def test_a_map_of_a_single_position_makes_no_gates_of_activations():
    network = nn.Sequential(nn.Sigmoid(), nn.SiLU(), SqEx(8, 4), nn.Conv2d(8, 8, 1))
    assert find(network, torch.randn(2, 8, 1, 1)) == ["2"]


def watched(network):
    """All that must be as it was."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    return {
        "modes": {name: m.training for name, m in network.named_modules()},
        "hooks": {name: (*m._forward_hooks, *m._forward_pre_hooks) for name, m in network.named_modules()},
        "tensors": {name: (id(t), t._version, t.requires_grad, t.dtype, t.device) for name, t in tensors},
        "gradients": {name: id(p.grad) for name, p in network.named_parameters()},
        "random": torch.get_rng_state().tolist(),
        "grad mode": torch.is_grad_enabled(),
    }


@pytest.fixture
def network():
    network = cifar_resnet(20, small_se)
    network.stages[1].eval()  # a mixture of modes, which `train()` at the end would not restore
    network.stem[0].weight.requires_grad_(False)
    network.stem.register_forward_hook(lambda module, inputs, output: None)
    return network


@pytest.fixture
def data():
    x, y = torch.randn(10, 3, 16, 16), torch.tensor([0, 2, 1, 0, 2, 2, 0, 2, 0, 1])
    return [(x[:4], y[:4]), (x[4:9], y[4:9]), (x[9:], y[9:])]


def images(data):
    return torch.cat([x for x, _ in data])


def run(network, data):
    with torch.no_grad():
        return torch.cat([network(x) for x, _ in data])


def test_finding_and_recording_leave_the_model_as_it_was(network, data):
    network.stages.append(nn.Sequential(nn.Dropout(0.5), Apply(lambda x: F.dropout2d(x, training=True))))
    before = watched(network)
    find(network, data[0][0])
    assert watched(network) == before
    state = torch.get_rng_state()
    record(network, data)
    torch.set_rng_state(state)  # this network is random even in eval mode
    assert watched(network) == before


def test_finding_and_recording_leave_the_model_as_it_was_after_an_error(network, data):
    broken = torch.randn(2, 5, 16, 16)
    before = watched(network)
    with pytest.raises(ValueError, match=r"\(N, C = 3, H, W\)"):
        find(network, broken)
    with pytest.raises(ValueError, match=r"\(N, C = 3, H, W\)"):
        record(network, [*data, broken], ["stages.0.0.gates.standard"])
    assert watched(network) == before


def test_the_record_is_the_gates_by_their_formula_in_the_order_of_the_loader(data):
    first, second = SqEx(3, 3), SELayer(8, 4)
    network = nn.Sequential(
        first, nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), second, nn.ReLU(inplace=True)
    )
    recorded = record(network, data, squeezed=True)
    with torch.no_grad():
        z1 = images(data).mean(dim=(2, 3))
        z2 = network.eval()[:4](images(data)).mean(dim=(2, 3))
        s1 = excite(z1, first.linear1.weight, first.linear2.weight, first.linear1.bias, first.linear2.bias)
        s2 = excite(z2, second.fc[0].weight, second.fc[2].weight)
    assert list(recorded.s) == list(recorded.z) == ["0", "4"]
    for name, s, z in (("0", s1, z1), ("4", s2, z2)):
        assert recorded.s[name].dtype == recorded.z[name].dtype == torch.float16
        torch.testing.assert_close(recorded.s[name], s.half(), rtol=0, atol=5e-4)
        torch.testing.assert_close(recorded.z[name], z.half(), rtol=0, atol=1e-3)
    assert torch.equal(recorded.labels, torch.cat([y for _, y in data]))


def test_the_record_holds_labels_and_squeezed_channels_only_where_there_are_some(data):
    network = nn.Sequential(SqEx(3, 3))
    for loader in (
        [x for x, _ in data],
        [[x] for x, _ in data],
        [(x, x) for x, _ in data],
        ((x, "y") for x, _ in data),
    ):
        recorded = record(network, loader)
        assert recorded.labels is None
        assert recorded.z == {}
        assert recorded.s["0"].shape == (10, 3)


def test_a_gate_in_place_is_recorded_as_its_twin_is(data):
    twins = (
        nn.Sequential(nn.Conv2d(3, 8, 3), Scale(mlp())),
        nn.Sequential(nn.Conv2d(3, 8, 3), Scale(mlp(), inplace=True)),
    )
    twins[1].load_state_dict(twins[0].state_dict())
    one, other = (record(twin, data, squeezed=True) for twin in twins)
    torch.testing.assert_close((one.s, one.z), (other.s, other.z), rtol=0, atol=0)
    assert one.s["1"].float().std(dim=0).min() > 1e-4
    torch.testing.assert_close(twins[0](images(data)), twins[1](images(data)))


def test_s_is_nan_where_a_channel_is_zero_everywhere_and_right_where_it_is_tiny():
    u = batch(4, images=3)
    u[0, 1], u[2, 3] = 0, 0
    u[1, 2] = 1e-30 * u[1, 2]
    u[1, 0, 1:] = 0
    u[0, 2] = -u[0, 2].relu()
    gate = Scale(lambda z: torch.full_like(z, -0.75))
    s = record(nn.Sequential(gate), [u], names=["0"]).s["0"]
    expected = torch.full((3, 4), -0.75)
    expected[0, 1] = expected[2, 3] = math.nan
    torch.testing.assert_close(s, expected.half(), rtol=0, atol=0, equal_nan=True)


def test_named_gates_alone_are_recorded_even_if_they_are_constant_at_present(network, data):
    names = ["stages.2.0.gates.standard", "stages.0.1.gates.standard"]
    nn.init.zeros_(network.get_submodule(names[0]).fc[2].weight)
    recorded = record(network, data, names)
    assert list(recorded.s) == names
    alive = recorded.s[names[0]]
    assert torch.equal(alive[~alive.isnan()].unique(), torch.tensor([0.5]).half())


def test_what_cannot_be_recorded_is_refused_in_a_sentence(network, data):
    with pytest.raises(ValueError, match=r"no module named 'stages\.7'"):
        record(network, data, ["stages.0.0.gates.standard", "stages.7"])
    for name in ("stem.0", "stem.2"):  # another shape, another function
        with pytest.raises(ValueError, match=f"'{name}' is no channel gate"):
            record(network, data, [name])
    with pytest.raises(ValueError, match="no channel gate that is a module of its own"):
        record(cifar_resnet(20), data)
    with pytest.raises(ValueError, match="no images to record"):
        record(network, [])
    shared = SqEx(3, 3)
    with pytest.raises(ValueError, match="'0' was called for 20 maps with 10 images"):
        record(nn.Sequential(shared, nn.ReLU(), shared), data)


def test_models_without_values_or_on_several_gpus_and_other_batches_are_refused(network, data):
    with torch.device("meta"):
        empty = cifar_resnet(8, small_se)
    recorded, spread = record(network, data), nn.DataParallel(network)
    spread.device_ids = [0, 1]  # as it is where two GPUs are
    for model, sentence in ((empty, "on the meta device"), (spread, "give its `module`")):
        with pytest.raises(ValueError, match=sentence):
            find(model, data[0][0])
        with pytest.raises(ValueError, match=sentence):
            record(model, data)
    for around in (spread, nn.Sequential(spread)):
        with pytest.raises(ValueError, match="give its `module`"), clamped(around, recorded):
            pass
    for batches in ([{"pixels": images(data)}], [("a", "b")]):
        with pytest.raises(ValueError, match=r"expected batches x or \(x, y\)"):
            record(network, batches)
    spread.device_ids = [0]  # then it calls its module
    assert all(torch.equal(a, b) for a, b in zip(record(network, data).s.values(), recorded.s.values()))


@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_empty_batch_adds_nothing(network, data, place):
    expected = record(network, data, squeezed=True)
    with_empty = [*data[:place], (data[0][0][:0], data[0][1][:0]), *data[place:]]
    found = record(network, with_empty, squeezed=True)
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)
    with pytest.raises(ValueError, match="no images to record"):
        record(network, [data[0][0][:0]])


def test_a_gate_that_is_called_by_its_argument_s_name_is_found_recorded_and_changed(data):
    class Named(nn.Module):
        def __init__(self, called):
            super().__init__()
            self.convolution, self.gate, self.called = nn.Conv2d(3, 8, 3), SELayer(8, 2), called

        def forward(self, x):
            u = self.convolution(x)
            return self.gate(x=u) if self.called else self.gate(u)

    by_name, by_place = Named(True), Named(False)
    by_place.load_state_dict(by_name.state_dict())
    assert find(by_name, data[0][0]) == ["gate"]
    found, expected = (record(network, data, squeezed=True) for network in (by_name, by_place))
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    for network in (by_name, by_place):
        with clamped(network, found, 0.3):
            torch.testing.assert_close(run(network, data), 0.3 * by_name.convolution(images(data)))


def test_gates_are_recorded_within_autocast(network, data):
    plain = record(network, data, squeezed=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = record(network, data, squeezed=True)
        with clamped(network, found):
            assert run(network, data).dtype == torch.bfloat16
    assert list(found.s) == list(plain.s)
    torch.testing.assert_close(
        list(found.s.values()), list(plain.s.values()), rtol=0, atol=0.02, equal_nan=True
    )


def test_the_loader_is_gone_through_once(network, data):
    assert next(iter(record(network, iter(data)).s.values())).shape == (10, 16)


S = torch.tensor([[0.1, 0.9], [0.2, 0.5], [0.4, math.nan], [0.8, 0.5], [0.3, math.nan]])
LABELS = torch.tensor([0, 1, 1, 1, 3])


def test_mean_and_spread_by_class_are_those_counted_by_hand():
    mean, spread = by_class(S, LABELS)
    nan = math.nan
    expected = [[0.1, 0.9], [1.4 / 3, 0.5], [nan, nan], [0.3, nan]]
    torch.testing.assert_close(mean, torch.tensor(expected).double(), equal_nan=True)
    third = math.sqrt((0.04 + 0.16 + 0.64) / 3 - (1.4 / 3) ** 2)
    expected = [[0.0, 0.0], [third, 0.0], [nan, nan], [0.0, nan]]
    torch.testing.assert_close(spread, torch.tensor(expected).double(), equal_nan=True, rtol=0, atol=1e-6)


def test_the_variance_split_is_that_of_numpy_and_adds_up():
    s, labels = torch.rand(50, 4), torch.randint(0, 5, (50,))
    s[3, 2] = s[7, 2] = math.nan
    s[:, 3] = math.nan
    between, within = variance_split(s, labels)
    for c in range(3):
        values = s[:, c].double().numpy()
        here = ~np.isnan(values)
        groups = [values[here & (labels == k).numpy()] for k in range(5)]
        n, mean = here.sum(), values[here].mean()
        assert between[c].item() == pytest.approx(sum(len(g) * (g.mean() - mean) ** 2 for g in groups) / n)
        assert within[c].item() == pytest.approx(sum(((g - g.mean()) ** 2).sum() for g in groups) / n)
        assert (between + within)[c].item() == pytest.approx(values[here].var())
    assert between[3].isnan()
    assert within[3].isnan()


def test_specificity_is_one_if_the_class_decides_and_weighs_channels_by_variance():
    labels = torch.tensor([0, 0, 1, 1])
    decided = torch.tensor([0.1, 0.1, 0.7, 0.7])
    indifferent = torch.tensor([0.2, 0.4, 0.2, 0.4])
    assert class_specificity(decided[:, None], labels) == pytest.approx(1)
    assert class_specificity(indifferent[:, None], labels) == pytest.approx(0)
    both = torch.stack([decided, indifferent, torch.full((4,), math.nan)], dim=1)
    assert class_specificity(both, labels) == pytest.approx(0.09 / (0.09 + 0.01))
    assert math.isnan(class_specificity(torch.full((4, 2), 0.5), labels))


def test_specificity_by_chance_is_the_mean_over_shuffled_labels():
    s, labels = torch.rand(12, 3), torch.arange(12) % 4
    shares = [class_specificity(s, labels[torch.randperm(12)]) for _ in range(2000)]
    assert specificity_by_chance(labels) == pytest.approx(3 / 11)
    assert (
        specificity_by_chance(torch.tensor([1, 1, 4, 4, 4])) == 0.25
    )  # two classes, however they are called
    assert np.mean(shares) == pytest.approx(3 / 11, abs=0.01)


@pytest.mark.parametrize("labels", [torch.zeros(4).long(), torch.zeros(5), torch.zeros(5, 1).long()], ids=str)
@pytest.mark.parametrize("summary", [by_class, variance_split, class_specificity])
def test_a_summary_refuses_labels_that_are_not_one_integer_an_image(summary, labels):
    with pytest.raises(ValueError, match=r"\(images, C\) and one integer label an image, got \(5, 2\)"):
        summary(S, labels)


def painted(network, x, gates):
    """A painter's output if its gates are those given, computed layer by layer: s by the gate's name."""
    for name, layer in network.named_children():
        x = x * gates[name][:, :, None, None] if name in gates else layer(x)
    return x


@pytest.fixture
def painting():
    network = painter(lambda channels: SqEx(channels, 4), width=8).eval()
    x = torch.rand(7, 3, 9, 8) * torch.rand(7, 3, 1, 1)
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, SqEx):  # gates that differ between images
                module.linear1.bias.fill_(1)
                module.linear2.weight.mul_(5)
            if isinstance(module, nn.BatchNorm2d):
                module.bias.fill_(0.5)  # no channel that is zero everywhere
    return network, [(x[:3], None), (x[3:], None)]


INTERVENTIONS = {
    "clamped": (lambda n, r: clamped(n, r), lambda s: torch.ones_like(s)),
    "clamped to 0.3": (lambda n, r: clamped(n, r, 0.3), lambda s: torch.full_like(s, 0.3)),
    "frozen": (lambda n, r: frozen(n, r), lambda s: s.double().mean(0).float().expand_as(s)),
    "shuffled": (
        lambda n, r: shuffled(n, r, seed=5),
        lambda s: s[torch.randperm(7, generator=torch.Generator().manual_seed(5))].float(),
    ),
    "numbers": (lambda n, r: replaced(n, dict.fromkeys(r.s, -2)), lambda s: torch.full_like(s, -2.0)),
    "a row an image": (
        lambda n, r: replaced(n, {k: s.flip(0) for k, s in r.s.items()}),
        lambda s: s.flip(0).float(),
    ),
}


@pytest.mark.parametrize("name", INTERVENTIONS)
def test_an_intervention_computes_what_the_layers_by_hand_do(name, painting):
    network, data = painting
    recorded, before = record(network, data), run(network, data)
    intervene, expected = INTERVENTIONS[name]
    with intervene(network, recorded):
        after = run(network, data)
    x = torch.cat([x for x, _ in data])
    with torch.no_grad():
        by_hand = painted(network, x, {k: expected(s.float()) for k, s in recorded.s.items()})
    torch.testing.assert_close(after, by_hand, rtol=0, atol=1e-5)
    assert (after - before).abs().max() > 1e-3
    assert torch.equal(run(network, data), before)


def test_gates_replaced_by_themselves_change_nothing(painting):
    network, data = painting
    with replaced(network, record(network, data).s):
        again = run(network, data)
    torch.testing.assert_close(again, run(network, data), rtol=0, atol=2e-3)


def test_each_class_can_get_the_mean_gates_of_another(painting):
    network, data = painting
    s, cue = record(network, data).s["3"], torch.tensor([0, 1, 1, 0, 1, 0, 0])
    swapped = by_class(s, cue).mean[1 - cue]
    for row, c in zip(swapped, cue):
        torch.testing.assert_close(row, s[cue != c].double().mean(dim=0))
    with replaced(network, {"3": swapped}):
        after = run(network, data)
    with torch.no_grad():
        expected = painted(network, torch.cat([x for x, _ in data]), {"3": swapped.float()})
    torch.testing.assert_close(after, expected, rtol=0, atol=1e-5)


def test_channels_and_stages_can_be_chosen(painting):
    network, data = painting
    recorded, own = record(network, data), record(network, data, ["3"]).s["3"]
    with clamped(network, recorded, 0.3, within="3", channels=[1, 6]):
        s = record(network, data).s
    assert torch.equal(s["3"][:, [1, 6]], torch.full((7, 2), 0.3).half())
    others = [0, 2, 3, 4, 5, 7]
    assert torch.equal(s["3"][:, others], own[:, others])
    with clamped(network, recorded, within=["7", "11"]):
        s = record(network, data, recorded.s).s
    assert torch.equal(s["3"], own)
    assert torch.equal(torch.cat([s["7"], s["11"]]), torch.ones(14, 8).half())


def test_a_place_holds_the_gates_within_it_and_not_those_of_a_longer_name():
    names = ["gate", "stages.1.0.gate", "stages.1.1.gate", "stages.10.gate"]
    recorded = Record(dict.fromkeys(names, torch.zeros(1, 1)), {}, None)
    assert chosen(recorded) == names
    assert chosen(recorded, "stages") == names[1:]
    assert chosen(recorded, "stages.1") == names[1:3]
    assert chosen(recorded, ["stages.10", "gate"]) == [names[3], names[0]]
    assert chosen(recorded, []) == []
    for missing in ("stage", "stages.2", "ate"):
        with pytest.raises(ValueError, match=f"no recorded gate is in '{missing}'"):
            chosen(recorded, ["gate", missing])


def test_nan_leaves_a_gate_its_own_value_and_gradient(painting):
    network, _ = painting
    u = torch.rand(2, 3, 9, 8, requires_grad=True)
    own = network(u)
    with replaced(network, {"3": torch.full((8,), math.nan), "7": math.nan}):
        kept = network(u)
    torch.testing.assert_close(own, kept, rtol=0, atol=0)
    torch.testing.assert_close(*(torch.autograd.grad(y.sum(), u)[0] for y in (own, kept)))


def test_a_frozen_gate_no_longer_depends_on_the_image(painting):
    network, data = painting
    recorded = record(network, data)
    with frozen(network, recorded):
        s = record(network, data, recorded.s).s
        assert find(network, data[0][0]) == []
    for name, rows in s.items():
        means = np.nanmean(recorded.s[name].double().numpy(), axis=0)
        assert np.abs(rows.double().numpy() - means).max() < 5e-4


def test_one_permutation_shuffles_every_gate_and_the_seed_alone_decides_it(painting):
    network, data = painting
    recorded = Record({name: torch.rand(7, 8).half() for name in ("3", "7", "11")}, {}, None)
    seen = []
    for seed in (3, 3, 4):
        torch.rand(seed)  # the global generator plays no part
        state = torch.get_rng_state()
        with shuffled(network, recorded, seed):
            seen.append(record(network, data, recorded.s).s)
        assert torch.equal(torch.get_rng_state(), state)
    orders = [
        [(recorded.s[k] - row).abs().sum(dim=1).argmin().item() for row in s] for k, s in seen[0].items()
    ]
    assert orders[0] == orders[1] == orders[2]
    assert sorted(orders[0]) == list(range(7))
    assert orders[0] != list(range(7))
    labels = torch.tensor([0, 1, 0, 1, 0, 1, 0])  # known labels change nothing: other classes' gates come too
    with shuffled(network, recorded._replace(labels=labels), 3):
        seen.append(record(network, data, recorded.s).s)
    assert not torch.equal(labels[orders[0]], labels)
    for k, s in recorded.s.items():
        assert torch.equal(seen[3][k], seen[0][k])
        torch.testing.assert_close(seen[0][k], s[orders[0]], rtol=0, atol=5e-4)
        assert torch.equal(seen[0][k], seen[1][k])
        assert not torch.equal(seen[0][k], seen[2][k])


def test_gates_by_image_last_for_one_pass_and_start_again_with_a_new_one(painting):
    network, data = painting
    recorded = record(network, data)
    with shuffled(network, recorded):
        once = run(network, data)
    with shuffled(network, recorded):
        again = run(network, data)
        with pytest.raises(ValueError, match="'3' has s for 7 images, and more have come"):
            run(network, data)
    assert torch.equal(once, again)


def test_gates_by_channel_last_for_any_number_of_passes(painting):
    network, data = painting
    with frozen(network, record(network, data)):
        assert torch.equal(run(network, data), run(network, data))


def test_interventions_leave_the_model_as_it_was_also_after_an_error(network, data):
    recorded, before = record(network, data), watched(network)
    for intervene in (clamped, frozen, shuffled):
        with intervene(network, recorded):
            assert watched(network)["hooks"] != before["hooks"]
        assert watched(network) == before
        with pytest.raises(RuntimeError, match="while it lasts"), intervene(network, recorded):
            raise RuntimeError("while it lasts")
        assert watched(network) == before
    with (
        pytest.raises(ValueError, match="no module named 'nothing'"),
        replaced(network, {"stem": 1, "nothing": 1}),
    ):
        pass
    assert watched(network) == before


def test_another_number_of_channels_is_refused(painting):
    network, data = painting
    for s in (torch.ones(7), torch.ones(7, 1), torch.ones(7, 9)):
        with replaced(network, {"3": s}), pytest.raises(ValueError, match="'3' has 8 channels"):
            run(network, data)


def test_interventions_within_one_another_add_up(painting):
    network, data = painting
    recorded = record(network, data)
    with clamped(network, recorded, within="3"), clamped(network, recorded, 0.25, within="3", channels=[0]):
        s = record(network, data, ["3"]).s["3"]
    assert s.unique(dim=0).tolist() == [[0.25] + 7 * [1.0]]


def test_an_intervention_takes_a_gate_in_place_too():
    network = nn.Sequential(nn.Conv2d(8, 8, 1), Scale(mlp(), inplace=True))
    u = batch()
    with torch.no_grad(), replaced(network, {"1": 2}):
        torch.testing.assert_close(network(u), 2 * network[0](u))


def test_a_network_can_be_trained_while_its_gates_are_frozen(painting):
    network, data = painting
    with frozen(network, record(network, data)):
        network.train()(data[0][0]).square().sum().backward()
    assert network[0].weight.grad.any()
    assert network[3].linear1.weight.grad is None or not network[3].linear1.weight.grad.any()


def test_where_a_channel_was_zero_the_gate_is_left_its_own():
    u = batch(4, images=3)
    u[0, 1], u[:, 2] = 0, 0
    gate = Scale(lambda z: 2 + z)
    recorded = record(gate, [u], [""])
    assert recorded.s[""].isnan().nonzero().tolist() == [[0, 1], [0, 2], [1, 2], [2, 2]]
    other = batch(4, images=3)
    with frozen(gate, recorded):
        after = gate(other)
    torch.testing.assert_close(after[:, 2], gate(other)[:, 2])
    mean = 2 + u[1:, 1].mean(dim=(1, 2)).mean()
    torch.testing.assert_close(after[:, 1], mean * other[:, 1], rtol=1e-3, atol=1e-3)


@pytest.fixture
def compiled(request):
    """A network that has already run as compiled code, and its eager twin."""
    eager = cifar_resnet(20, small_se).eval()
    network = cifar_resnet(20, small_se).eval()
    network.load_state_dict(eager.state_dict())
    if request.param == "in place":
        network.compile(backend="eager")
    elif request.param == "a stage":
        network.stages[1] = torch.compile(network.stages[1], backend="eager")
    else:
        network = torch.compile(network, backend="eager")
    with torch.no_grad():
        network(torch.randn(2, 3, 16, 16))
    yield network, eager
    torch.compiler.reset()


# PyTorch 2.13 warns about its own use of torch.jit when it first loads its compiler.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("compiled", ["in place", "wrapped", "a stage"], indirect=True)
def test_a_compiled_network_is_recorded_and_changed_as_its_eager_twin(compiled, data):
    network, eager = compiled
    own, expected = record(network, data, squeezed=True), record(eager, data, squeezed=True)
    for mine, theirs in ((own.s, expected.s), (own.z, expected.z)):
        assert list(mine) == list(theirs)
        torch.testing.assert_close(list(mine.values()), list(theirs.values()), equal_nan=True)
    with torch.no_grad():
        before = network(data[0][0])
    for intervene in (clamped, frozen, shuffled):
        for within in ("", "stages.1"):
            with intervene(network, own, within=within), intervene(eager, expected, within=within):
                mine, theirs = run(network, data), run(eager, data)
            torch.testing.assert_close(mine, theirs)
    assert not torch.allclose(theirs, run(eager, data))
    with torch.no_grad():
        assert torch.equal(network(data[0][0]), before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_is_compiled_during_an_intervention_does_not_outlast_it(network, data):
    network.eval()
    recorded, before = record(network, data), run(network, data)
    with clamped(network, recorded, 0.0):
        expected = run(network, data)
        network.compile(backend="eager")
        torch.testing.assert_close(run(network, data), expected)
    torch.testing.assert_close(run(network, data), before)
    assert not torch.allclose(before, expected)


GATE = "stages.1.0.gates.standard"


def function(network, x):
    return torch.compile(network.forward, backend="eager")


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (function, "an nn.Module, got a function"),
        (lambda network, x: cifar_resnet, "an nn.Module, got a function"),
        (lambda network, x: nn.Linear, "an nn.Module, got Linear"),
        (lambda network, x: [network], "an nn.Module, got a list"),
        (lambda network, x: torch.jit.trace(network, x), "is TorchScript"),
        (lambda network, x: torch.jit.script(cifar_resnet(20, small_se)), "is TorchScript"),
    ],
)
def test_what_is_no_model_or_calls_no_hooks_is_refused_in_a_sentence(network, data, make, said):
    recorded, other = record(network, data), make(network.eval(), data[0][0])
    for attempt in (lambda: find(other, data[0][0]), lambda: record(other, data)):
        with pytest.raises(ValueError, match=said):
            attempt()
    with pytest.raises(ValueError, match=said), clamped(other, recorded):
        pass


class GoesAround(nn.Module):
    """A network that calls the forward method of its gate, not the gate."""

    def __init__(self):
        super().__init__()
        self.convolution, self.gate = nn.Conv2d(3, 8, 3), SELayer(8, 2)

    def forward(self, x):
        return self.gate.forward(self.convolution(x))


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda network, x: torch.fx.symbolic_trace(network), GATE),
        (lambda network, x: torch.export.export(network, (x,)).module(), GATE),
        (lambda network, x: nn.Sequential(torch.jit.trace(network, x)), f"0.{GATE}"),
        (lambda network, x: network, "stages.1.0.gates"),  # a list of places
        (lambda network, x: GoesAround(), "gate"),
    ],
)
def test_an_intervention_on_a_gate_that_the_model_goes_around_is_no_silent_nothing(network, data, make, name):
    model = make(network.eval(), data[0][0])
    with pytest.raises(ValueError, match=f"'{name}' was not called"), replaced(model, {name: 0}):
        model(data[0][0])
    with replaced(model, {name: 0}), contextlib.suppress(Exception):
        model("nothing that it takes")  # it did not come as far as the gate


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_gate_that_is_torchscript_is_passed_over_and_refused_by_name(network, data):
    network.stages[1][0].gates["standard"] = torch.jit.script(small_se(32))
    names = find(network, data[0][0])
    assert names
    assert GATE not in names
    with pytest.raises(ValueError, match=f"'{GATE}' is TorchScript"), replaced(network, {GATE: 0}):
        pass


def test_finding_does_not_count_as_a_pass_over_the_data(network, data):
    recorded = record(network, data)
    with shuffled(network, recorded, seed=1, within=GATE):
        found = record(network, data)
    with shuffled(network, recorded, seed=1, within=GATE):
        expected = record(network, data, names=list(recorded.s))
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)

    def batches():
        for x in (images(data)[:4], images(data)[4:]):
            assert find(network, x) == list(recorded.s)
            yield x

    assert len(record(network, batches()).s[GATE]) == 10


def test_a_copy_made_during_an_intervention_does_not_keep_it(network, data):
    network.eval()
    recorded = record(network, data)
    with clamped(network, recorded, 0.0):
        copied, expected = copy.deepcopy(network), run(network, data)
        assert torch.equal(run(copied, data), expected)
    assert torch.equal(run(copied, data), run(network, data))
    assert not torch.equal(run(copied, data), expected)


def test_an_intervention_holds_in_many_threads_at_once(network, data):
    network.eval()
    batches = [torch.randn(2, 3, 16, 16) for _ in range(16)]
    with clamped(network, record(network, data), 0.5):
        expected = [network(x) for x in batches]
        with ThreadPoolExecutor(8) as threads:
            found = [*threads.map(network, batches)]
    torch.testing.assert_close(found, expected)


def test_rows_are_refused_where_calls_do_not_tell_images_apart(network, data):
    x, s = images(data), {GATE: torch.rand(40, 32)}
    network.eval()
    alone = torch.vmap(lambda image: network(image[None])[0])
    with replaced(network, s), pytest.raises(ValueError, match="within vmap"):
        alone(x)
    with replaced(network, {GATE: s[GATE][0]}):
        torch.testing.assert_close(alone(x), network(x))
    with replaced(network, s), pytest.raises(ValueError, match="gradient checkpointing"):
        checkpoint(network, x, use_reentrant=False).sum().backward()


@pytest.mark.parametrize(
    "channels", [[1, 5], (1, 5), torch.tensor([1, 5]), torch.arange(16) % 4 == 1, [False, True] * 8, 3, []]
)
def test_channels_may_be_numbers_or_a_mask(network, data, channels):
    name = "stages.0.0.gates.standard"
    expected = torch.full((16,), math.nan)
    expected[list(channels) if isinstance(channels, tuple) else channels] = 0.25
    with clamped(network, record(network, data), 0.25, within=name, channels=channels):
        found = record(network, data, name).s[name]
    assert torch.equal((found == 0.25).all(0), expected == 0.25)


class Pair(nn.Module):
    """Takes two maps in a list and returns them so."""

    def forward(self, pair):
        return pair


class HasPair(nn.Module):
    def __init__(self):
        super().__init__()
        self.convolution, self.pair, self.gate = nn.Conv2d(3, 8, 3), Pair(), SELayer(8, 2)

    def forward(self, x):
        u = self.convolution(x)
        return self.gate(self.pair([u, u])[0])


@pytest.mark.parametrize("name", ["pair", "gate.fc"])
def test_what_takes_no_maps_is_named_as_no_gate(data, name):
    model = HasPair()
    with pytest.raises(ValueError, match=f"'{name}' is no channel gate"):
        record(model, data, [name])
    with replaced(model, {name: 0.5}), pytest.raises(ValueError, match="expected maps of shape"):
        run(model, data)


@pytest.mark.parametrize("s", [torch.rand(10, 16, 1, 1), torch.rand(1, 10, 16)])
def test_s_of_more_axes_is_refused_in_a_sentence(network, data, s):
    name = "stages.0.0.gates.standard"
    with replaced(network, {name: s}), pytest.raises(ValueError, match=r"takes s of \(C,\) or \(images, C\)"):
        run(network, data)


def test_another_default_device_changes_nothing(network, data):
    network.eval()
    recorded = record(network, data)
    with clamped(network, recorded, 0.5), shuffled(network, recorded, within=GATE):
        expected = run(network, data)
    with torch.device("meta"):
        found = record(network, data)
        with (
            clamped(network, found, 0.5),
            shuffled(network, found, within=GATE),
            replaced(network, {GATE: 1}),
        ):
            given = run(network, data)
        with clamped(network, found, 0.5), shuffled(network, found, within=GATE):
            torch.testing.assert_close(run(network, data), expected)
    torch.testing.assert_close(found, recorded, rtol=0, atol=0, equal_nan=True)
    assert not torch.allclose(given, expected)


def test_images_that_are_not_finite_are_named_as_the_reason(network, data):
    with pytest.raises(ValueError, match="is not finite: look at the images"):
        record(network, [torch.full((2, 3, 16, 16), math.nan)], list(record(network, data).s))


@pytest.mark.parametrize(
    ("s", "labels", "said"),
    [
        (S, None, "got a NoneType"),
        ({"gate": S}, LABELS, "got a dict"),
        (S, LABELS.tolist(), "got a list"),
        (S, LABELS - 1, "counted from 0, got -1"),
    ],
)
def test_a_summary_says_what_is_not_as_it_should_be(s, labels, said):
    with pytest.raises(ValueError, match=said):
        by_class(s, labels)
