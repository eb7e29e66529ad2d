"""The photos and the named filters have the properties that the notebooks' text relies on."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image

from seblock import photos
from seblock.functional import excite, squeeze
from seblock.photos import BLUE, BRIGHT, CHANNELS, GREEN, HORIZONTAL, RED, VERTICAL


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def plain_colour(red, green, blue):
    return torch.tensor([red, green, blue])[None, :, None, None].expand(1, 3, 5, 4).contiguous()


def test_the_photos_are_two_images_with_values_from_zero_to_one():
    x = photos.load()
    assert x.shape == (2, 3, 160, 240)
    assert x.dtype == torch.float32
    assert 0 <= x.min() < 0.05
    assert 0.95 < x.max() <= 1
    assert torch.equal(x, photos.load())


def test_the_photos_are_the_temple_and_the_flower_the_right_way_up_and_red_green_blue():
    for photo, file in zip(photos.load(), ("china.jpg", "flower.jpg"), strict=True):
        original = torch.from_numpy(load_sample_image(file).copy()).permute(2, 0, 1) / 255
        coarse, expected = (F.adaptive_avg_pool2d(image, (8, 12)) for image in (photo, original))
        torch.testing.assert_close(coarse, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize(("size", "rows", "columns"), [(32, 5, 8), (80, 2, 3), (50, 4, 5), (160, 1, 2)])
def test_the_crops_cover_both_photos_row_by_row(size, rows, columns):
    x, crops = photos.load(), photos.crops(size)
    assert crops.shape == (2 * rows * columns, 3, size, size)
    assert torch.equal(crops[0], x[0, :, :size, :size])
    assert torch.equal(crops[columns - 1], x[0, :, :size, -size:])
    assert torch.equal(crops[rows * columns - 1], x[0, :, -size:, -size:])
    assert torch.equal(crops[rows * columns], x[1, :, :size, :size])
    assert torch.equal(crops[-1], x[1, :, -size:, -size:])
    if columns > 2:
        second = [j for j in range(241 - size) if torch.equal(crops[1], x[0, :, :size, j : j + size])]
        assert len(second) == 1
        assert abs(second[0] - (240 - size) / (columns - 1)) <= 0.5


@pytest.mark.parametrize("size", [0, -1, 161])
def test_crops_larger_than_a_photo_are_refused(size):
    with pytest.raises(ValueError, match="between 1 and 160"):
        photos.crops(size)


def test_each_channel_has_a_name_and_each_name_a_place():
    assert CHANNELS[BRIGHT] == "bright"
    assert CHANNELS[HORIZONTAL] == "horizontal edges"
    assert CHANNELS[VERTICAL] == "vertical edges"
    assert CHANNELS[RED] == "red"
    assert CHANNELS[GREEN] == "green"
    assert CHANNELS[BLUE] == "blue"
    assert photos.named_filters().shape == (len(CHANNELS), 3, 3, 3)


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
    u = photos.responses(plain_colour(*colour))
    for channel, value in {**expected, HORIZONTAL: 0, VERTICAL: 0}.items():
        torch.testing.assert_close(u[0, channel], torch.full((5, 4), float(value)), rtol=0, atol=1e-5)


def test_the_level_filter_is_positive_where_it_is_dark_above_and_light_below():
    x = torch.zeros(1, 3, 6, 5)
    x[:, :, 3:] = 1
    at_rows = torch.tensor([0.0, 0, 4, 4, 0, 0])[:, None].expand(6, 5)
    for image, sign in ((x, 1), (x.flip(2), -1)):
        u = photos.responses(image)[0]
        torch.testing.assert_close(u[HORIZONTAL], sign * at_rows, rtol=0, atol=1e-5)
        torch.testing.assert_close(u[VERTICAL], torch.zeros(6, 5), rtol=0, atol=1e-5)
    assert photos.features(x.flip(2))[0, HORIZONTAL].abs().max() < 1e-5


def test_the_upright_filter_is_positive_where_it_is_dark_left_and_light_right():
    x = torch.zeros(1, 3, 5, 6)
    x[:, :, :, 3:] = 1
    at_columns = torch.tensor([0.0, 0, 4, 4, 0, 0]).expand(5, 6)
    for image, sign in ((x, 1), (x.flip(3), -1)):
        u = photos.responses(image)[0]
        torch.testing.assert_close(u[VERTICAL], sign * at_columns, rtol=0, atol=1e-5)
        torch.testing.assert_close(u[HORIZONTAL], torch.zeros(5, 6), rtol=0, atol=1e-5)


def test_the_colour_and_brightness_filters_average_over_nine_positions():
    x = torch.zeros(1, 3, 5, 5)
    x[0, 0, 2, 2] = 9
    u = photos.responses(x)[0]
    around = F.pad(torch.ones(3, 3), (1, 1, 1, 1))
    for channel, value in ((BRIGHT, 1 / 3), (RED, 2), (GREEN, -1), (BLUE, -1)):
        torch.testing.assert_close(u[channel], value * around)


@pytest.mark.parametrize("filters", [None, (4, 3, 3, 3)], ids=["named", "own"])
def test_responses_slide_the_filters_over_the_image_with_its_border_repeated(filters):
    x = torch.rand(2, 3, 5, 7)
    own = () if filters is None else (torch.randn(filters),)
    v = own[0] if own else photos.named_filters()
    padded = torch.from_numpy(np.pad(x.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], mode="edge"))
    expected = torch.einsum("nsijab,csab->ncij", padded.unfold(2, 3, 1).unfold(3, 3, 1), v)
    torch.testing.assert_close(photos.responses(x, *own), expected, rtol=1e-4, atol=1e-5)
    assert (expected < 0).any()  # or nothing would be cut off below
    torch.testing.assert_close(photos.features(x, *own), expected.clamp(min=0), rtol=1e-4, atol=1e-5)


def test_the_tint_moves_light_from_red_to_blue_and_back():
    x = torch.rand(2, 3, 5, 7)
    for t in (0.3, -0.3, 0.0):
        expected = torch.stack([x[:, 0] * (1 - t), x[:, 1], x[:, 2] * (1 + t)], dim=1)
        torch.testing.assert_close(photos.tint(x, t), expected.clamp(max=1))
    assert torch.equal(photos.tint(x, 0), x)
    white = photos.tint(plain_colour(1.0, 1.0, 1.0), 0.25)
    assert white[0, :, 0, 0].tolist() == [0.75, 1, 1]


@pytest.mark.parametrize("difference", [0.05, 0.2])
def test_the_hand_set_gate_closes_red_where_there_is_more_blue_and_blue_where_there_is_more_red(difference):
    z = torch.full((3, 6), 0.4)
    z[0, BLUE] += difference
    z[1, RED] += difference
    s = excite(z, *photos.hand_set_gate())
    closed = 1 / (1 + math.exp(4 * 20 * difference))
    expected = torch.full((3, 6), 0.5)
    expected[0, RED] = expected[1, BLUE] = closed
    assert closed < 0.02
    torch.testing.assert_close(s, expected, rtol=1e-4, atol=1e-7)


def test_the_hand_set_gate_does_not_look_at_the_other_channels():
    z = torch.rand(5, 6)
    moved = z.clone()
    moved[:, [BRIGHT, HORIZONTAL, VERTICAL, GREEN]] += torch.rand(5, 4)
    assert torch.equal(excite(z, *photos.hand_set_gate()), excite(moved, *photos.hand_set_gate()))


def test_the_hand_set_gate_turns_with_the_tint_of_the_photos():
    for t, closed, open_ in ((0.6, RED, BLUE), (-0.6, BLUE, RED)):
        s = excite(squeeze(photos.features(photos.tint(photos.load(), t))), *photos.hand_set_gate())
        assert (s[:, closed] < s[:, open_]).all()
        assert (s[:, open_] == 0.5).all()
