"""The film that moves on the web page, as far as Python goes; integration/browser/test_site.py plays it."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch

from seblock import trained
from seblock.plots import one_dimmer

TICKS = ["first", "second"]
FRAMES = {
    1: torch.tensor([[[0.04, 0.03], [0.02, 0.01]]]),
    2: torch.tensor([[[0.01, 0.01], [0.05, 0.02]]]),
    3: torch.tensor([[[0.03, 0.02], [0.001, 0.001]]]),
}
FILM = one_dimmer.moving_film(FRAMES, TICKS, {"dark": 1, "light": 3})
"""One network, two blocks, three epochs."""


def bars(kind: str) -> list[ET.Element]:
    return [e for e in ET.fromstring(FILM).iter("rect") if kind in e.get("class", "").split()]


def test_each_bar_goes_through_its_heights_and_rests_at_the_last() -> None:
    for part, kind in enumerate(("all", "first")):
        found = [bar for bar in bars(kind) if "bar" in bar.get("class", "")]
        for block, bar in enumerate(found):
            rest = re.fullmatch(r"transform:scaleY\((.*)\);animation-name:(.*)", bar.get("style", ""))
            assert rest
            steps = re.search(rf"@keyframes {rest[2]}{{(.*?)}}}}", FILM)
            assert steps
            heights = [float(x) for x in re.findall(r"scaleY\((.*?)\)", steps[1])]
            expected = [float(of[0, block, part]) / 0.05 for of in FRAMES.values()]
            assert heights == pytest.approx([*expected, expected[-1]], abs=1e-3)
            assert float(rest[1]) == pytest.approx(expected[-1], abs=1e-3)
            assert re.findall(r"([\d.]+)%", steps[1]) == ["0.0", "42.5", "85.0", "100"]
        assert len(found) == 2


def test_nothing_moves_before_the_reader_wants_it_and_for_whom_it_is_too_much() -> None:
    assert re.search(r"\.film \.moves\{animation:[^}]* paused\}", FILM)
    assert ".film input:checked~svg .moves{animation-play-state:running}" in FILM
    less = FILM.partition("@media (prefers-reduced-motion:reduce){")[2]
    assert less.startswith(".film .moves{animation:none!important}")  # against the name in the bar itself
    film = ET.fromstring(FILM)
    (switch,) = film.iter("input")
    (label,) = film.iter("label")
    assert "checked" not in switch.keys()
    assert label.get("for") == switch.get("id")
    assert label.text


def test_it_says_what_happens_and_its_numbers_are_those_of_the_frames() -> None:
    (svg,) = ET.fromstring(FILM).iter("svg")
    assert svg.get("role") == "img"
    words = svg.get("aria-label") or ""
    assert "starts at 0.03, is lowest in epoch 3, 0.015, and ends at 0.015" in words
    assert "0 of 2 after the first epoch, 1 after the last" in words


def test_markdown_takes_all_of_it_as_html() -> None:
    assert FILM.startswith("<div")
    assert "\n\n" not in FILM.strip() + "\n"


def test_the_film_of_the_fleet_is_small() -> None:
    frames = {epoch: trained.spreads(epoch) for epoch in range(1, 25)}
    ticks = [f"{stage}.{block}" for stage in (1, 2, 3) for block in (1, 2, 3)]
    film = one_dimmer.moving_film(frames, ticks, {"small": 8, "larger": 24})
    assert len(film) < 60_000
    assert film.count("@keyframes") == 3 * 9 * 2 + 1


def test_notebook_12_has_one_place_for_it_right_after_the_strip() -> None:
    path = Path(__file__).parents[1] / "notebooks" / "12_one_dimmer.ipynb"
    cells = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    (place,) = (number for number, source in enumerate(cells) if "<!-- film -->" in source)
    assert cells[place].startswith("<!-- film -->\n\n")  # an empty line, or the text would be HTML too
    assert "plots.film(" in cells[place - 1]
