"""The blocks against the published ones, written anew, and against what PyTorch asks of a module."""

import copy
import inspect

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.blocks import PublishedSELayer, PublishedSqEx
from seblock import cifar10, networks, photos, trained
from seblock.blocks import ConstantGate, MaxSqueeze, NoSqueeze, ResBlockSqEx, SELayer, SqEx
from seblock.fast import FastSELayer


class PublishedResBlock(nn.Module):
    """The pre-activation block around the second."""

    def __init__(self, n_features):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(n_features)
        self.conv1 = nn.Conv2d(n_features, n_features, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(n_features)
        self.conv2 = nn.Conv2d(n_features, n_features, 3, padding=1, bias=False)
        self.sqex = PublishedSqEx(n_features)

    def forward(self, x):
        y = self.conv1(torch.relu(self.norm1(x)))
        y = self.conv2(torch.relu(self.norm2(y)))
        return torch.add(self.sqex(y), x)


BLOCKS = {
    "SELayer": lambda: SELayer(16, 4),
    "FastSELayer": lambda: FastSELayer(16, 4),
    "SqEx": lambda: SqEx(16, 4),
    "ResBlockSqEx": lambda: ResBlockSqEx(16),
}
PUBLISHED = {
    "SELayer": lambda: PublishedSELayer(16, 4),
    "FastSELayer": lambda: PublishedSELayer(16, 4),
    "SqEx": lambda: PublishedSqEx(16, 4),
    "ResBlockSqEx": lambda: PublishedResBlock(16),
}
every_block = pytest.mark.parametrize("name", BLOCKS)
both_layers = pytest.mark.parametrize("layer", [SELayer, FastSELayer, SqEx])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def shaken(block):
    """The block with every parameter and statistic off its first value: ones and zeros hide mistakes."""
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        for module in block.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
    return block


def make(name):
    """One of our blocks for 16 channels, in eval mode, shaken."""
    return shaken(BLOCKS[name]()).eval()


def assert_same_module(ours, theirs, shape, passes=1):
    """Same output, same gradients of the input and of every parameter, same buffers afterwards."""
    for _ in range(passes):
        x = torch.randn(shape, dtype=torch.double)
        direction = torch.randn(shape, dtype=torch.double)
        results = []
        for module in (ours, theirs):
            module.zero_grad()
            leaf = x.clone().requires_grad_()
            y = module(leaf)
            y.backward(direction)
            gradients = {key: parameter.grad for key, parameter in module.named_parameters()}
            results.append((y.detach(), leaf.grad, gradients, dict(module.named_buffers())))
        torch.testing.assert_close(*results, rtol=0, atol=1e-10)


LAYER_CASES = [
    (SELayer, PublishedSELayer, (8, 4), (2, 8, 5, 3)),
    (SELayer, PublishedSELayer, (16,), (3, 16, 1, 7)),
    (SELayer, PublishedSELayer, (20, 16), (1, 20, 6, 4)),
    (SELayer, PublishedSELayer, (7, 1), (4, 7, 3, 3)),
    (SELayer, PublishedSELayer, (64,), (2, 64, 4, 4)),
    (FastSELayer, PublishedSELayer, (8, 4), (2, 8, 5, 3)),
    (FastSELayer, PublishedSELayer, (20, 16), (1, 20, 6, 4)),
    (FastSELayer, PublishedSELayer, (64,), (2, 64, 4, 4)),
    (SqEx, PublishedSqEx, (8, 4), (2, 8, 5, 3)),
    (SqEx, PublishedSqEx, (16,), (3, 16, 1, 7)),
    (SqEx, PublishedSqEx, (7, 7), (1, 7, 6, 4)),
    (SqEx, PublishedSqEx, (64,), (2, 64, 4, 4)),
]


@pytest.mark.parametrize(("ours", "published", "arguments", "shape"), LAYER_CASES)
@pytest.mark.parametrize("loaded_into", ["ours", "published"])
def test_a_layer_and_the_published_one_are_the_same_map_after_loading(
    ours, published, arguments, shape, loaded_into
):
    mine, theirs = shaken(ours(*arguments).double()), shaken(published(*arguments).double())
    source, target = (theirs, mine) if loaded_into == "ours" else (mine, theirs)
    target.load_state_dict(source.state_dict(), strict=True)
    assert_same_module(mine, theirs, shape)


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
@pytest.mark.parametrize("loaded_into", ["ours", "published"])
@pytest.mark.parametrize(("channels", "shape"), [(16, (3, 16, 5, 3)), (32, (2, 32, 4, 6))])
def test_the_residual_block_and_the_published_one_are_the_same_map_after_loading(
    training, loaded_into, channels, shape
):
    mine, theirs = shaken(ResBlockSqEx(channels).double()), shaken(PublishedResBlock(channels).double())
    source, target = (theirs, mine) if loaded_into == "ours" else (mine, theirs)
    target.load_state_dict(source.state_dict(), strict=True)
    before = {key: buffer.clone() for key, buffer in mine.named_buffers()}
    assert_same_module(mine.train(training), theirs.train(training), shape, passes=2)
    moved = {key for key, buffer in mine.named_buffers() if not torch.equal(buffer, before[key])}
    assert moved == (set(before) if training else set())


def test_the_state_dicts_have_the_published_keys_and_shapes():
    def shapes(block):
        return {key: tuple(value.shape) for key, value in block.state_dict().items()}

    weights = {"fc.0.weight": (4, 64), "fc.2.weight": (64, 4)}
    assert shapes(SELayer(64)) == shapes(FastSELayer(64)) == weights
    assert shapes(FastSELayer(64, bias=True)) == weights | {"fc.0.bias": (4,), "fc.2.bias": (64,)}
    linear = {
        "linear1.weight": (4, 64),
        "linear1.bias": (4,),
        "linear2.weight": (64, 4),
        "linear2.bias": (64,),
    }
    assert shapes(SqEx(64)) == linear
    assert shapes(ResBlockSqEx(64)) == {
        "norm1.weight": (64,),
        "norm1.bias": (64,),
        "norm1.running_mean": (64,),
        "norm1.running_var": (64,),
        "norm1.num_batches_tracked": (),
        "conv1.weight": (64, 64, 3, 3),
        "norm2.weight": (64,),
        "norm2.bias": (64,),
        "norm2.running_mean": (64,),
        "norm2.running_var": (64,),
        "norm2.num_batches_tracked": (),
        "conv2.weight": (64, 64, 3, 3),
        "sqex.linear1.weight": (4, 64),
        "sqex.linear1.bias": (4,),
        "sqex.linear2.weight": (64, 4),
        "sqex.linear2.bias": (64,),
    }


@pytest.mark.parametrize(
    ("block", "arguments"),
    [
        (SELayer, {"channel": inspect.Parameter.empty, "reduction": 16}),
        (SqEx, {"n_features": inspect.Parameter.empty, "reduction": 16}),
        (ResBlockSqEx, {"n_features": inspect.Parameter.empty}),
    ],
)
def test_the_arguments_have_the_published_names_order_and_defaults(block, arguments):
    parameters = inspect.signature(block).parameters
    assert [(name, p.default) for name, p in parameters.items()] == list(arguments.items())


def test_the_arguments_can_be_given_by_name():
    assert SELayer(channel=24, reduction=8).fc[0].weight.shape == (3, 24)
    assert SqEx(n_features=24, reduction=8).linear1.weight.shape == (3, 24)
    assert ResBlockSqEx(n_features=48).sqex.linear1.weight.shape == (3, 48)


def test_sixty_four_channels_cost_512_parameters_without_biases_and_580_with():
    assert sum(p.numel() for p in SELayer(64).parameters()) == 512
    assert sum(p.numel() for p in SqEx(64).parameters()) == 580


def test_an_selayer_rounds_the_hidden_units_down():
    assert SELayer(35).fc[0].weight.shape == (2, 35)
    assert SELayer(16).fc[0].weight.shape == (1, 16)


@pytest.mark.parametrize(("channels", "reduction"), [(8, 16), (15, 16), (0, 16), (3, 4), (8, 0), (8, -2)])
@both_layers
def test_a_layer_without_hidden_units_is_refused(layer, channels, reduction):
    with pytest.raises(ValueError, match=rf"reduction.*{channels}.*{reduction}"):
        layer(channels, reduction)


@pytest.mark.parametrize(("channels", "reduction"), [(16, 4.0), (16.0, 4)])
@pytest.mark.parametrize("layer", [SELayer, SqEx])
def test_numbers_that_are_no_integers_are_refused_in_a_sentence(layer, channels, reduction):
    with pytest.raises(ValueError, match=f"reduction.*{channels!r} and {reduction!r}"):
        layer(channels, reduction)


@pytest.mark.parametrize(("channels", "reduction"), [(24, 16), (35, 16), (9, 2)])
def test_sqex_refuses_channels_that_are_no_multiple_of_the_reduction(channels, reduction):
    with pytest.raises(ValueError, match=f"multiple of reduction, got {channels} and {reduction}"):
        SqEx(channels, reduction)


def test_the_residual_block_refuses_channels_that_are_no_multiple_of_sixteen():
    with pytest.raises(ValueError, match="multiple of reduction, got 24 and 16"):
        ResBlockSqEx(24)


@pytest.mark.parametrize(
    "shape", [(16,), (2, 16), (16, 5, 3), (2, 16, 5, 3, 1), (2, 8, 5, 3), (16, 2, 5, 3)], ids=str
)
@every_block
def test_maps_of_a_wrong_shape_get_an_error_that_names_what_was_expected(name, shape):
    with pytest.raises(ValueError, match=r"\(N, C = 16, H, W\)") as error:
        make(name)(torch.zeros(shape))
    assert str(error.value).endswith(f"got {shape}")


@pytest.mark.parametrize("maps", [np.zeros((2, 16, 5, 3)), [torch.zeros(2, 16, 5, 3)], None], ids=type)
@every_block
def test_maps_that_are_no_tensor_get_the_same_error(name, maps):
    with pytest.raises(ValueError, match=rf"maps of shape .* got no tensor but a {type(maps).__name__}"):
        make(name)(maps)


@pytest.mark.parametrize("shape", [(1, 16, 5, 3), (2, 16, 5, 3)], ids=str)
@every_block
def test_maps_stored_with_channels_last_come_out_so_and_with_the_same_values(name, shape):
    block, x = make(name), torch.randn(shape)
    y = block(x.to(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert not y.is_contiguous()
    torch.testing.assert_close(y, block(x))
    assert block(x).is_contiguous()


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float16, 1e-2), (torch.bfloat16, 8e-2), (torch.float32, 1e-5)], ids=str
)
@every_block
def test_each_precision_keeps_its_type_and_comes_close_to_double(name, dtype, tolerance):
    block, x = make(name).to(dtype), torch.randn(2, 16, 5, 3).to(dtype)
    y = block(x)
    assert y.dtype == dtype
    exact = PUBLISHED[name]().double().eval()
    exact.load_state_dict(block.state_dict())
    torch.testing.assert_close(y.double(), exact(x.double()), rtol=tolerance, atol=tolerance)


@every_block
def test_double_stays_double(name):
    assert make(name).double()(torch.randn(2, 16, 5, 3, dtype=torch.double)).dtype == torch.double


@every_block
def test_autocast_to_bfloat16_comes_close_to_full_precision_forward_and_backward(name):
    block, x = make(name), torch.randn(2, 16, 5, 3)
    results = []
    for enabled in (True, False):
        leaf = x.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = block(leaf)
        y.float().sum().backward()
        results.append((y, leaf.grad))
    (y, gradient), (exact, exact_gradient) = results
    torch.testing.assert_close(y, exact, rtol=8e-2, atol=8e-2)
    torch.testing.assert_close(gradient, exact_gradient, rtol=8e-2, atol=0.15)
    assert not torch.equal(y, exact)  # or autocast did not take part


@every_block
def test_an_exported_block_takes_other_batches_heights_and_widths(name):
    block, n, h, w = make(name), *(torch.export.Dim(d) for d in "nhw")
    exported = torch.export.export(block, (torch.randn(2, 16, 6, 5),), dynamic_shapes=({0: n, 2: h, 3: w},))
    for shape in [(2, 16, 6, 5), (3, 16, 9, 4), (5, 16, 3, 11)]:
        x = torch.randn(shape)
        torch.testing.assert_close(exported.module()(x), block(x))


@pytest.fixture(scope="session")
def compiler():
    """torch.compile, if a C++ compiler works here."""
    x = torch.ones(3)
    try:
        works = torch.allclose(torch.compile(lambda x: x.sin() + 1)(x), x.sin() + 1)
    except Exception as error:
        pytest.skip(f"torch.compile does not work here: {str(error).strip().splitlines()[0]}")
    assert works
    return torch.compile


# PyTorch 2.13 warns about its own use of torch.jit when it first loads its compiler.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@every_block
def test_a_compiled_block_has_the_same_output_and_gradients(name, compiler):
    block, x = make(name), torch.randn(2, 16, 5, 3)
    results = []
    for run in (block, compiler(block, fullgraph=True)):
        block.zero_grad()
        leaf = x.clone().requires_grad_()
        y = run(leaf)
        y.square().sum().backward()
        results.append((y.detach(), leaf.grad, [p.grad for p in block.parameters()]))
    torch.testing.assert_close(*results, rtol=1e-4, atol=1e-4)


@every_block
def test_torch_fx_traces_a_block_and_eager_use_still_says_what_is_wrong(name):
    block = make(name)
    traced = torch.fx.symbolic_trace(block)
    for shape in [(2, 16, 5, 3), (1, 16, 2, 7)]:
        x = torch.randn(shape)
        torch.testing.assert_close(traced(x), block(x), rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="expected maps of shape"):
        block(torch.randn(2, 15, 5, 3))


# PyTorch 2.13 warns of the end of torch.jit, which published blocks can be used with.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["SELayer", "SqEx", "ResBlockSqEx"])
def test_torchscript_compiles_a_block_as_it_does_the_published_one(name):
    block = make(name)
    scripted = torch.jit.script(block)
    for shape in [(2, 16, 5, 3), (1, 16, 2, 7)]:
        x = torch.randn(shape)
        torch.testing.assert_close(scripted(x), block(x), rtol=0, atol=1e-6)
    assert torch.jit.script(PUBLISHED[name]().eval())(x).shape == x.shape


@every_block
def test_an_empty_batch_comes_out_empty_and_leaves_zero_gradients(name):
    block, x = make(name), torch.zeros(0, 16, 5, 3, requires_grad=True)
    y = block(x)
    assert y.shape == (0, 16, 5, 3)
    y.sum().backward()
    assert x.grad.shape == x.shape
    assert all(p.grad is not None and not p.grad.any() for p in block.parameters())


@every_block
def test_maps_of_one_position_come_out_as_from_the_published_block(name):
    block, theirs = make(name).double(), PUBLISHED[name]().double().eval()
    theirs.load_state_dict(block.state_dict())
    assert_same_module(block, theirs, (3, 16, 1, 1))


@every_block
def test_vmap_over_a_leading_axis_is_a_loop_over_it(name):
    block, x = make(name), torch.randn(3, 2, 16, 5, 3)
    looped = torch.stack([block(batch) for batch in x])
    torch.testing.assert_close(torch.func.vmap(block)(x), looped)


@every_block
def test_gradients_image_by_image_through_vmap_are_those_of_a_loop(name):
    block, x = make(name).double(), torch.randn(3, 16, 4, 3, dtype=torch.double)
    weights = {key: p.detach() for key, p in block.named_parameters()}

    def loss(weights, image):
        return torch.func.functional_call(block, weights, (image[None],)).square().sum()

    at_once = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, x)
    for n, image in enumerate(x):
        alone = torch.autograd.grad(block(image[None]).square().sum(), list(block.parameters()))
        torch.testing.assert_close([at_once[key][n] for key in weights], list(alone), rtol=0, atol=1e-9)


@both_layers
def test_a_layer_passes_the_numerical_check_of_first_and_second_gradients(layer):
    block = shaken(layer(6, 2).double())
    weights = [p.detach().clone().requires_grad_() for p in block.parameters()]
    keys = [key for key, _ in block.named_parameters()]
    x = torch.randn(2, 6, 3, 2, dtype=torch.double, requires_grad=True)

    def run(x, *weights):
        return torch.func.functional_call(block, dict(zip(keys, weights, strict=True)), (x,))

    assert torch.autograd.gradcheck(run, (x, *weights))
    assert torch.autograd.gradgradcheck(run, (x, *weights))


@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_the_residual_block_passes_the_numerical_check_of_first_and_second_gradients(training):
    block = make("ResBlockSqEx").double().train(training)
    x = torch.randn(2, 16, 3, 2, dtype=torch.double, requires_grad=True)
    inputs = (x, *block.parameters())

    # The parameters are the block's own leaves, so gradcheck can shift them in place.
    def run(x, *_parameters):
        return block(x)

    assert torch.autograd.gradcheck(run, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


@every_block
def test_a_deep_copy_computes_the_same_and_goes_its_own_way(name):
    block, x = make(name), torch.randn(2, 16, 5, 3)
    before = block(x)
    copied = copy.deepcopy(block)
    assert torch.equal(copied(x), before)
    with torch.no_grad():
        for parameter in copied.parameters():
            parameter.add_(1)
    assert not torch.allclose(copied(x), before)
    assert torch.equal(block(x), before)


def test_hooks_on_an_selayer_see_the_squeezed_channels_and_the_gates():
    block, x, seen = make("SELayer"), torch.randn(2, 16, 5, 3), {}
    for part in ("avg_pool", "fc"):
        module = getattr(block, part)
        module.register_forward_hook(lambda _m, _inputs, output, part=part: seen.update({part: output}))
    y = block(x)
    assert seen["avg_pool"].shape == seen["fc"].shape == (2, 16)
    torch.testing.assert_close(seen["avg_pool"], torch.einsum("ncij->nc", x) / 15)
    torch.testing.assert_close(y, torch.einsum("ncij,nc->ncij", x, seen["fc"]))
    hidden = (seen["avg_pool"] @ block.fc[0].weight.T).clamp(min=0)
    torch.testing.assert_close(seen["fc"], 1 / (1 + (-hidden @ block.fc[2].weight.T).exp()))


@both_layers
def test_every_position_of_a_map_gets_the_same_factor_between_zero_and_one(layer):
    block, x = shaken(layer(16, 4)), 1 + torch.rand(3, 16, 5, 3)
    factors = block(x) / x
    assert factors.min() > 0
    assert factors.max() < 1
    torch.testing.assert_close(factors, factors[:, :, :1, :1].expand_as(x))
    assert factors[:, :, 0, 0].unique().numel() == 3 * 16  # one for each image and channel, not one for all


@both_layers
def test_moving_the_pixels_of_all_maps_moves_the_result_alike(layer):
    block, x = shaken(layer(16, 4)), torch.randn(2, 16, 5, 3)
    torch.testing.assert_close(block(x.roll((2, 1), (2, 3))), block(x).roll((2, 1), (2, 3)))


def test_a_residual_block_with_closed_gates_is_the_identity():
    block, x = make("ResBlockSqEx"), torch.randn(2, 16, 5, 3)
    with torch.no_grad():
        block.sqex.linear2.weight.zero_()
        block.sqex.linear2.bias.fill_(-200)
    torch.testing.assert_close(block(x), x, rtol=0, atol=0)


def test_a_constant_gate_starts_at_one_half_and_does_not_look_at_the_image() -> None:
    gate = ConstantGate(8)
    assert list(gate.state_dict()) == ["weight"]
    x = torch.randn(2, 8, 5, 3)
    assert torch.equal(gate(x), x / 2)
    with torch.no_grad():
        gate.weight.copy_(torch.randn(8))
    factors = 1 / (1 + torch.exp(-gate.weight))
    torch.testing.assert_close(gate(x), x * factors[:, None, None])
    other = torch.randn(3, 8, 4, 7)
    torch.testing.assert_close(gate(other), other * factors[:, None, None])


def test_a_constant_gate_learns_by_the_slope_of_its_sigmoid() -> None:
    gate = ConstantGate(8).double()
    x, g = torch.randn(2, 8, 5, 3).double(), torch.randn(2, 8, 5, 3).double()
    gate(x).backward(g)
    torch.testing.assert_close(gate.weight.grad, (x * g).sum((0, 2, 3)) / 4)


@pytest.mark.parametrize("shape", [(2, 7, 5, 3), (2, 8, 5), (8, 5, 3), (2, 8)])
def test_a_constant_gate_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"\(N, C = 8, H, W\)"):
        ConstantGate(8)(torch.zeros(shape))


def test_the_maximum_as_squeeze_takes_the_largest_value_of_each_map() -> None:
    u = torch.randn(2, 8, 5, 3)
    assert MaxSqueeze()(u).tolist() == [[max(row.flatten().tolist()) for row in image] for image in u]


def test_without_squeeze_each_position_has_gates_that_see_itself_alone() -> None:
    block = NoSqueeze(8, 2)
    u = torch.randn(2, 8, 5, 3, requires_grad=True)
    here = u[:, :, 1, 2]
    s = torch.sigmoid((here @ block.fc[0].weight.T).relu() @ block.fc[2].weight.T)
    torch.testing.assert_close(block(u)[:, :, 1, 2], here * s)
    (seen,) = torch.autograd.grad(block(u)[:, :, 1, 2].sum(), u)
    assert seen[:, :, 1, 2].all()
    assert seen.count_nonzero() == 2 * 8
    with pytest.raises(ValueError, match=r"\(N, C = 8, H, W\)"):
        block(torch.randn(2, 4, 5, 3))
    with pytest.raises(ValueError, match="no hidden unit"):
        NoSqueeze(8, 16)


def test_without_squeeze_equal_positions_get_what_se_gives() -> None:
    block, se = NoSqueeze(8, 2), SELayer(8, 2)
    block.load_state_dict(se.state_dict())
    flat = torch.randn(2, 8, 1, 1).expand(2, 8, 5, 3)
    torch.testing.assert_close(block(flat), se(flat))


@pytest.mark.parametrize("layer", [SELayer, SqEx])
def test_a_signal_passes_as_a_map_of_width_one(layer):
    block, x = layer(16, 4), torch.randn(2, 16, 9)
    weights = list(block.parameters())
    if layer is SELayer:
        s = torch.sigmoid(torch.relu(x.mean(2) @ weights[0].T) @ weights[1].T)
    else:
        s = torch.sigmoid(torch.relu(x.mean(2) @ weights[0].T + weights[1]) @ weights[2].T + weights[3])
    torch.testing.assert_close(block(x[..., None])[..., 0], x * s[..., None])
    assert "(x[..., None])[..., 0]" in layer.__doc__


def open_gate(channels, bias=8.0):
    """The start that the docstring of `SqEx` gives for trained networks."""
    block = SqEx(channels, networks.small_reduction(channels))
    nn.init.zeros_(block.linear2.weight)
    nn.init.constant_(block.linear2.bias, bias)
    return block


@torch.no_grad()
def test_gates_that_start_open_leave_a_trained_network_s_answers_and_fresh_ones_do_not():
    for line in ("zeros_(block.linear2.weight)", "constant_(block.linear2.bias, 8)", "In bfloat16 take 6"):
        assert line in " ".join(SqEx.__doc__.split())
    x = cifar10.normalise(255 * photos.crops(32))
    trained_network = trained.load(networks.cifar_resnet(20), "fleet_resnet20_6_0")

    def logits(gate):
        network = networks.cifar_resnet(20, gate)
        missing, unexpected = network.load_state_dict(trained_network.state_dict(), strict=False)
        assert all(".gates.standard." in key for key in missing)
        assert not unexpected
        return network.eval()(x)

    before, opened = trained_network(x), logits(open_gate)
    fresh = logits(lambda channels: SqEx(channels, networks.small_reduction(channels)))
    same_open, same_fresh = (int((y.argmax(1) == before.argmax(1)).sum()) for y in (opened, fresh))
    assert len(x) == 80
    assert same_open == 80
    assert float((opened - before).abs().max()) < 0.02
    assert same_fresh <= 40


@pytest.mark.parametrize(("bias", "learns"), [(6.0, True), (8.0, False)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_in_bfloat16_gates_start_open_at_6_and_get_no_gradient_at_8(bias, learns, layout):
    block = open_gate(64, bias).bfloat16()
    u = torch.rand(2, 64, 7, 5).bfloat16().contiguous(memory_format=layout)
    block(u).sum().backward()
    assert bool((block.linear2.bias.grad != 0).all()) is learns
    assert bool((block.linear2.bias.grad != 0).any()) is learns
