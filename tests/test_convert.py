"""`convert.to_fast` on gates of every kind: which it replaces, which it leaves, and the way back."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from seblock.blocks import ResBlockSqEx, SELayer, SqEx
from seblock.convert import to_fast
from seblock.fast import FastSELayer
from seblock.functional import rescale, squeeze
from seblock.networks import build


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


class Gate(nn.Module):
    """x · gate(W₂ act(W₁ pool(x))), each part to be chosen: (N, C, H, W) -> (N, C, H, W)."""

    def __init__(self, channels=16, *, convolutions=False, bias=True, **parts):
        super().__init__()
        self.of = {"pool": squeeze, "act": F.relu, "gate": torch.sigmoid, "end": rescale, **parts}
        make = partial(nn.Conv2d, kernel_size=1) if convolutions else nn.Linear
        self.fc1 = make(channels, channels // 4, bias=bias)
        self.fc2 = make(channels // 4, channels, bias=bias)
        self.as_maps = convolutions

    def forward(self, x):
        z = self.of["pool"](x)
        if self.as_maps:
            z = z[:, :, None, None]
        s = self.of["gate"](self.fc2(self.of["act"](self.fc1(z)))).flatten(1)
        return self.of["end"](x, s)


def network(gate):
    return nn.Sequential(nn.Conv2d(3, 16, 3), nn.BatchNorm2d(16), gate, nn.ReLU(), nn.Conv2d(16, 4, 3))


REPRODUCED = {
    "SELayer": lambda: SELayer(16, 4),
    "SqEx": lambda: SqEx(16, 4),
    "linear": Gate,
    "linear without biases": lambda: Gate(bias=False),
    "1×1 convolutions": lambda: Gate(convolutions=True),
    "1×1 convolutions without biases": lambda: Gate(convolutions=True, bias=False),
    "overwrites its input": lambda: Gate(end=lambda x, s: x.mul_(s[:, :, None, None])),
    "as many hidden units as channels": lambda: SELayer(16, 1),
}
LEFT = {
    "max instead of mean": lambda: Gate(pool=lambda x: x.amax((2, 3))),
    "no δ": lambda: Gate(act=lambda a: a),
    "SiLU": lambda: Gate(act=F.silu),
    "leaky δ": lambda: Gate(act=partial(F.leaky_relu, negative_slope=0.01)),
    "hard sigmoid": lambda: Gate(gate=F.hardsigmoid),
    "softmax": lambda: Gate(gate=partial(torch.softmax, dim=1)),
    "twice the gate": lambda: Gate(gate=lambda a: 2 * torch.sigmoid(a)),
    "gates that stop the gradient": lambda: Gate(end=lambda x, s: rescale(x, s.detach())),
    "one layer": lambda: OneLayer(),
}


class OneLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1, bias=False)

    def forward(self, x):
        return rescale(x, torch.sigmoid(self.conv(squeeze(x)[:, None]))[:, 0])


@pytest.mark.parametrize("name", REPRODUCED)
@pytest.mark.parametrize("training", [True, False])
def test_to_fast_replaces_what_it_reproduces_and_undoes_it(name, training):
    model = network(REPRODUCED[name]()).double().train(training)
    before, gate, x = copy.deepcopy(model), model[2], torch.randn(4, 3, 9, 9, dtype=torch.float64)
    weights, state = list(model.parameters()), list(model.state_dict())
    random = torch.get_rng_state()
    done = to_fast(model)
    assert torch.equal(random, torch.get_rng_state())
    assert list(done.replaced) == ["2"]
    assert done.left == {}
    assert isinstance(model[2], FastSELayer)
    assert model[2].training == training
    assert all(a is b for a, b in zip(weights, model.parameters(), strict=True))  # an optimiser goes on
    results = []
    for net in (model, before):
        y = net(x)
        results.append([y, *torch.autograd.grad(y.square().sum(), list(net.parameters()))])
    for mine, theirs in zip(*results, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-9)
    with torch.no_grad():
        for w in model[2].parameters():
            w.mul_(2)
    learned = model.eval()(x)
    done.undo()
    assert model[2] is gate
    assert not gate.training
    assert list(model.state_dict()) == state
    assert torch.allclose(model(x), learned)
    assert not torch.allclose(model(x), before.eval()(x))


@pytest.mark.parametrize("name", LEFT)
def test_to_fast_leaves_and_names_other_gates(name):
    model = network(LEFT[name]())
    modes = [m.training for m in model.modules()]
    done = to_fast(model)
    assert not done.replaced
    assert list(done.left) == ["2"]
    assert "linear" in done.left["2"]
    assert [m.training for m in model.modules()] == modes


def test_to_fast_sees_dropout_in_training():
    class WithDropout(Gate):
        def forward(self, x):
            return super().forward(F.dropout(x, 0.1, self.training))

    for training in (True, False):
        assert not to_fast(network(WithDropout()).train(training)).replaced


def test_to_fast_leaves_hooks_and_the_model_itself():
    model = network(SELayer(16, 4))
    model[2].fc.register_forward_hook(lambda *_: None)
    assert "hooks" in to_fast(model).left["2"]
    assert not isinstance(model[2], FastSELayer)
    alone = SELayer(16, 4)
    assert "itself" in to_fast(alone).left[""]


def test_to_fast_passes_over_what_is_no_gate():
    for model in (
        network(nn.Sequential(nn.Conv2d(16, 4, 1), nn.ReLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid())),
        network(nn.Identity()),
        build("resnet20"),
        nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 16)),
    ):
        done = to_fast(model)
        assert not done.replaced
        assert not done.left


def test_to_fast_puts_one_block_where_one_stood_twice():
    gate = SELayer(16, 4)
    model = nn.ModuleDict({"a": nn.Sequential(gate), "b": gate})
    done = to_fast(model)
    assert set(done.replaced) == {"a.0", "b"}
    assert model["a"][0] is model["b"]
    assert isinstance(model["b"], FastSELayer)
    done.undo()
    assert model["a"][0] is model["b"] is gate


def test_to_fast_finds_gates_that_start_as_constants():
    gate = SELayer(16, 4)
    nn.init.zeros_(gate.fc[2].weight)
    assert list(to_fast(network(gate)).replaced) == ["2"]
    assert not gate.fc[2].weight.any()


@pytest.mark.parametrize("depth", [20, 56])
def test_to_fast_replaces_every_gate_of_a_network(depth):
    model = build(f"se_resnet{depth}").eval()
    x = torch.randn(2, 3, 32, 32)
    expected = model(x)
    done = to_fast(model)
    assert len(done.replaced) == (depth - 2) // 2
    assert not any(isinstance(m, SELayer) for m in model.modules())
    assert torch.allclose(model(x), expected, atol=1e-5)
    again = to_fast(model)
    assert not again.replaced
    assert not again.left


def test_to_fast_takes_the_gate_of_the_residual_block():
    model = nn.Sequential(ResBlockSqEx(16)).eval()
    x = torch.randn(2, 16, 5, 5)
    expected = model(x)
    assert list(to_fast(model).replaced) == ["0.sqex"]
    assert torch.allclose(model(x), expected, atol=1e-6)


class Resembling(nn.Module):
    """A gate that is SE's but for its squeeze or its activation."""

    def __init__(self, channels, hidden, pooled=squeeze, activation=None):
        super().__init__()
        self.pooled, self.activation = pooled, activation or nn.ReLU()
        self.fc1 = nn.Linear(channels, hidden, bias=False)
        self.fc2 = nn.Linear(hidden, channels, bias=False)

    def forward(self, x):
        return rescale(x, torch.sigmoid(self.fc2(self.activation(self.fc1(self.pooled(x))))))


@pytest.mark.parametrize(
    ("channels", "hidden", "others"),
    [
        (20, 1, {"activation": nn.LeakyReLU(0.2)}),
        (11, 2, {"activation": nn.Identity()}),
        (14, 1, {"pooled": lambda x: x.amax((2, 3))}),
        (64, 4, {"activation": nn.ReLU6()}),
        (16, 1, {"pooled": lambda x: x.sum((2, 3)) / 20}),
    ],
)
def test_to_fast_is_not_taken_in_by_gates_with_few_hidden_units(channels, hidden, others):
    assert list(to_fast(network(Resembling(channels, hidden))).replaced) == ["2"]
    assert not to_fast(network(Resembling(channels, hidden, **others))).replaced


def test_to_fast_passes_over_parameters_that_tell_no_width():
    class Scalar(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.zeros(()))

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.codes = nn.Parameter(torch.zeros(4, 4, dtype=torch.int8), requires_grad=False)

    model = nn.Sequential(nn.Conv2d(3, 16, 1), SELayer(16, 4), Scalar(), Whole(), nn.LazyLinear(3))
    assert list(to_fast(model).replaced) == ["1"]


def test_to_fast_leaves_what_it_cannot_copy():
    class Keeping(SELayer):
        def forward(self, x):
            self.seen = super().forward(x)
            return self.seen

    model = network(Keeping(16, 4))
    model(torch.randn(1, 3, 8, 8))
    assert "tried" in to_fast(model).left["2"]


def test_to_fast_leaves_gates_that_take_more_than_maps():
    class Scaled(SELayer):
        def forward(self, x, by=1):
            return by * super().forward(x)

    assert "more than maps" in to_fast(network(Scaled(16, 4))).left["2"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("called", ["x", "input", "u"])
def test_a_gate_that_is_called_by_its_argument_s_name_still_can_be(called, compiled):
    class Calls(nn.Module):
        def __init__(self):
            super().__init__()
            self.gate = {"x": SELayer, "input": OfInput, "u": OfU}[called](16, 4)

        def forward(self, x):
            return self.gate(**{called: x})

    class OfInput(SELayer):
        def forward(self, input):  # as torchvision calls it
            return super().forward(input)

    class OfU(SELayer):
        def forward(self, u):
            return super().forward(u)

    model, x = Calls(), torch.randn(2, 16, 5, 3)
    expected = model(x)
    assert list(to_fast(model).replaced) == ["gate"]
    if compiled:
        model = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.allclose(model(x), expected, atol=1e-6)


class Lazy(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(16), nn.Sigmoid())

    def forward(self, x):
        return rescale(x, self.fc(squeeze(x)))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:torch.quantize_per_tensor:UserWarning")
@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda model: [weight_norm(layer) for layer in (model[2].fc[0], model[2].fc[2])], ["2"]),
        (lambda model: [spectral_norm(model[2].fc[2])], ["2"]),
        (lambda model: [torch.ao.quantization.quantize_dynamic(model, {nn.Linear}, inplace=True)], ["2"]),
        (lambda model: [torch.fx.symbolic_trace(model)], [""]),
        (lambda model: [torch.jit.script(model)], ["2"]),
    ],
    ids=["weight norm", "spectral norm", "quantised", "traced", "scripted"],
)
def test_a_gate_that_something_else_has_changed_is_left_and_named(change, left):
    model = network(SELayer(16, 4)).eval()
    changed = change(model)[0]
    model = changed if isinstance(changed, (torch.fx.GraphModule, torch.jit.ScriptModule)) else model
    before = model(x := torch.randn(2, 3, 8, 8))
    done = to_fast(model)
    assert not done.replaced
    assert list(done.left) == left
    assert torch.equal(model(x), before)


def test_layers_without_a_width_yet_get_none_from_the_trial():
    model = network(Lazy())
    to_fast(model)
    assert nn.parameter.is_lazy(model[2].fc[0].weight)


@pytest.mark.parametrize("what", [SELayer, [SELayer(16, 4)], lambda x: x, None])
def test_what_is_no_model_is_refused_in_a_sentence(what):
    with pytest.raises(ValueError, match=r"expected a model, an nn\.Module"):
        to_fast(what)


def test_to_fast_does_the_same_wherever_it_is_called():
    torch.set_default_dtype(torch.float64)
    try:
        assert list(to_fast(network(SELayer(16, 4))).replaced) == ["2"]
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.autocast("cpu"):
        assert list(to_fast(network(SELayer(16, 4))).replaced) == ["2"]
    model = network(SELayer(16, 4))
    with torch.inference_mode():
        assert list(to_fast(model).replaced) == ["2"]


def test_undo_leaves_what_was_changed_since():
    gates = [SELayer(16, 4) for _ in range(4)]
    model = nn.ModuleDict({str(i): gate for i, gate in enumerate(gates)})
    done = to_fast(model)
    model["0"] = nn.Identity()
    model["1"].fc[0] = nn.Linear(16, 4, bias=False)
    model["3"].fc = nn.Identity()
    done.undo()
    assert isinstance(model["0"], nn.Identity)
    assert isinstance(model["1"], FastSELayer)
    assert model["2"] is gates[2]
    assert set(done.left) == {"0", "1", "3"}


def test_to_fast_leaves_what_does_something_else_in_evaluation():
    class Rounding(SELayer):
        def forward(self, x):
            return super().forward(x) if self.training else super().forward(x).round()

    assert not to_fast(nn.Sequential(Rounding(16, 4))).replaced


def test_to_fast_takes_every_gate_whatever_names_begin_alike():
    model = nn.Sequential(*(SELayer(16, 4) for _ in range(12)))
    assert sorted(to_fast(model).replaced, key=int) == [str(n) for n in range(12)]


@pytest.mark.parametrize(
    "register",
    [
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "register_load_state_dict_pre_hook",
        "register_load_state_dict_post_hook",
    ],
)
def test_to_fast_leaves_what_is_called_for_its_state(register):
    model = nn.Sequential(SELayer(16, 4), SELayer(16, 4))
    getattr(model[1].fc, register)(lambda *_: None)
    done = to_fast(model)
    assert list(done.replaced) == ["0"]
    assert "hooks" in done.left["1"]
