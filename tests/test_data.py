"""What the notebooks look at has the properties that their text relies on."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits, load_sample_image

from seblock import data
from seblock.data import BLUE, BRIGHT, CHANNELS, GREEN, LEVEL, RED, UPRIGHT
from seblock.functional import excite, squeeze


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def plain_colour(red, green, blue):
    return torch.tensor([red, green, blue])[None, :, None, None].expand(1, 3, 5, 4).contiguous()


def test_the_photos_are_two_images_with_values_from_zero_to_one():
    x = data.photos()
    assert x.shape == (2, 3, 160, 240)
    assert x.dtype == torch.float32
    assert 0 <= x.min() < 0.05
    assert 0.95 < x.max() <= 1
    assert torch.equal(x, data.photos())


def test_the_photos_are_the_temple_and_the_flower_the_right_way_up_and_red_green_blue():
    for photo, file in zip(data.photos(), ("china.jpg", "flower.jpg"), strict=True):
        original = torch.from_numpy(load_sample_image(file).copy()).permute(2, 0, 1) / 255
        coarse, expected = (F.adaptive_avg_pool2d(image, (8, 12)) for image in (photo, original))
        torch.testing.assert_close(coarse, expected, rtol=0, atol=0.01)


def test_each_channel_has_a_name_and_each_name_a_place():
    assert CHANNELS[BRIGHT] == "bright"
    assert CHANNELS[LEVEL] == "level edges"
    assert CHANNELS[UPRIGHT] == "upright edges"
    assert CHANNELS[RED] == "red"
    assert CHANNELS[GREEN] == "green"
    assert CHANNELS[BLUE] == "blue"
    assert data.named_filters().shape == (len(CHANNELS), 3, 3, 3)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((1.0, 0.0, 0.0), {RED: 2, GREEN: -1, BLUE: -1, BRIGHT: 1 / 3}),
        ((0.0, 1.0, 0.0), {RED: -1, GREEN: 2, BLUE: -1, BRIGHT: 1 / 3}),
        ((0.0, 0.0, 1.0), {RED: -1, GREEN: -1, BLUE: 2, BRIGHT: 1 / 3}),
        ((1.0, 1.0, 1.0), {RED: 0, GREEN: 0, BLUE: 0, BRIGHT: 1}),
        ((0.4, 0.4, 0.4), {RED: 0, GREEN: 0, BLUE: 0, BRIGHT: 0.4}),
        ((0.0, 0.0, 0.0), {RED: 0, GREEN: 0, BLUE: 0, BRIGHT: 0}),
    ],
    ids=["red", "green", "blue", "white", "grey", "black"],
)
def test_a_colour_filter_finds_its_colour_and_nothing_in_grey(colour, expected):
    u = data.responses(plain_colour(*colour))
    for channel, value in {**expected, LEVEL: 0, UPRIGHT: 0}.items():
        torch.testing.assert_close(u[0, channel], torch.full((5, 4), float(value)), rtol=0, atol=1e-5)


def test_the_level_filter_is_positive_where_it_is_dark_above_and_light_below():
    x = torch.zeros(1, 3, 6, 5)
    x[:, :, 3:] = 1
    at_rows = torch.tensor([0.0, 0, 4, 4, 0, 0])[:, None].expand(6, 5)
    for image, sign in ((x, 1), (x.flip(2), -1)):
        u = data.responses(image)[0]
        torch.testing.assert_close(u[LEVEL], sign * at_rows, rtol=0, atol=1e-5)
        torch.testing.assert_close(u[UPRIGHT], torch.zeros(6, 5), rtol=0, atol=1e-5)
    assert data.features(x.flip(2))[0, LEVEL].abs().max() < 1e-5


def test_the_upright_filter_is_positive_where_it_is_dark_left_and_light_right():
    x = torch.zeros(1, 3, 5, 6)
    x[:, :, :, 3:] = 1
    at_columns = torch.tensor([0.0, 0, 4, 4, 0, 0]).expand(5, 6)
    for image, sign in ((x, 1), (x.flip(3), -1)):
        u = data.responses(image)[0]
        torch.testing.assert_close(u[UPRIGHT], sign * at_columns, rtol=0, atol=1e-5)
        torch.testing.assert_close(u[LEVEL], torch.zeros(5, 6), rtol=0, atol=1e-5)


def test_the_colour_and_brightness_filters_average_over_nine_positions():
    x = torch.zeros(1, 3, 5, 5)
    x[0, 0, 2, 2] = 9
    u = data.responses(x)[0]
    around = F.pad(torch.ones(3, 3), (1, 1, 1, 1))
    for channel, value in ((BRIGHT, 1 / 3), (RED, 2), (GREEN, -1), (BLUE, -1)):
        torch.testing.assert_close(u[channel], value * around)


@pytest.mark.parametrize("filters", [None, (4, 3, 3, 3)], ids=["named", "own"])
def test_responses_slide_the_filters_over_the_image_with_its_border_repeated(filters):
    x = torch.rand(2, 3, 5, 7)
    own = () if filters is None else (torch.randn(filters),)
    v = own[0] if own else data.named_filters()
    padded = torch.from_numpy(np.pad(x.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], mode="edge"))
    expected = torch.einsum("nsijab,csab->ncij", padded.unfold(2, 3, 1).unfold(3, 3, 1), v)
    torch.testing.assert_close(data.responses(x, *own), expected, rtol=1e-4, atol=1e-5)
    assert (expected < 0).any()  # or nothing would be cut off below
    torch.testing.assert_close(data.features(x, *own), expected.clamp(min=0), rtol=1e-4, atol=1e-5)


def test_the_tint_moves_light_from_red_to_blue_and_back():
    x = torch.rand(2, 3, 5, 7)
    for t in (0.3, -0.3, 0.0):
        expected = torch.stack([x[:, 0] * (1 - t), x[:, 1], x[:, 2] * (1 + t)], dim=1)
        torch.testing.assert_close(data.tint(x, t), expected.clamp(max=1))
    assert torch.equal(data.tint(x, 0), x)
    white = data.tint(plain_colour(1.0, 1.0, 1.0), 0.25)
    assert white[0, :, 0, 0].tolist() == [0.75, 1, 1]


@pytest.mark.parametrize("difference", [0.05, 0.2])
def test_the_hand_set_gate_closes_red_where_there_is_more_blue_and_blue_where_there_is_more_red(difference):
    z = torch.full((3, 6), 0.4)
    z[0, BLUE] += difference
    z[1, RED] += difference
    s = excite(z, *data.hand_set_gate())
    closed = 1 / (1 + math.exp(4 * 20 * difference))
    expected = torch.full((3, 6), 0.5)
    expected[0, RED] = expected[1, BLUE] = closed
    assert closed < 0.02
    torch.testing.assert_close(s, expected, rtol=1e-4, atol=1e-7)


def test_the_hand_set_gate_does_not_look_at_the_other_channels():
    z = torch.rand(5, 6)
    moved = z.clone()
    moved[:, [BRIGHT, LEVEL, UPRIGHT, GREEN]] += torch.rand(5, 4)
    assert torch.equal(excite(z, *data.hand_set_gate()), excite(moved, *data.hand_set_gate()))


def test_the_hand_set_gate_turns_with_the_tint_of_the_photos():
    for t, closed, open_ in ((0.6, RED, BLUE), (-0.6, BLUE, RED)):
        s = excite(squeeze(data.features(data.tint(data.photos(), t))), *data.hand_set_gate())
        assert (s[:, closed] < s[:, open_]).all()
        assert (s[:, open_] == 0.5).all()


@pytest.fixture(scope="module", params=["train", "test"])
def puzzle(request):
    return request.param, data.painting_puzzle(400, seed=3, part=request.param)


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
    first, again, another = (data.painting_puzzle(20, seed, part) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.x, another.x)
    assert not torch.equal(first.cue, another.cue)
    assert torch.equal(torch.get_rng_state(), state)  # the notebook's own random numbers stay as they are


def test_the_two_parts_differ_for_the_same_seed_and_train_is_the_default():
    train, test = data.painting_puzzle(20, 5), data.painting_puzzle(20, 5, "test")
    assert torch.equal(train.x, data.painting_puzzle(20, 5, "train").x)
    assert not torch.equal(train.x, test.x)


def test_the_target_is_the_digit_in_the_channel_that_the_cue_names(puzzle):
    _, p = puzzle
    for x, target, other, cue in zip(*p[:3], p.cue.tolist(), strict=True):
        assert torch.equal(target[0], x[cue])
        assert torch.equal(other[0], x[1 - cue])
        assert not torch.equal(target, other)


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


def test_a_misspelt_part_of_the_digits_is_refused() -> None:
    with pytest.raises(ValueError, match="tset"):
        data.painting_puzzle(2, seed=0, part="tset")
