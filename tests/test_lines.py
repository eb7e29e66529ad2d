"""Lines of text: their size, their look, and what stays the same when one thing is changed."""

import colorsys
import re
from dataclasses import fields, replace
from random import Random

import pytest
import torch

from seblock import lines
from seblock.lines import Line


def test_a_line_is_48_high_and_as_wide_as_its_text_up_to_192() -> None:
    short, longer, longest = (lines.draw(Line(text)) for text in ("up", "bread", "bread and butter, please"))
    assert short.shape[:2] == longer.shape[:2] == longest.shape[:2] == (3, 48)
    assert short.shape[2] < longer.shape[2] < longest.shape[2] == 192


@pytest.mark.parametrize("brightness", [0.5, 0.6, 0.4])
@pytest.mark.parametrize("contrast", [0.8, 0.4, 0.05])
def test_contrast_is_the_difference_of_ink_and_paper_around_the_brightness(
    contrast: float, brightness: float
) -> None:
    image = lines.draw(Line("bread", contrast=contrast, brightness=brightness))
    assert float(image.max() - image.min()) == pytest.approx(contrast, abs=0.02)
    assert float(image.max() + image.min()) / 2 == pytest.approx(brightness, abs=0.01)
    assert torch.equal(image[0], image[1])  # grey
    assert image[:, 0, 0].allclose(image.max())  # dark on light


def test_light_on_dark_exchanges_ink_and_paper_and_colour_keeps_the_shape() -> None:
    dark = lines.draw(Line("bread", contrast=0.6))
    light = lines.draw(Line("bread", contrast=0.6, light_on_dark=True))
    torch.testing.assert_close(dark + light, torch.ones_like(dark), atol=1 / 255, rtol=0)
    coloured = lines.draw(Line("bread", contrast=0.6, colour=3))
    assert coloured.shape == dark.shape
    assert (coloured[0] - coloured[2]).abs().max() > 0.1
    paper = coloured[:, 0, 0]
    assert float(paper.max() + paper.min()) / 2 == pytest.approx(float(dark[0, 0, 0]), abs=0.01)


def test_blur_keeps_the_ink_and_softens_its_edges() -> None:
    sharp, soft = lines.draw(Line("bread", margin=0.4)), lines.draw(Line("bread", margin=0.4, blur=1.5))
    assert float(soft.mean() - sharp.mean()) == pytest.approx(0, abs=2e-3)
    assert float(soft[0].diff(dim=1).abs().max()) < 0.6 * float(sharp[0].diff(dim=1).abs().max())


def test_noise_has_its_spread_and_its_seed() -> None:
    plain, noisy = (lines.draw(Line("bread", contrast=0.4, noise=n)) for n in (0, 0.05))
    assert float((noisy - plain).std()) == pytest.approx(0.05, rel=0.05)
    assert torch.equal(noisy, lines.draw(Line("bread", contrast=0.4, noise=0.05)))
    assert not torch.equal(noisy, lines.draw(Line("bread", contrast=0.4, noise=0.05, noise_seed=1)))


def test_every_font_draws_letters_of_its_own() -> None:
    seen = [
        lines.draw(Line("Rag", family=family, bold=bold, italic=italic))
        for family in lines.FONTS
        for bold in (False, True)
        for italic in (False, True)
    ]
    assert len(seen) == 16
    assert len({image.numpy().tobytes() for image in seen}) == 16


@pytest.mark.parametrize("text", ["", "   "])
def test_a_line_without_a_letter_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        lines.draw(Line(text))


def test_a_line_turned_twice_is_itself_and_noon_hardly_changes() -> None:
    image = lines.draw(Line("NOON"))
    assert torch.equal(lines.turn(lines.turn(image)), image)
    assert float((lines.turn(image) - image).abs().mean()) < 0.1
    up = lines.draw(Line("bread"))
    assert torch.equal(lines.turn(up)[:, 0, 0], up[:, -1, -1])
    assert float((lines.turn(up) - up).abs().mean()) > 0.2
    image = torch.arange(24.0).view(2, 3, 4)
    assert torch.equal(lines.turn(image)[0], torch.arange(11.0, -1, -1).view(3, 4))


def test_random_lines_are_the_same_for_a_seed_and_keep_what_is_fixed() -> None:
    made = lines.random_lines(50, seed=3, contrast=0.1, colour=0)
    assert made == lines.random_lines(50, seed=3, contrast=0.1, colour=0)
    assert made != lines.random_lines(50, seed=4, contrast=0.1, colour=0)
    assert {(line.contrast, line.colour) for line in made} == {(0.1, 0)}
    # what is fixed changes nothing else
    free = lines.random_lines(50, seed=3)
    assert [replace(line, contrast=0.1, colour=0) for line in free] == made
    assert len({line.contrast for line in free}) == 50
    assert {len(line.text.split()) for line in free} == {1, 2, 3, 4}
    assert {len(line.text.split()) for line in lines.random_lines(20, 0, words=2)} == {2}
    assert all(line.text.islower() for line in lines.random_lines(20, 0, kind="lower"))
    assert {line.text[0].isdigit() for line in free} == {True, False}


def test_each_variant_differs_from_the_plain_line() -> None:
    (line,) = lines.random_lines(1, seed=0, words=1, kind="lower", **lines.PLAIN)
    images = lines.variants(line)
    plain = images.pop("as it is")
    assert torch.equal(plain, lines.draw(line))
    assert len(images) == 9
    for image in images.values():
        assert image.shape != plain.shape or not torch.equal(image, plain)
    assert float(images["half the contrast"].max() - images["half the contrast"].min()) < 0.35
    assert torch.equal(images["turned"], lines.turn(plain))


def test_both_ways_puts_all_upright_lines_first() -> None:
    made = lines.random_lines(3, seed=0)
    images = lines.both_ways(made)
    assert len(images) == 6
    for n, line in enumerate(made):
        assert torch.equal(images[n], lines.draw(line))
        assert torch.equal(images[n + 3], lines.turn(images[n]))


def test_a_stretched_line_goes_from_a_fifth_to_four_fifths_and_keeps_its_order() -> None:
    pale = lines.draw(Line("bread and butter", contrast=0.08, light_on_dark=True))
    image = lines.stretch(pale)
    assert image.shape == pale.shape
    assert (float(image.min()), float(image.max())) == pytest.approx((0.2, 0.8))
    torch.testing.assert_close(image - 0.2, (pale - pale.min()) * 0.6 / (pale.max() - pale.min()))
    torch.testing.assert_close(lines.stretch(image), image)
    with pytest.raises(ValueError, match="nothing to stretch"):
        lines.stretch(torch.full((3, 48, 9), 0.5))


def test_bold_letters_have_more_ink_and_slanted_ones_as_much() -> None:
    for family in lines.FONTS:
        ink = {
            (bold, italic): 1 - float(lines.draw(Line("Hill", family, bold, italic, contrast=1)).mean())
            for bold in (False, True)
            for italic in (False, True)
        }
        assert ink[True, False] > 1.15 * ink[False, False]
        assert ink[True, True] > 1.15 * ink[False, True]


def test_the_hue_is_the_ink_s_and_the_paper_has_another() -> None:
    paper, ink = lines.colours(Line("bread", contrast=0.4, colour=0.6, hue=0.1))
    hues = [colorsys.rgb_to_hls(*colour)[0] for colour in (ink, paper)]
    assert hues == pytest.approx([0.1, 0.47])


def test_the_margin_is_in_heights_of_the_text_not_of_the_font() -> None:
    image = lines.draw(Line("aceo", contrast=1, margin=0.4, size=60))
    empty = (image[0] == image.max()).all(dim=1).tolist()
    assert empty.index(False) == pytest.approx(48 * 0.4 / 1.8, abs=1)
    assert empty[::-1].index(False) == pytest.approx(48 * 0.4 / 1.8, abs=1)


def test_a_blur_is_a_gaussian_over_rows_and_columns_and_leaves_what_is_even() -> None:
    spot = torch.zeros(1, 1, 15, 17)
    spot[0, 0, 7, 8] = 1
    soft = lines._blur(spot, 1.5)[0, 0]
    step = torch.arange(15.0) - 7
    bell = torch.exp(-(step**2) / (2 * 1.5**2))
    torch.testing.assert_close(soft[:, 1:-1], torch.outer(bell, bell) / bell.sum() ** 2, atol=1e-3, rtol=0)
    even = torch.full((1, 1, 6, 7), 0.8)
    torch.testing.assert_close(lines._blur(even, 1.5), even)


def test_each_kind_of_text_is_written_as_its_name_says() -> None:
    texts = {kind: [lines.random_text(Random(n), 2, kind) for n in range(60)] for kind in lines.KINDS}
    assert all(text.islower() for text in texts["lower"])
    assert all(text.istitle() for text in texts["title"])
    assert all(text.isupper() for text in texts["upper"])
    figures = [word for text in texts["figures"] for word in text.split()]
    found = [re.fullmatch(r"(\d{2,4})|(\d{1,3}\.\d\d)|((?:1?\d|2[0-3]):[0-5]\d)", word) for word in figures]
    assert {each.lastindex for each in found if each} == {1, 2, 3}
    assert all(found)


def test_a_change_is_one_thing_that_is_changed() -> None:
    line = Line("up", **lines.PLAIN)
    changed = {
        name: {
            f.name: getattr(other, f.name)
            for f in fields(Line)
            if getattr(other, f.name) != getattr(line, f.name)
        }
        for name, other in lines.changes(line).items()
    }
    assert changed == {
        "as it is": {},
        "half the contrast": {"contrast": 0.3},
        "blurred": {"blur": 1.5},
        "light on dark": {"light_on_dark": True},
        "coloured": {"colour": 3},
        "bold": {"bold": True},
        "italic": {"italic": True},
        "CAPITALS": {"text": "UP"},
        "twice the text": {"text": "up up"},
    }
