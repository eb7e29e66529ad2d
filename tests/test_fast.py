"""FastSELayer against the readable blocks: results, gradients, memory."""

import copy
import weakref

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from seblock.blocks import SELayer, SqEx
from seblock.fast import FastSELayer

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def pair(channels=8, reduction=2, bias=False, dtype=torch.float64):
    """A FastSELayer and the readable block with the same weights."""
    quick = FastSELayer(channels, reduction, bias).to(dtype)
    if not bias:
        readable = SELayer(channels, reduction).to(dtype)
        readable.load_state_dict(quick.state_dict())
        return quick, readable
    readable = SqEx(channels, reduction).to(dtype)
    readable.linear1.load_state_dict(quick.fc[0].state_dict())
    readable.linear2.load_state_dict(quick.fc[2].state_dict())
    return quick, readable


def results(block, u, g):
    """The output and the gradients with respect to the input and each parameter."""
    u = u.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    x = block(u)
    return [x, *torch.autograd.grad(x, [u, *block.parameters()], g)]


def same(quick, readable, u, g, **tolerance):
    for mine, theirs in zip(results(quick, u, g), results(readable, u, g), strict=True):
        assert mine.dtype == theirs.dtype
        assert torch.allclose(mine, theirs, **tolerance)
        assert theirs.abs().sum() > 0


def maps(n, c, h, w, layout=torch.contiguous_format, dtype=torch.float64):
    return (torch.randn(n, c, h, w, dtype=dtype) + torch.randn(n, c, 1, 1, dtype=dtype)).to(
        memory_format=layout
    )


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("of_g", LAYOUTS)
@pytest.mark.parametrize("channels", [8, 96])  # 96 takes the pooled mean in channels_last
def test_results_and_gradients_are_those_of_the_readable_block(bias, layout, of_g, channels):
    quick, readable = pair(channels, 4, bias)
    same(quick, readable, maps(3, channels, 5, 4, layout), maps(3, channels, 5, 4, of_g), atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_type(dtype, layout):
    quick, readable = pair(64, 4, dtype=dtype)
    tolerance = 4 * torch.finfo(dtype).eps
    u, g = maps(3, 64, 6, 6, layout, dtype), maps(3, 64, 6, 6, layout, dtype)
    for mine, theirs in zip(results(quick, u, g), results(readable, u, g), strict=True):
        assert mine.dtype == theirs.dtype == dtype
        assert (mine - theirs).abs().max() <= tolerance * theirs.abs().max()


@pytest.mark.parametrize(
    "odd",
    [
        lambda u: u.expand(3, 8, 6, 5),  # a gradient as sum() gives it: the same number everywhere
        lambda u: torch.randn(3, 8, 6, 10, dtype=u.dtype)[..., ::2],
        lambda u: torch.randn(3, 8, 5, 6, dtype=u.dtype).transpose(2, 3),
        lambda u: torch.randn(8, 3, 6, 5, dtype=u.dtype).transpose(0, 1),
    ],
)
def test_maps_in_odd_memory(odd):
    quick, readable = pair()
    one = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    same(quick, readable, maps(3, 8, 6, 5), odd(one), atol=1e-12)
    if odd(one).stride() != (0, 0, 0, 0):
        same(quick, readable, odd(one), maps(3, 8, 6, 5), atol=1e-12)


@pytest.mark.parametrize("shape", [(1, 8, 1, 1), (2, 8, 1, 7), (3, 8, 150, 130), (5, 8, 600, 500)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_single_positions_and_large_maps(shape, layout):
    quick, readable = pair()
    same(quick, readable, maps(*shape, layout), maps(*shape, layout), atol=1e-9)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_over_large_maps_stay_exact_in_float32(layout):
    quick, exact = pair(4, 1, dtype=torch.float32)[0], pair(4, 1)[1]
    exact.load_state_dict({k: v.double() for k, v in quick.state_dict().items()})
    u = torch.rand(1, 4, 900, 900).to(memory_format=layout)  # all positive: rounding adds up
    mine = results(quick, u, u)
    for a, b in zip(mine, results(exact, u.double(), u.double()), strict=True):
        assert torch.allclose(a.double(), b, rtol=2e-6, atol=1e-7)


def functional(block):
    names = [name for name, _ in block.named_parameters()]
    return lambda u, *weights: torch.func.functional_call(block, dict(zip(names, weights)), (u,))


# PyTorch 2.13 warns about its own use of torch.jit in forward mode.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_first_and_second_derivatives_by_finite_differences(bias, layout):
    quick, _ = pair(6, 2, bias)
    u = maps(2, 6, 3, 2, layout).requires_grad_()
    inputs = (u, *quick.parameters())
    assert torch.autograd.gradcheck(functional(quick), inputs, check_batched_grad=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(functional(quick), inputs)


def test_second_derivatives_are_those_of_the_readable_block():
    quick, readable = pair(bias=True)
    u = maps(2, 8, 3, 3)
    hessians = [
        torch.autograd.functional.hessian(lambda u, block=block: block(u).sin().sum(), u)
        for block in (quick, readable)
    ]
    assert torch.allclose(*hessians, atol=1e-12)
    assert hessians[0].abs().max() > 0.01


def test_the_gradient_may_be_taken_twice():
    quick, _ = pair()
    u = maps(2, 8, 3, 3).requires_grad_()
    x, g = quick(u), maps(2, 8, 3, 3)
    before = g.clone()
    first = torch.autograd.grad(x, u, g, retain_graph=True)[0]
    kept = first.clone()
    second = torch.autograd.grad(x, u, g)[0]
    assert torch.equal(kept, second)
    assert torch.equal(first, kept)
    assert torch.equal(g, before)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_jacobians_taken_row_by_row_and_all_at_once(layout):
    quick, readable = pair()
    u = maps(2, 8, 2, 2, layout)
    expected = torch.autograd.functional.jacobian(readable, u)
    assert torch.allclose(torch.autograd.functional.jacobian(quick, u, vectorize=True), expected)
    assert torch.allclose(torch.func.jacrev(quick)(u), expected)
    assert torch.allclose(torch.func.jacfwd(quick)(u), expected)
    with torch.no_grad():
        assert torch.allclose(torch.func.jacrev(quick)(u), expected)
    leaf = u.clone().requires_grad_()
    x = quick(leaf).flatten()
    rows = torch.vmap(lambda g: torch.autograd.grad(x, leaf, g)[0])(torch.eye(len(x), dtype=u.dtype))
    assert torch.allclose(rows.view(expected.shape), expected)


def test_gradients_of_each_sample():
    quick, readable = pair(bias=True)
    u = maps(3, 8, 4, 4)
    weights = dict(quick.named_parameters())

    def loss(weights, one):
        return torch.func.functional_call(quick, weights, (one[None],)).square().sum()

    samples = torch.vmap(torch.func.grad(loss), in_dims=(None, 0))(weights, u)
    for i, one in enumerate(u):
        expected = torch.autograd.grad(readable(one[None]).square().sum(), list(readable.parameters()))
        for mine, theirs in zip(samples.values(), expected, strict=True):
            assert torch.allclose(mine[i], theirs)


@pytest.mark.parametrize("of_maps", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_autocast(of_maps, dtype, layout):
    blocks = pair(64, 4, bias=True, dtype=torch.float32)
    u, g = maps(4, 64, 4, 4, layout, of_maps), maps(4, 64, 4, 4, layout, torch.float32)
    answers = []
    for block in blocks:
        leaf = u.clone().requires_grad_()
        with torch.autocast("cpu", dtype):
            x = block(leaf)
        answers.append([x, *torch.autograd.grad(x, [leaf, *block.parameters()], g.to(x.dtype))])
    for mine, theirs in zip(*answers, strict=True):
        assert mine.dtype == theirs.dtype
        assert (mine - theirs).abs().max() <= 0.02 * theirs.abs().max()
    assert torch.equal(answers[0][0], answers[1][0])


def test_autocast_leaves_doubles_alone():
    quick, readable = pair()
    with torch.autocast("cpu"):
        assert torch.equal(quick(u := maps(2, 8, 3, 3)), readable(u))


class Calls(TorchDispatchMode):
    """The names of the operations that run within it."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        self.seen = [*getattr(self, "seen", []), operation.__name__.split(".")[0]]
        return operation(*args, **(kwargs or {}))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_gradient_that_nobody_asked_for(layout):
    def products(wanted):
        quick, readable = pair(64, 4)
        u = maps(3, 64, 4, 4, layout).requires_grad_("u" in wanted)
        quick.fc[0].weight.requires_grad_("w1" in wanted)
        quick.fc[2].weight.requires_grad_("w2" in wanted)
        x, g = quick(u), maps(3, 64, 4, 4)
        with Calls() as calls:
            x.backward(g)
        for t, name in [(u, "u"), (quick.fc[0].weight, "w1"), (quick.fc[2].weight, "w2")]:
            assert (t.grad is not None) == (name in wanted)
        if "w1" in wanted:
            expected = torch.autograd.grad(readable(u), readable.fc[0].weight, g)[0]
            assert torch.allclose(quick.fc[0].weight.grad, expected)
        return calls.seen.count("mm"), calls.seen

    assert products({"u", "w1", "w2"})[0] == 4
    assert products({"u"})[0] == 2
    assert products({"w2"})[0] == 1
    assert products({"w1", "w2"})[0] == 3
    for operation in ("native_batch_norm", "addcmul"):  # what computes the gradient of u
        assert operation not in products({"w1", "w2"})[1]


def operations_of_the_backward_pass(images, layout):
    quick, _ = pair(64, 4, dtype=torch.float32)
    u = maps(images, 64, 50, 50, layout, torch.float32).requires_grad_()
    x, g = quick(u), maps(images, 64, 50, 50, layout, torch.float32)
    with Calls() as during:
        x.backward(g)
    return during.seen


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_operation_goes_image_by_image(layout):
    """Between two operations all threads wait for the last, and on a busy machine that takes long."""
    operations = operations_of_the_backward_pass(2, layout)
    assert operations == operations_of_the_backward_pass(7, layout)


def test_maps_in_one_piece_are_summed_without_a_stored_product():
    operations = operations_of_the_backward_pass(3, torch.contiguous_format)
    assert operations.count("native_batch_norm_backward") == 1
    assert "avg_pool2d" not in operations


def test_without_gradients_nothing_is_kept():
    quick, readable = pair()
    u = maps(2, 8, 3, 3)
    with torch.no_grad():
        x = quick(u)
    assert x.grad_fn is None
    assert torch.allclose(x, readable(u))
    quick.requires_grad_(False)
    assert quick(u).grad_fn is None


def test_without_gradients_only_the_gates_wait_for_the_product():
    """Neither z nor h is alive any more where the maps are multiplied."""

    class Alive(TorchDispatchMode):
        made, at_product = [], None

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            if operation is torch.ops.aten.mul.Tensor:
                self.at_product = [tuple(shape) for made, shape in self.made if made() is not None]
            out = operation(*args, **(kwargs or {}))
            if not operation.is_view:
                self.made.append((weakref.ref(out), out.shape))
            return out

    quick, _ = pair(64, 4)
    u = maps(2, 64, 3, 3)
    with torch.no_grad(), Alive() as during:
        quick(u)
    assert during.at_product == [(2, 64)]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_memory_is_at_most_that_of_the_readable_block(layout):
    """Counted in whole maps: all that is allocated, whether or not it is freed in between."""

    class Bytes(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            out = operation(*args, **(kwargs or {}))
            known = {t.data_ptr() for t in (*args, *(kwargs or {}).values()) if isinstance(t, torch.Tensor)}
            for t in out if isinstance(out, tuple) else (out,):
                if isinstance(t, torch.Tensor) and t.numel() == u.numel() and t.data_ptr() not in known:
                    self.total += 1
            return out

    def allocated(block):
        with Bytes() as counted:
            block(leaf := u.clone().requires_grad_()).backward(g)
        del leaf
        return counted.total - 1  # the clone

    quick, readable = pair(64, 4, dtype=torch.float32)
    u, g = maps(4, 64, 16, 16, layout, torch.float32), maps(4, 64, 16, 16, layout, torch.float32)
    assert allocated(quick) == 2  # the output and the gradient, or what becomes it
    assert allocated(readable) >= 4


def test_a_part_with_hooks_or_of_another_kind_is_called():
    class Adapted(nn.Linear):
        def forward(self, x):
            return super().forward(x) + x.sum(-1, keepdim=True)

    x, called = torch.randn(2, 8, 3, 3, dtype=torch.float64), []
    for change in (
        lambda block: block.fc.__setitem__(1, nn.SiLU()),
        lambda block: block.fc.__setitem__(0, Adapted(8, 4, bias=False).double().requires_grad_(False)),
        lambda block: block.fc[2].register_forward_hook(lambda *_: called.append(1)),
    ):
        answers = []
        for block in pair():
            torch.manual_seed(1)
            change(block)
            answers.append(block(x))
        assert torch.allclose(*answers)
    assert len(called) == 2
    layer = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
    block = FastSELayer.around(*layer).double()
    expected = block(x)
    block.fc[3].register_forward_hook(lambda *_: called.append(1))
    assert torch.allclose(block(x), expected)
    assert len(called) == 3


def test_float16_gradients_of_the_weights_do_not_underflow():
    u = torch.ones(2, 16, 112, 112, dtype=torch.float16)
    g = torch.zeros_like(u)
    g[..., 0, 0] = 3e-4
    quick, readable = pair(16, 4, dtype=torch.float16)
    for mine, theirs in list(zip(results(quick, u, g), results(readable, u, g), strict=True))[2:]:
        assert theirs.any()
        assert torch.allclose(mine, theirs, rtol=1e-2, atol=0)


def test_long_sums_of_equal_numbers_stay_exact_in_channels_last():
    u = torch.full((1, 64, 200, 200), 0.1).to(memory_format=torch.channels_last)
    g = torch.full_like(u, 0.1)
    quick, _ = pair(64, 4, dtype=torch.float32)
    exact = copy.deepcopy(quick).double()
    for mine, theirs in zip(results(quick, u, g), results(exact, u.double(), g.double()), strict=True):
        assert (mine - theirs).norm() < 1e-4 * theirs.norm()


@pytest.mark.parametrize("height", [61, 64, 65, 129])  # up to 64 rows are pooled at once, more row by row
def test_long_maps_of_any_height_are_summed_whole_in_channels_last(height):
    quick, readable = pair(64, 4)
    u, g = (maps(2, 64, height, 64, torch.channels_last) for _ in range(2))
    same(quick, readable, u, g, atol=1e-9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("convolutions", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_torchscript_compiles_it_alone_and_in_a_network(convolutions, bias):
    quick, _ = pair(8, 2, bias, torch.float32)
    if convolutions:
        quick = FastSELayer.around(nn.Conv2d(8, 4, 1, bias=bias), nn.Conv2d(4, 8, 1, bias=bias))
    x = maps(2, 8, 3, 5, dtype=torch.float32)
    for module in (quick, nn.Sequential(nn.ReLU(), quick)):
        assert torch.allclose(torch.jit.script(module)(x), module(x), atol=1e-6)


def test_meta_maps_have_a_shape():
    with torch.device("meta"):
        block = FastSELayer(8, 2)
    assert block(torch.empty(2, 8, 3, 3, device="meta")).shape == (2, 8, 3, 3)
