"""The equations against expressions written another way: einsum, loops, F.conv2d."""

import math

import pytest
import torch
import torch.nn.functional as F

from seblock.functional import channel_terms, convolve, excite, expect_maps, rescale, squeeze

SLIDES = [
    {},
    {"stride": 2},
    {"padding": 1},
    {"dilation": 2},
    {"stride": (2, 1), "padding": (0, 2)},
    {"stride": (1, 3), "padding": 2, "dilation": (1, 2)},
    {"padding": "same"},
    {"padding": "same", "dilation": (2, 1)},
    {"padding": "valid"},
]
LOW_PRECISION = [(torch.float16, 2e-3), (torch.bfloat16, 2e-2)]


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def doubles(*shape):
    return torch.randn(shape, dtype=torch.double, requires_grad=True)


def assert_same_values_and_gradients(ours, theirs, inputs, atol=1e-10):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=atol)
    direction = torch.randn_like(ours)
    torch.testing.assert_close(
        torch.autograd.grad(ours, inputs, direction, retain_graph=True),
        torch.autograd.grad(theirs, inputs, direction, retain_graph=True),
        rtol=0,
        atol=atol,
    )


@pytest.mark.parametrize("slide", SLIDES, ids=str)
@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("window", [(3, 3), (1, 1), (3, 5)], ids=str)
def test_the_terms_add_up_to_a_convolution(slide, images, window):
    x, v = doubles(images, 3, 11, 13), doubles(4, 3, *window)
    expected = F.conv2d(x, v, **slide)
    assert_same_values_and_gradients(channel_terms(x, v, **slide).sum(2), expected, (x, v))
    assert_same_values_and_gradients(convolve(x, v, **slide), expected, (x, v))


@pytest.mark.parametrize("slide", SLIDES, ids=str)
def test_each_term_is_the_convolution_of_that_one_channel_alone(slide):
    x, v = doubles(2, 3, 9, 7), doubles(4, 3, 3, 3)
    terms = channel_terms(x, v, **slide)
    assert terms.shape[:3] == (2, 4, 3)
    for c in range(4):
        for s in range(3):
            alone = F.conv2d(x[:, s : s + 1], v[c : c + 1, s : s + 1], **slide)
            assert_same_values_and_gradients(terms[:, c, s], alone[:, 0], (x, v))


def test_an_empty_batch_has_empty_terms():
    v = torch.randn(4, 3, 3, 3)
    assert channel_terms(torch.zeros(0, 3, 5, 6), v).shape == (0, 4, 3, 3, 4)
    assert convolve(torch.zeros(0, 3, 5, 6), v).shape == (0, 4, 3, 4)


def test_convolve_slides_the_kernel_without_flipping_it():
    x, v = doubles(2, 3, 6, 5), doubles(4, 3, 3, 3)
    windows = x.unfold(2, 3, 1).unfold(3, 3, 1)
    u = convolve(x, v)
    assert_same_values_and_gradients(u, torch.einsum("nsijab,csab->ncij", windows, v), (x, v))
    convolved_as_in_mathematics = torch.einsum("nsijab,csab->ncij", windows, v.flip(2, 3))
    assert (u - convolved_as_in_mathematics).abs().max() > 0.1


def test_a_single_bright_pixel_comes_out_as_the_kernel_turned_by_half_a_turn():
    x = torch.zeros(1, 1, 5, 5)
    x[0, 0, 2, 2] = 1
    v = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert convolve(x, v)[0, 0].tolist() == [[8, 7, 6], [5, 4, 3], [2, 1, 0]]


def test_squeeze_is_the_mean_of_each_map():
    u = doubles(2, 8, 5, 3)
    z = squeeze(u)
    assert_same_values_and_gradients(z, torch.einsum("ncij->nc", u) / 15, (u,))
    assert z[1, 6].item() == pytest.approx(math.fsum(u[1, 6].flatten().tolist()) / 15)


def test_every_position_has_the_same_share_in_the_squeeze():
    u = doubles(2, 8, 5, 3)
    (gradient,) = torch.autograd.grad(squeeze(u).sum(), u)
    torch.testing.assert_close(gradient, torch.full_like(u, 1 / 15))


def test_squeeze_of_one_position_is_that_position():
    u = torch.randn(2, 8, 1, 1)
    assert torch.equal(squeeze(u), u[:, :, 0, 0])


def excite_in_plain_python(z, w1, w2, b1, b2):
    gates = []
    for squeezed in z:
        hidden = [
            max(0.0, sum(w * a for w, a in zip(row, squeezed, strict=True)) + b)
            for row, b in zip(w1, b1, strict=True)
        ]
        gates.append(
            [
                1 / (1 + math.exp(-b - sum(w * h for w, h in zip(row, hidden, strict=True))))
                for row, b in zip(w2, b2, strict=True)
            ]
        )
    return gates


@pytest.mark.parametrize("given", [(), ("b1",), ("b2",), ("b1", "b2")], ids=lambda g: "+".join(g) or "none")
def test_excite_is_the_formula_with_the_biases_that_are_given(given):
    z, w1, w2 = doubles(5, 8), doubles(3, 8), doubles(8, 3)
    biases = {name: doubles(size) for name, size in (("b1", 3), ("b2", 8)) if name in given}
    b1, b2 = (biases.get(name, torch.zeros(size)) for name, size in (("b1", 3), ("b2", 8)))
    expected = excite_in_plain_python(*(t.tolist() for t in (z, w1, w2, b1, b2)))
    s = excite(z, w1, w2, **biases)
    torch.testing.assert_close(s, torch.tensor(expected, dtype=torch.double), rtol=0, atol=1e-12)


def test_excite_has_the_gradients_that_the_chain_rule_gives():
    z, w1, w2, b1, b2 = doubles(5, 8), doubles(3, 8), doubles(8, 3), doubles(3), doubles(8)
    s = excite(z, w1, w2, b1, b2)
    direction = torch.randn_like(s)
    found = torch.autograd.grad(s, (z, w1, w2, b1, b2), direction)
    with torch.no_grad():
        before = torch.einsum("hc,nc->nh", w1, z) + b1
        hidden = before.clamp(min=0)
        at_gate = direction * s * (1 - s)
        at_hidden = torch.einsum("nc,ch->nh", at_gate, w2) * (before > 0)
        expected = (
            torch.einsum("nh,hc->nc", at_hidden, w1),
            torch.einsum("nh,nc->hc", at_hidden, z),
            torch.einsum("nc,nh->ch", at_gate, hidden),
            at_hidden.sum(0),
            at_gate.sum(0),
        )
    assert 0 < (before > 0).sum() < before.numel()  # or the ReLU would not have been tested
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)


def test_gates_lie_between_zero_and_one_and_do_not_compete():
    s = excite(torch.randn(50, 8), torch.randn(2, 8), torch.randn(8, 2))
    assert s.min() > 0
    assert s.max() < 1
    assert s.sum(1).max() - s.sum(1).min() > 1  # a softmax would make every sum 1


def test_a_hidden_unit_below_zero_opens_and_closes_nothing():
    z, w1, w2 = torch.tensor([[-1.0, -2, -3, -4]]), torch.ones(2, 4), torch.randn(4, 2)
    assert excite(z, w1, w2).tolist() == [[0.5] * 4]


def test_rescale_multiplies_each_map_by_its_gate():
    u, s = doubles(2, 8, 5, 3), doubles(2, 8)
    assert_same_values_and_gradients(rescale(u, s), torch.einsum("ncij,nc->ncij", u, s), (u, s))


@pytest.mark.parametrize("shape", [(4, 4, 4, 4), (3, 3, 3, 3), (2, 5, 5, 2)], ids=str)
def test_rescale_finds_the_channel_axis_where_sizes_cannot_tell_it_apart(shape):
    u, s = torch.randn(shape), torch.randn(shape[:2])
    scaled = rescale(u, s)
    for n in range(shape[0]):
        for c in range(shape[1]):
            assert torch.equal(scaled[n, c], u[n, c] * s[n, c].item())


def test_rescale_has_the_gradients_of_a_product():
    u, s = doubles(2, 8, 5, 3), doubles(2, 8)
    direction = torch.randn_like(u)
    by_map, by_gate = torch.autograd.grad(rescale(u, s), (u, s), direction)
    for n in range(2):
        for c in range(8):
            torch.testing.assert_close(by_map[n, c], direction[n, c] * s[n, c])
            torch.testing.assert_close(by_gate[n, c], torch.sum(direction[n, c] * u[n, c]))


@pytest.mark.parametrize(
    "gates",
    [(8,), (1, 8), (2, 1), (8, 2), (2, 5), (2, 3), (5, 3), (), (2, 8, 1), (2, 8, 1, 1), (2, 8, 5, 3)],
    ids=str,
)
def test_rescale_refuses_gates_of_another_shape_even_where_they_would_broadcast(gates):
    u = torch.randn(2, 8, 5, 3)
    with pytest.raises(ValueError, match=r"\(2, 8\) for maps \(N, C, H, W\) = \(2, 8, 5, 3\)"):
        rescale(u, torch.randn(gates))


@pytest.mark.parametrize("shape", [(), (8,), (2, 8), (8, 5, 3), (2, 8, 5, 3, 1)], ids=str)
def test_maps_of_another_rank_are_refused_by_name_and_with_the_shape_that_came(shape):
    u = torch.zeros(shape)
    for refuse in (squeeze, expect_maps, lambda u: rescale(u, torch.zeros(2, 8))):
        with pytest.raises(ValueError, match=r"\(N, C, H, W\)") as error:
            refuse(u)
        assert str(error.value).endswith(f"got {shape}")


def test_expect_maps_takes_the_right_shape_and_names_the_channels_it_wants():
    expect_maps(torch.zeros(2, 8, 5, 3))
    expect_maps(torch.zeros(2, 8, 5, 3), channels=8)
    with pytest.raises(ValueError, match=r"\(N, C = 5, H, W\), got \(2, 8, 5, 3\)"):
        expect_maps(torch.zeros(2, 8, 5, 3), channels=5)


@pytest.mark.parametrize("function", [channel_terms, convolve])
def test_a_convolution_refuses_maps_and_filters_that_do_not_fit(function):
    x, v = torch.zeros(2, 3, 9, 7), torch.zeros(4, 3, 3, 3)
    with pytest.raises(ValueError, match=r"\(N, C = 3, H, W\), got \(3, 9, 7\)"):
        function(x[0], v)
    with pytest.raises(ValueError, match=r"\(N, C = 3, H, W\), got \(2, 2, 9, 7\)"):
        function(x[:, :2], v)
    with pytest.raises(ValueError, match=r"filters of shape \(C, C', k, k\), got \(3, 3, 3\)"):
        function(x, v[0])


@pytest.mark.parametrize(("dtype", "tolerance"), LOW_PRECISION, ids=str)
def test_low_precision_keeps_its_type_and_comes_close_to_double(dtype, tolerance):
    u, s = torch.rand(2, 8, 5, 3, dtype=dtype), torch.rand(2, 8, dtype=dtype)
    w1, w2 = torch.randn(2, 8, dtype=dtype), torch.randn(8, 2, dtype=dtype)
    v = torch.randn(4, 8, 3, 3, dtype=dtype)
    # A sum of 72 products has the rounding error of its largest terms, not of its result.
    for function, inputs, scale in [
        (squeeze, (u,), 1),
        (excite, (s, w1, w2), 1),
        (rescale, (u, s), 1),
        (convolve, (u, v), 10),
    ]:
        result = function(*inputs)
        assert result.dtype == dtype
        exact = function(*(t.double() for t in inputs))
        torch.testing.assert_close(result.double(), exact, rtol=tolerance, atol=scale * tolerance)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_squeeze_neither_overflows_nor_stalls_in_low_precision(dtype):
    # 90,000 positions of 10: the sum is beyond float16, and bfloat16 counts no further than 256 in ones.
    u = torch.full((1, 2, 300, 300), 10.0, dtype=dtype)
    assert squeeze(u).tolist() == [[10, 10]]
