"""The painting puzzle has the properties that the notebooks' text relies on."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from seblock import cost, others, puzzles
from seblock.blocks import ConstantGate, SqEx
from seblock.puzzles import painter


@pytest.fixture(scope="module", params=["train", "test"])
def puzzle(request):
    return request.param, puzzles.painting_puzzle(400, seed=3, part=request.param)


def test_a_puzzle_has_the_promised_shapes_and_range(puzzle):
    _, p = puzzle
    assert p.x.shape == (400, 3, 20, 20)
    assert p.target.shape == p.other.shape == (400, 1, 20, 20)
    assert p.cue.shape == (400,)
    assert set(p.cue.tolist()) == {0, 1}
    assert p.x.min() == 0
    assert p.x.max() == 1


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_seed_repeats_its_puzzle_exactly_and_another_seed_does_not(part):
    state = torch.get_rng_state()
    first, again, another = (puzzles.painting_puzzle(20, seed, part) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.x, another.x)
    assert not torch.equal(first.cue, another.cue)
    assert torch.equal(torch.get_rng_state(), state)  # the notebook's own random numbers stay as they are


def test_the_two_parts_differ_for_the_same_seed_and_train_is_the_default():
    train, test = puzzles.painting_puzzle(20, 5), puzzles.painting_puzzle(20, 5, "test")
    assert torch.equal(train.x, puzzles.painting_puzzle(20, 5, "train").x)
    assert not torch.equal(train.x, test.x)


def test_the_target_is_the_digit_in_the_channel_that_the_cue_names(puzzle):
    _, p = puzzle
    for x, target, other, cue in zip(*p[:3], p.cue.tolist(), strict=True):
        assert torch.equal(target[0], x[cue])
        assert torch.equal(other[0], x[1 - cue])
        assert not torch.equal(target, other)


def test_the_classes_are_those_of_the_digits_drawn(puzzle):
    part, p = puzzle
    digits = load_digits()
    chosen = slice(-300, None) if part == "test" else slice(None, -300)
    known = {
        (image / 16).astype("float32").tobytes(): int(label)
        for image, label in zip(digits.images[chosen], digits.target[chosen])
    }
    for pictures, classes in ((p.target, p.named), (p.other, p.unnamed)):
        for picture, label in zip(pictures[:50, 0], classes[:50]):
            corners = [(top, left) for top in range(6) for left in range(6)]
            cuts = (picture[top : top + 8, left : left + 8] for top, left in corners)
            whole = (cut for cut in cuts if cut.sum() == picture.sum())
            assert int(label) in {known.get(cut.contiguous().numpy().tobytes()) for cut in whole}


def test_a_picture_is_right_if_it_is_nearer_to_the_named_digit(puzzle):
    _, p = puzzle
    assert p.painted(p.target).all()
    assert not p.painted(p.other).any()
    assert p.painted(0.51 * p.target + 0.49 * p.other).all()
    assert not p.painted(0.49 * p.target + 0.51 * p.other).any()


def test_upright_stripes_name_the_first_channel_and_level_stripes_the_second(puzzle):
    _, p = puzzle
    light_dark = torch.tensor([1.0, 0, 1, 0])
    for patch, cue in zip(p.x[:, 2, 16:, 16:], p.cue.tolist(), strict=True):
        lines = patch.unbind(0) if cue == 0 else patch.unbind(1)  # upright stripes: all rows are alike
        assert all(torch.equal(line, light_dark) for line in lines)


def test_nothing_but_the_patch_is_in_the_third_channel_and_it_is_equally_bright_for_both_cues(puzzle):
    _, p = puzzle
    assert torch.equal(p.x[:, 2].sum((1, 2)), torch.full((400,), 8.0))
    assert torch.equal(p.x[:, 2, 16:, 16:].sum((1, 2)), torch.full((400,), 8.0))


def test_digits_stay_four_steps_or_more_from_the_patch(puzzle):
    _, p = puzzle
    rows, columns = p.x[:, :2].amax((0, 1)).nonzero().unbind(1)
    steps = torch.maximum((16 - rows).clamp(min=0), (16 - columns).clamp(min=0))
    assert steps.min() >= 4
    assert rows.min() == columns.min() == 0
    assert rows.max() == 12  # digits fill their eight rows, though seldom their eight columns
    assert columns.max() <= 12


def test_both_cues_occur_about_equally_often(puzzle):
    _, p = puzzle
    assert 170 < p.cue.sum() < 230  # three standard deviations


@pytest.fixture(scope="module")
def where():
    """The places in scikit-learn's list, by the pixels of a digit."""
    places = {}
    for place, image in enumerate(load_digits().images):
        places.setdefault(image.astype(np.uint8).tobytes(), []).append(place)
    return places


def digit_in(channel, where):
    """Which of scikit-learn's digits lies in a channel, and its top left corner there."""
    pixels = (channel * 16).round().to(torch.uint8)
    found = set()
    for top in range(13):
        for left in range(13):
            window = pixels[top : top + 8, left : left + 8]
            if window.sum(dtype=torch.int64) == pixels.sum(dtype=torch.int64):
                places = where.get(window.contiguous().numpy().tobytes(), [])
                found.update((place, top, left) for place in places)
    assert len(found) == 1
    return found.pop()


def test_digits_are_whole_of_two_classes_and_of_their_own_part_and_lie_everywhere(puzzle, where):
    part, p = puzzle
    labels = load_digits().target
    seen = [[digit_in(channel, where) for channel in x[:2]] for x in p.x]
    for (first, *_), (second, *_) in seen:
        assert labels[first] != labels[second]
        assert all((digit >= 1797 - 300) == (part == "test") for digit in (first, second))
    for channel in range(2):
        digits, tops, lefts = zip(*(pair[channel] for pair in seen), strict=True)
        assert {int(labels[digit]) for digit in digits} == set(range(10))
        assert set(zip(tops, lefts, strict=True)) == {(i, j) for i in range(6) for j in range(6)}


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_digits_places_say_nothing_about_the_cue(part, where):
    p = puzzles.painting_puzzle(600, 11, part)
    corners = torch.tensor([[digit_in(channel, where)[1:] for channel in x[:2]] for x in p.x]).double()
    means = [corners[p.cue == cue].mean(0) for cue in (0, 1)]
    # A place is one of 0 to 5: its deviation is 1.71, and the difference of two means of 300 has 0.14.
    assert (means[0] - means[1]).abs().max() < 4 * 0.14
    assert (corners[:, 0] != corners[:, 1]).any(dim=1).double().mean() > 0.9
    assert all(corners[p.cue == cue].std(0).min() > 1.5 for cue in (0, 1))


def test_a_larger_image_holds_the_same_digits_and_cue_in_its_far_corner() -> None:
    small, large = (puzzles.painting_puzzle(30, 7, "test", side) for side in (20, 40))
    assert large.x.shape == (30, 3, 40, 40)
    assert large.target.shape == large.other.shape == (30, 1, 40, 40)
    assert torch.equal(large.x[:, :2, :13, :13], small.x[:, :2, :13, :13])
    assert torch.equal(large.x[:, 2, 36:, 36:], small.x[:, 2, 16:, 16:])
    assert torch.equal(large.x.sum((2, 3)), small.x.sum((2, 3)))
    assert all(torch.equal(a, b) for a, b in zip(large[3:], small[3:], strict=True))


def test_an_impossible_part_or_side_is_refused() -> None:
    with pytest.raises(ValueError, match="tset"):
        puzzles.painting_puzzle(2, seed=0, part="tset")
    with pytest.raises(ValueError, match="19"):
        puzzles.painting_puzzle(2, seed=0, side=19)


# The networks.


def count(module):
    return sum(p.numel() for p in module.parameters())


def a_gate(channels):
    return SqEx(channels, reduction=4)


def test_the_painter_has_11185_parameters_and_12139_with_gates():
    assert count(painter()) == 11_185
    assert count(painter(a_gate)) == 12_139


@pytest.mark.parametrize("gate", [nn.Identity, a_gate])
def test_the_painter_paints_one_map_of_the_same_size(gate):
    assert painter(gate)(torch.rand(5, 3, 20, 20)).shape == (5, 1, 20, 20)


# Eval mode: in training, BatchNorm's statistics carry something from every position to every other.
def gradient_of_the_digits_pixels(gate):
    network, x = painter(gate).eval(), torch.rand(2, 3, 20, 20, requires_grad=True)
    painted = network(x)[:, 0, :13, :13]  # where digits can lie
    return torch.autograd.grad(painted.square().sum(), x)[0]


def test_the_plain_painter_cannot_see_the_cue_from_where_the_digits_are():
    gradient = gradient_of_the_digits_pixels(nn.Identity)
    assert torch.equal(gradient[:, :, 16:, 16:], torch.zeros(2, 3, 4, 4))
    assert gradient[:, :, :16, :16].any(dim=(2, 3)).all()
    assert gradient[:, :, 15, 15].any()  # three 3×3 convolutions reach three positions and no further


def test_constant_factors_bring_no_cue_to_the_digits() -> None:
    assert not gradient_of_the_digits_pixels(ConstantGate)[:, :, 16:, 16:].any()


def test_the_painter_with_se_blocks_sees_the_cue_from_everywhere():
    gradient = gradient_of_the_digits_pixels(a_gate)
    assert (gradient[:, 2, 16:, 16:] != 0).all()


def test_an_added_term_adds_one_number_to_each_map() -> None:
    torch.manual_seed(0)
    module = puzzles.AddedTerm(8)
    x = torch.randn(2, 8, 5, 3) + 3 * torch.randn(2, 8, 1, 1)
    w1, b1, w2, b2 = (p.detach() for p in module.parameters())
    before_relu = x.mean((2, 3)) @ w1.T + b1
    assert before_relu.min() < 0 < before_relu.max()
    term = torch.relu(x.mean((2, 3)) @ w1.T + b1) @ w2.T + b2
    torch.testing.assert_close(module(x) - x, term[:, :, None, None].expand_as(x))


@pytest.mark.parametrize("hidden", [0, 32])
def test_a_reader_is_the_painter_s_layers_a_mean_and_a_head(hidden: int) -> None:
    torch.manual_seed(0)
    network = puzzles.reader(hidden=hidden, width=6).eval()
    x = torch.rand(3, 3, 20, 20)
    head = network[14:]
    assert network(x).shape == (3, 10)
    torch.testing.assert_close(network(x), head(network[:12](x).mean((2, 3))))
    assert len(head) == (4 if hidden else 1)


def test_the_larger_head_has_about_as_many_parameters_as_the_gates() -> None:
    gated = cost.parameters(puzzles.reader(lambda channels: SqEx(channels, 4)))
    headed = cost.parameters(puzzles.reader(hidden=32))
    assert headed <= gated
    assert gated - headed < 20


@pytest.fixture(scope="module", params=["train", "test"])
def where_to_paint(request):
    return request.param, puzzles.where_puzzle(300, seed=3, part=request.param)


def test_a_where_puzzle_has_the_promised_shapes_and_range(where_to_paint):
    _, p = where_to_paint
    assert p.x.shape == (300, 2, 20, 28)
    assert p.target.shape == p.other.shape == (300, 1, 20, 28)
    assert torch.equal(p.x[:, :1], p.target + p.other)
    assert (p.target * p.other).max() == 0
    assert (p.x.min(), p.x.max()) == (0, 1)
    assert 110 < p.marked.sum() < 190  # four standard deviations


def test_both_places_hold_the_same_digit_of_the_part(where_to_paint, where):
    part, p = where_to_paint
    for boxes, corners in zip(p.boxes(p.x[:, :1]), p.corners.tolist(), strict=True):
        left, right = boxes[:, 0]
        assert torch.equal(left, right)
        places = where[(left * 16).round().to(torch.uint8).numpy().tobytes()]
        assert any((place >= 1797 - 300) == (part == "test") for place in places)
        assert corners[0][1] + 8 + 3 <= corners[1][1]
    rows = torch.arange(300)
    inside = p.boxes(p.target).flatten(2).sum(2)
    assert inside[rows, p.marked].min() > 0
    assert inside[rows, 1 - p.marked].max() == 0


def test_bars_lie_four_steps_above_and_below_the_marked_digit_and_no_nearer_to_the_other(where_to_paint):
    _, p = where_to_paint
    for x, marked, corners in zip(p.x, p.marked, p.corners, strict=True):
        bars = x[1].nonzero()
        for place in range(2):
            top, left = corners[place].tolist()
            down = torch.stack([top - bars[:, 0], bars[:, 0] - top - 7, torch.zeros(len(bars))]).amax(0)
            across = torch.stack([left - bars[:, 1], bars[:, 1] - left - 7, torch.zeros(len(bars))]).amax(0)
            steps = torch.maximum(down, across)
            assert steps.min() >= 4
            if place == marked:
                assert len(bars) == 16
                assert steps.max() == 4
    tops, lefts = p.corners.unbind(2)
    assert (tops.min(), tops.max()) == (4, 8)  # four pixels to the upper border, and four to the lower one
    assert (lefts.min(), lefts[:, 1].max()) == (2, 18)  # and two on either side


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_seed_repeats_its_where_puzzle_and_the_places_say_nothing_about_the_bars(part):
    state = torch.get_rng_state()
    first, again, another = (puzzles.where_puzzle(600, seed, part) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.x, another.x)
    assert torch.equal(torch.get_rng_state(), state)
    corners = first.corners.flatten(1).double()
    means = [corners[first.marked == side].mean(0) for side in (0, 1)]
    assert (means[0] - means[1]).abs().max() < 4 * (
        2 / 300
    ) ** 0.5 * 1.42  # a place has at most this deviation
    with pytest.raises(ValueError, match='part must be "train" or "test"'):
        puzzles.where_puzzle(2, 0, "tset")


def test_a_picture_is_right_if_it_is_nearer_to_the_marked_digit_than_to_grey(where_to_paint):
    _, p = where_to_paint
    assert p.painted(p.target).all()
    assert not p.painted((p.target + p.other) / 2).any()
    assert not p.painted(p.other).any()
    assert p.painted(0.76 * p.target + 0.24 * p.other).all()
    assert not p.painted(0.74 * p.target + 0.26 * p.other).any()


@pytest.mark.parametrize(
    ("gate", "sees"),
    [
        (nn.Identity, False),
        (lambda c: SqEx(c, 4), False),
        (others.ECA, False),
        (others.EffectiveSE, False),
        (others.SSE, False),
        (others.SCSE, False),
        (others.CBAMSpatial, True),
        (lambda c: others.CBAM(c, 4), True),
        (puzzles.AddedMap, True),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_equal_digits_get_equal_paint_unless_something_sees_the_bars(gate, sees, training):
    torch.manual_seed(0)
    network, p = painter(gate, width=8, inputs=2).double().train(training), puzzles.where_puzzle(16, 0)
    for weight in network.parameters():
        nn.init.normal_(weight)
    left, right = p.boxes(network(p.x.double())).unbind(1)
    assert bool((left - right).abs().max() > 1e-9) is sees


def test_an_added_map_is_what_the_spatial_gate_multiplies_with():
    torch.manual_seed(0)
    added, gate, x = puzzles.AddedMap(8).eval(), others.CBAMSpatial(8).eval(), torch.randn(2, 8, 9, 7)
    assert cost.parameters(added) == cost.parameters(gate)
    added.f[0].load_state_dict(gate.conv.state_dict())
    torch.testing.assert_close(gate(x), x * (added(x) - x).sigmoid())


def test_coordinates_run_from_minus_one_to_one_and_leave_the_maps():
    x = torch.randn(3, 2, 5, 3)
    y = puzzles.Coordinates()(x)
    assert torch.equal(y[:, :2], x)
    assert y[0, 2].tolist() == [[v] * 3 for v in (-1, -0.5, 0, 0.5, 1)]
    assert y[2, 3].tolist() == [[-1, 0, 1]] * 5


@pytest.mark.parametrize(("gate", "sees"), [(nn.Identity, False), (lambda c: SqEx(c, 4), True)])
def test_coordinates_alone_do_not_show_the_bars_and_with_se_they_do(gate, sees):
    torch.manual_seed(0)
    p = puzzles.where_puzzle(16, 0)
    network = nn.Sequential(puzzles.Coordinates(), *painter(gate, width=8, inputs=4)).double().eval()
    for weight in network.parameters():
        nn.init.normal_(weight)
    x = p.x.double()
    without = torch.cat([x[:, :1], torch.zeros_like(x[:, 1:])], dim=1)
    changed = (p.boxes(network(x)) - p.boxes(network(without))).abs().max()
    assert bool(changed > 1e-9) is sees


@pytest.fixture(scope="module")
def scene():
    return puzzles.scenes(300, seed=2)


def test_in_a_scene_about_half_of_the_shapes_are_digits_and_only_theirs_is_ink(scene):
    assert scene.x.shape == scene.ink.shape == (300, 1, 32, 32)
    assert set(scene.ink.unique().tolist()) == {0, 1}
    quarters = scene.ink.view(300, 2, 16, 2, 16).amax((2, 4))
    assert 0.42 < quarters.mean() < 0.58
    digits = torch.from_numpy(load_digits().images[:-300]).float() > 8
    known = {tuple(digit.flatten().tolist()) for digit in digits}
    for n, i, j in (quarters > 0).nonzero().tolist()[:20]:
        quarter = scene.ink[n, 0, 16 * i : 16 * i + 16, 16 * j : 16 * j + 16] > 0
        boxes = quarter.unfold(0, 8, 1).unfold(1, 8, 1).flatten(0, 1)
        assert any(tuple(box.flatten().tolist()) in known for box in boxes)
    for n, i, j in (quarters == 0).nonzero().tolist()[:20]:  # a shape is there, and does not count
        assert scene.x[n, 0, 16 * i : 16 * i + 16, 16 * j : 16 * j + 16].sum() > 3


def test_a_scenes_seed_and_part_are_its_own_and_another_part_is_refused(scene):
    assert torch.equal(puzzles.scenes(300, seed=2).x, scene.x)
    assert not torch.equal(puzzles.scenes(300, seed=3).ink, scene.ink)
    assert not torch.equal(puzzles.scenes(300, seed=2, part="test").ink, scene.ink)
    with pytest.raises(ValueError, match="part"):
        puzzles.scenes(2, 0, part="validation")


def test_overlap_is_what_both_have_over_what_either_has(scene):
    told = scene.ink.clone()
    told[:150] = 0
    told[200:] = 1
    both, either = (told * scene.ink).sum(), ((told + scene.ink) > 0).sum()
    assert scene.overlap(2 * told - 1) == pytest.approx((both / either).item())
    assert scene.overlap(2 * scene.ink - 1) == 1


def test_a_small_u_net_has_gates_where_they_are_asked_for_and_nowhere_else(scene):
    def gates_of(places):
        seen = []

        class Counted(nn.Module):
            def __init__(self, channels):
                super().__init__()
                self.channels = channels

            def forward(self, x):
                assert x.shape[1] == self.channels
                seen.append((self.channels, x.shape[-1]))
                return x

        output = puzzles.UNet(Counted, places)(scene.x[:2])
        assert output.shape == (2, 1, 32, 32)
        return seen

    assert gates_of(()) == []
    assert gates_of(["encoder"]) == [(8, 32), (16, 16), (32, 8)]
    assert gates_of(["decoder"]) == [(16, 16), (8, 32)]
    assert gates_of(["skips"]) == [(16, 16), (8, 32)]
    assert gates_of(["encoder", "decoder"]) == [(8, 32), (16, 16), (32, 8), (16, 16), (8, 32)]
    with pytest.raises(ValueError, match="bottom"):
        puzzles.UNet(SqEx, ["bottom"])


def test_a_gate_on_a_skip_connection_leaves_the_way_down_alone_and_one_in_the_encoder_does_not(scene):
    class Closed(nn.Module):
        def __init__(self, channels):
            super().__init__()

        def forward(self, x):
            return 0 * x

    torch.manual_seed(0)
    down = {}
    for places in ((), ("skips",), ("encoder",), ("decoder",)):
        torch.manual_seed(0)
        network = puzzles.UNet(Closed, places)
        inputs = []
        network.down[1].register_forward_hook(lambda _m, given, _o, inputs=inputs: inputs.append(given[0]))
        output = network(scene.x[:2])
        down[places] = inputs[0]
        assert (output == network.paint.bias).all() == (places in (("encoder",), ("decoder",)))
    assert torch.equal(down["skips",], down[()])
    assert torch.equal(down["decoder",], down[()])
    assert not down["encoder",].any()
    assert down[()].any()


def test_the_layers_come_in_the_order_that_is_told_and_keep_the_size_of_the_maps():
    network = painter(ConstantGate, dilations=(4, 4, 8))
    layer = [nn.Conv2d, nn.BatchNorm2d, nn.ReLU, ConstantGate]
    assert [type(part) for part in network] == [*layer, *layer, *layer, nn.Conv2d]
    assert network(torch.zeros(2, 3, 20, 23)).shape == (2, 1, 20, 23)
    head = [type(part) for part in puzzles.reader(hidden=32)][-4:]
    assert head == [nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Linear]
