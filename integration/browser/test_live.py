"""The live figures in Chromium, on a web page and in JupyterLab: do they show what the package computes?"""

import base64
import html
import io
import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from torch import Tensor

from integration.browser import lab, pages, scanned, told
from integration.browser.watching import WHOLE, Watched, watched
from seblock import blocks, cost, live, photos, trained
from seblock.functional import excite, rescale, squeeze
from seblock.live import figures
from seblock.plots import png
from seblock.puzzles import painter

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live figures</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="live/live.css"><script defer src="live/page.js"></script></head>
<body><main style="max-width: 60rem"><h1>Live figures</h1>{}</main></body></html>"""
PHONE, PROJECTOR = {"width": 375, "height": 812}, {"width": 1280, "height": 720}
expect.set_options(timeout=30_000)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page that has every live figure, laid out as the site's."""
    folder = tmp_path_factory.mktemp("a site")
    live.write(folder / "live")
    body = ""
    for name, (_, draw) in live.FIGURES.items():
        figure, alt = draw()
        (folder / f"{name}.png").write_bytes(png(figure))
        body += f'<h2 id="{name}">{name}</h2>'
        body += (
            f'<img alt="{html.escape(alt)}" class="{live.classes(name, {})}" src="{name}.png" width="700">'
        )
    (folder / "index.html").write_text(PAGE.format(body), encoding="utf-8")
    brief = [live.classes(name, {"gates": False}) for name in ("block", "painter")]
    images = [f'<p><img alt="a picture" class="{each}" src="block.png" width="700"></p>' for each in brief]
    (folder / "brief.html").write_text(PAGE.format("".join(images)), encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def home(site: Path) -> Iterator[str]:
    """Where that page is served."""
    with pages.served(site) as address:
        yield address


def opened(browser: Browser, home: str, **options: Any) -> Iterator[Watched]:
    """The page, every figure on it alive."""
    context = browser.new_context(**({"viewport": PROJECTOR} | options))
    seen = watched(context, home)
    seen.page.goto(f"http://{home}/index.html")
    for name in live.FIGURES:
        seen.page.locator(f"#{name}").scroll_into_view_if_needed()
        figure_of(seen.page, name).locator(".live-status").wait_for()
    yield seen
    context.close()


@pytest.fixture(scope="module")
def opened_once(chromium: Browser, home: str) -> Iterator[Watched]:
    """The page, open for all tests."""
    yield from opened(chromium, home)


@pytest.fixture
def seen(opened_once: Watched) -> Watched:
    """The page, each figure as it was in the beginning."""
    opened_once.page.emulate_media(media="screen")
    opened_once.page.set_viewport_size(PROJECTOR)
    for button in opened_once.page.get_by_role("button", name="Reset").all():
        button.click()
    return opened_once


def figure_of(page: Page, name: str) -> Locator:
    """One of the figures."""
    return page.locator(f".live-{name}")


def said(figure: Locator) -> str:
    """Its sentence, once nothing moves any more."""
    expect(figure).not_to_have_attribute("aria-busy", "true")
    return figure.locator(".live-status").inner_text()


# ---- the module's numbers ---------------------------------------------------------------------------------


def test_numbers_are_pytorchs(seen: Watched) -> None:
    draw = torch.Generator().manual_seed(0)
    for case in range(6):
        h, w = 20 + case, 31 - case
        photo = torch.rand(1, 3, h, w, generator=draw)
        v = torch.randn(6, 3, 3, 3, generator=draw)
        w1, b1 = torch.randn(2, 6, generator=draw), torch.randn(2, generator=draw)
        w2, b2 = torch.randn(6, 2, generator=draw), torch.randn(6, generator=draw)
        t = float(torch.rand((), generator=draw)) * 0.6 - 0.3
        patch = {"left": 3 + case, "top": 2 * case, "height": 5, "width": 7}
        got = seen.page.evaluate(
            """({photo, v, w1, b1, w2, b2, h, w, t, patch}) => {
                const [p, f, a, c, b, d] = [photo, v, w1, b1, w2, b2].map((all) => Float32Array.from(all));
                const order = seblock.shuffled(h * w);
                const x = seblock.changed(p, h, w, t, patch, order);
                const { u, z } = seblock.features(x, f, h, w), s = seblock.excite(z, a, b, c, d);
                const zeros = seblock.convolve(p, f, h, w);
                return [order, x, u, z, s, seblock.rescale(u, s), zeros].map((all) => [...all]);
            }""",
            {
                **{"photo": photo.flatten().tolist(), "v": v.flatten().tolist(), "h": h, "w": w},
                **{"w1": w1.flatten().tolist(), "w2": w2.flatten().tolist(), "t": t, "patch": patch},
                **{"b1": b1.tolist(), "b2": b2.tolist()},
            },
        )
        order = torch.tensor(got[0])
        assert torch.equal(order.sort().values, torch.arange(h * w))
        x = photos.tint(photo, t)
        x[:, :, patch["top"] : patch["top"] + 5, patch["left"] : patch["left"] + 7] = 0
        x[:, 2, patch["top"] : patch["top"] + 5, patch["left"] : patch["left"] + 7] = 1
        x = x.flatten(2)[:, :, order].view_as(x)
        u = photos.features(x, v)
        z = squeeze(u)
        s = excite(z, w1, w2, b1, b2)
        zeros = torch.conv2d(photo, v, padding=1)
        for mine, theirs in zip((x, u, z, s, rescale(u, s), zeros), got[1:]):
            torch.testing.assert_close(torch.tensor(theirs), mine.flatten(), atol=1e-5, rtol=1e-5)


def test_terms_are_the_package_s(seen: Watched) -> None:
    draw = torch.Generator().manual_seed(1)
    x, v = torch.rand(1, 3, 9, 11, generator=draw), torch.randn(4, 3, 3, 3, generator=draw)
    u = photos.responses(x, v)[0]
    for c, i, j in [(0, 0, 0), (1, 8, 10), (2, 4, 5), (3, 0, 7)]:
        given = {"x": x.flatten().tolist(), "v": v[c].flatten().tolist(), "i": i, "j": j}
        found = seen.page.evaluate("({x, v, i, j}) => seblock.products(x, v, 9, 11, i, j)", given)
        assert len(found) == 27
        assert sum(each["product"] for each in found) == pytest.approx(float(u[c, i, j]), abs=1e-5)


def test_costs_are_the_package_s(seen: Watched) -> None:
    for channels, reduction, side in [(64, 4, 5), (256, 16, 14), (2048, 32, 7)]:
        found = seen.page.evaluate("all => seblock.costs(...all)", [channels, reduction, side])
        block = blocks.SELayer(channels, reduction)
        size = (1, channels, side, side)
        assert found["parameters"] == cost.parameters(block) == cost.se_parameters([(1, channels)], reduction)
        assert found["excitation"] == cost.operations(block, size).layers
        assert found["rescale"] == cost.operations(block, size).rescales
        bottleneck = told.bottleneck_of(channels)
        assert found["bottleneck"] == cost.parameters(bottleneck)
        assert found["convolutions"] == cost.operations(bottleneck, size).layers


@torch.no_grad()
def test_paintings_are_pytorchs(seen: Watched) -> None:
    """Random weights, the shipped ones, and gates from elsewhere."""
    draw = torch.Generator().manual_seed(2)
    for case in range(3):
        nets = {"se": painter(partial(blocks.SqEx, reduction=4)).eval(), "plain": painter().eval()}
        for name, net in nets.items():
            trained.load(net, f"painter_{name}")
            for each in net.state_dict().values() if case else ():
                if each.is_floating_point():
                    each.mul_(1 + 0.2 * torch.rand(each.shape, generator=draw))
        weights = {
            f"{name}.{key}": value.flatten().tolist()
            for name, net in nets.items()
            for key, value in net.state_dict().items()
        }
        x = torch.rand(1, 3, 20, 20, generator=draw)
        fixed = torch.rand(3, 24, generator=draw)
        got = seen.page.evaluate(
            """({weights, x, fixed}) => {
                const net = Object.fromEntries(
                    Object.entries(weights).map(([name, all]) => [name, Float32Array.from(all)]));
                const input = Float32Array.from(x);
                const se = seblock.paint(input, net, "se."), plain = seblock.paint(input, net, "plain.");
                const other = seblock.paint(input, net, "se.", fixed);
                return [se.picture, se.gates.flatMap((s) => [...s]), plain.picture, other.picture]
                    .map((all) => [...all]);
            }""",
            {"weights": weights, "x": x.flatten().tolist(), "fixed": fixed.tolist()},
        )
        se, own = nets["se"], []
        y = z = x
        for k in range(3):
            y = se[4 * k : 4 * k + 3](y)
            own.append(excite(squeeze(y), *gate_weights(se[4 * k + 3]))[0])
            y = rescale(y, own[-1][None])
            z = rescale(se[4 * k : 4 * k + 3](z), fixed[k][None])
        expected = [se(x), torch.cat(own), nets["plain"](x), se[12](z)]
        for mine, theirs in zip(expected, got):
            torch.testing.assert_close(torch.tensor(theirs), mine.flatten(), atol=1e-5, rtol=1e-5)


def gate_weights(gate: blocks.SqEx) -> tuple[Tensor, ...]:
    """W₁, W₂ and the biases, as `excite` takes them."""
    one, two = gate.linear1, gate.linear2
    return one.weight, two.weight, one.bias, two.bias


# ---- what each figure does --------------------------------------------------------------------------------


def state_of(figure: Locator) -> dict[str, Any]:
    """The state that a figure is in, once nothing moves any more."""
    expect(figure).not_to_have_attribute("aria-busy", "true")
    state: dict[str, Any] = figure.evaluate("figure => figure.state")
    return state


def wrong(figure: Locator, name: str, own: Tensor | None = None) -> list[str]:
    """What a figure says or shows otherwise than the package computes for its state, each in words."""
    state, sentence = state_of(figure), said(figure)
    if name != "block":
        return told.differences(sentence, told.EXPECTED[name](state))
    return told.differences(sentence, told.block(state, own))


NAME = "e => e.ariaLabel || e.labels?.[0]?.textContent || e.textContent || e.className"
WAYS = ("keyboard", "mouse", "touch")
CONTROLS = "input, select, button, .live-pen, canvas.live-pan, canvas.live-drag, .live-gates"


def work(control: Locator, way: str, draw: Random) -> bool:
    """Do what a reader would do with a control; whether this has to change the state of its figure."""
    kind, tag, label = control.evaluate("e => [e.type ?? e.className, e.localName, e.textContent]")
    by = {"keyboard": control.press, "mouse": control.click, "touch": control.tap}[way]
    if kind == "file":
        with control.page.expect_file_chooser():
            by(*["Enter"] * (way == "keyboard"))
        return False
    if kind == "range" and way == "keyboard":
        at_its_end = float(control.input_value()) >= float(control.get_attribute("max") or 0)
        control.press("ArrowLeft" if at_its_end else "ArrowRight")
        return True
    if tag == "select":  # the list that opens is the browser's own
        control.press("ArrowDown")
        return True
    if kind == "live-pen":
        control.press("ArrowDown")
        control.press(" ")
        return way == "keyboard"
    if kind in ("checkbox", "radio", "submit", "button"):
        new = not (kind == "radio" and control.is_checked()) and label != "Reset"
        by(*["Enter" if tag == "button" else "Space"] * (way == "keyboard"))
        return new
    if way == "keyboard":  # a map, whose sliders and pen do the same
        return False
    box = control.bounding_box()
    assert box
    x, y = (0.6 * draw.random() for _ in range(2))  # where a digit can be drawn
    if kind == "range":
        low, value, high = control.evaluate("e => [e.min, e.value, e.max].map(Number)")
        x, y = (0.9 if value < (low + high) / 2 else 0.1), 0.5
    by(position={"x": box["width"] * x, "y": box["height"] * y})
    return True


def work_all(figure: Locator, name: str, way: str) -> list[str]:
    """Work every control of a figure; what it then says otherwise than the package computes."""
    found, draw = wrong(figure, name), Random(0)
    for control in figure.locator(CONTROLS).all():
        if not control.is_enabled():
            continue
        control.scroll_into_view_if_needed()
        before = state_of(figure)
        new = work(control, way, draw)
        after = state_of(figure)
        words = control.evaluate(NAME)
        if new and before == after:
            found.append(f"{words} changes nothing")
        found += [f"{words}: {each}" for each in wrong(figure, name)]
    return found


@pytest.fixture(scope="module")
def touched(chromium: Browser, home: str) -> Iterator[Watched]:
    """The page on a phone."""
    yield from opened(chromium, home, viewport=PHONE, has_touch=True, is_mobile=True)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", told.EXPECTED)
def test_every_control_does_what_the_package_computes(
    seen: Watched, touched: Watched, name: str, way: str
) -> None:
    page = (touched if way == "touch" else seen).page
    figure = figure_of(page, name)
    start = said(figure)
    assert work_all(figure, name, way) == []
    reset = figure.get_by_role("button", name="Reset")
    reset.press("Enter") if way == "keyboard" else reset.click() if way == "mouse" else reset.tap()
    assert said(figure) == start


def levels(canvas: Locator) -> Tensor:
    """The pixels of a map or photo, (3, h, w), 0 to 255."""
    address: str = canvas.evaluate("e => e.toDataURL()")
    image = Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))).convert("RGB")
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


def assert_drawn(canvas: Locator, values: Tensor) -> None:
    """That a canvas shows values of 0 to 1, (h, w) or (3, h, w), to one of 256 levels."""
    assert (levels(canvas) - 255 * values.clamp(0, 1)).abs().max() <= 1.01


def test_block_draws_what_the_package_computes(seen: Watched) -> None:
    figure = figure_of(seen.page, "block")
    figure.get_by_role("checkbox", name="a blue patch").press("Space")
    figure.get_by_role("slider", name="light").press("PageUp")
    figure.get_by_role("slider", name="gate of green").press("End")
    as_packed = (255 * photos.load()[:1]).round() / 255  # in whole levels; edges would show the difference
    numbers = told.block_numbers(state_of(figure) | {"photo": "own"}, as_packed)
    assert_drawn(figure.locator(".live-top canvas"), numbers["x"])
    for c in range(6):
        maps = figure.locator(".live-cards li").nth(c).locator("canvas")
        assert_drawn(maps.first, numbers["u"][c])
        assert_drawn(maps.last, numbers["gated"][c])


def test_painter_draws_what_the_package_computes(seen: Watched) -> None:
    figure = figure_of(seen.page, "painter")
    figure.get_by_role("radio", name="layer 1 alone").check()
    picture, plain, _, x = told.painted(state_of(figure))
    for k, values in enumerate([*x, picture, plain]):
        assert_drawn(figure.locator(".live-five canvas").nth(k), values)


def test_painter_turns_its_picture_with_the_gates_of_the_first_layer(seen: Watched) -> None:
    figure = figure_of(seen.page, "painter")
    assert "With SE the picture shows channel 1 " in said(figure)
    for source, shows in {"the other cue's": 2, "layer 1": 2, "layer 2": 1, "layer 3": 1}.items():
        figure.get_by_role("radio", name=source).check()
        assert f"the picture shows channel {shows} " in said(figure), source


def test_block_patch_goes_where_mouse_finger_and_keys_put_it(touched: Watched, seen: Watched) -> None:
    def at(page: Page) -> dict[str, float]:
        photo = figure_of(page, "block").locator(".live-pan")
        photo.scroll_into_view_if_needed()
        box = photo.bounding_box()
        assert box
        return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}

    figure = figure_of(seen.page, "block")
    middle = at(seen.page)
    seen.page.mouse.move(middle["x"] - 50, middle["y"] - 30)
    seen.page.mouse.down()
    seen.page.mouse.move(middle["x"], middle["y"], steps=4)
    seen.page.mouse.up()
    by_mouse = said(figure)
    assert "a blue patch 90 pixels from the left and 60 from the top" in by_mouse
    assert wrong(figure, "block") == []

    on_phone = figure_of(touched.page, "block")
    on_phone.get_by_role("button", name="Reset").tap()
    touched.page.touchscreen.tap(**at(touched.page))
    assert said(on_phone) == by_mouse

    figure.get_by_role("button", name="Reset").click()
    left, top = (figure.get_by_role("slider", name=f"patch from the {side}") for side in ("left", "top"))
    for _ in range(90):
        left.press("ArrowLeft")
    for _ in range(60):
        top.press("ArrowLeft")
    assert said(figure) == by_mouse


def test_keys_move_on_from_what_the_last_one_did_on_a_machine_that_draws_seldom(seen: Watched) -> None:
    seen.page.evaluate("window.requestAnimationFrame = (draw) => setTimeout(draw, 150)")
    block = figure_of(seen.page, "block")
    left = block.get_by_role("slider", name="patch from the left")
    left.press("End")
    block.get_by_role("button", name="Reset").click()
    left.press("ArrowLeft")
    assert "a blue patch 179 pixels from the left" in said(block)
    scanner = figure_of(seen.page, "scanner")
    for name in ("SE block", "gate"):
        scanner.get_by_role("slider", name=name).press("End")
    assert "Block 9, gate 200 is " in said(scanner)


def swipe(page: Page, start: tuple[float, float], by: tuple[float, float]) -> None:
    """A finger that comes down, moves in ten steps and goes up again."""
    finger = page.context.new_cdp_session(page)
    for step in range(11):
        x, y = (start[k] + by[k] * step / 10 for k in (0, 1))
        kind = "touchMove" if step else "touchStart"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        page.wait_for_timeout(20)
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_timeout(500)


@pytest.mark.parametrize("name", ["block", "terms"])
def test_finger_drags_to_the_side_and_scrolls_up(touched: Watched, name: str) -> None:
    """A photo fills a phone: who scrolls past it wants to leave it as it is."""
    page, figure = touched.page, figure_of(touched.page, name)
    figure.get_by_role("button", name="Reset").tap()
    start = state_of(figure)
    photo = figure.locator(".live-pan").first
    photo.scroll_into_view_if_needed()
    page.evaluate("scrollBy(0, 100)")
    box = photo.bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = page.evaluate("scrollY")
    swipe(page, middle, (3, -120))
    assert page.evaluate("scrollY") > before + 50
    assert state_of(figure) == start
    box = photo.bounding_box()
    assert box
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    before = page.evaluate("scrollY")
    swipe(page, middle, (60, 3))
    assert page.evaluate("scrollY") == before
    assert state_of(figure) != start
    assert wrong(figure, name) == []


def test_painter_digit_is_drawn_by_mouse_finger_and_keys(touched: Watched, seen: Watched) -> None:
    for page in (seen.page, touched.page):
        figure = figure_of(page, "painter")
        figure.get_by_role("button", name="Reset").press("Enter")
        figure.get_by_role("button", name="clear channel 1").press("Enter")
        canvas = figure.locator(".live-pen canvas").first
        canvas.scroll_into_view_if_needed()
        box = canvas.bounding_box()
        assert box
        start = (box["x"] + box["width"] * 6.5 / 20, box["y"] + box["height"] * 3.5 / 20)
        down = box["height"] * 6 / 20
        if page is touched.page:
            swipe(page, start, (0, down))
        else:
            page.mouse.move(*start)
            page.mouse.down()
            page.mouse.move(start[0], start[1] + down, steps=20)
            page.mouse.up()
        ink = torch.tensor(state_of(figure)["drawn"]).view(2, 20, 20)[0]
        assert (ink[3:10, 6] == 16).all()
        assert ink.count_nonzero() > 7
        assert wrong(figure, "painter") == []
    figure = figure_of(seen.page, "painter")
    figure.get_by_role("button", name="clear channel 1").press("Enter")
    pen = figure.get_by_role("application", name="pen on channel 1")
    for _ in range(3):
        pen.press("ArrowUp")
    for _ in range(6):
        pen.press("Space")
        pen.press("ArrowDown")
    pen.press("Space")
    assert torch.equal(torch.tensor(state_of(figure)["drawn"]).view(2, 20, 20)[0], ink)
    assert "Pen on channel 1, row 9, column 6: 1.00 of white." in said(figure)
    pen.press("Delete")
    assert "row 9, column 6: 0.00 of white." in said(figure)
    assert wrong(figure, "painter") == []


def test_painter_single_gate_is_dragged_by_mouse_and_finger(touched: Watched, seen: Watched) -> None:
    for page in (seen.page, touched.page):
        figure = figure_of(page, "painter")
        figure.get_by_role("button", name="Reset").press("Enter")
        chart = figure.locator(".live-gates").nth(1)
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        assert box
        start = (box["x"] + box["width"] * 4.5 / 24, box["y"] + box["height"] * 0.5)
        if page is touched.page:
            swipe(page, start, (0, box["height"] * 0.25))
        else:
            page.mouse.move(*start)
            page.mouse.down()
            page.mouse.move(start[0], start[1] + box["height"] * 0.25, steps=4)
            page.mouse.up()
        state = state_of(figure)
        assert state["source"] == "hand"
        assert state["gate"] == [1, 4]
        assert state["hand"][1][4] == pytest.approx(0.25, abs=0.03)
        assert wrong(figure, "painter") == []


def test_block_gate_is_set_by_hand_and_given_back(seen: Watched) -> None:
    figure = figure_of(seen.page, "block")
    gate = figure.get_by_role("slider", name="gate of red")
    gate.press("End")
    assert said(figure).endswith(" Set by hand: red.")
    gate.press("PageDown")  # a tenth
    assert state_of(figure)["hand"][photos.RED] == pytest.approx(0.9)
    assert wrong(figure, "block") == []
    assert figure.get_by_role("img", name="map of red times its gate 0.90").count() == 1
    figure.get_by_role("button", name="let the block set its gates").press("Enter")
    assert state_of(figure)["hand"] == [None] * 6
    assert wrong(figure, "block") == []


def test_block_reads_a_picture_of_ones_own(seen: Watched) -> None:
    figure = figure_of(seen.page, "block")
    pixels = np.random.default_rng(0).integers(0, 256, (160, 240, 3), np.uint8)
    Image.fromarray(pixels).save(file := io.BytesIO(), "PNG")
    figure.locator("input[type=file]").set_input_files(
        {"name": "own.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    expect(figure.get_by_role("radio", name="your own")).to_be_checked()
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    assert wrong(figure, "block", x) == []
    assert said(figure).startswith("Your picture")
    figure.locator("input[type=file]").set_input_files(
        {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    expect(figure.locator(".live-status")).to_contain_text("broken.png could not be read as a picture.")


def test_terms_jump_to_mist_and_wood(seen: Watched) -> None:
    figure = figure_of(seen.page, "terms")
    for place, words in {"the mist": "at row 63, column 181,", "the wood": "at row 85, column 79,"}.items():
        figure.get_by_role("button", name=place).press("Enter")
        assert words in said(figure)
        assert wrong(figure, "terms") == []


def test_gates_are_hidden_until_the_reader_asks_for_them(chromium: Browser, home: str) -> None:
    page = chromium.new_page(viewport=PROJECTOR)
    page.goto(f"http://{home}/brief.html")
    for name in ("block", "painter"):
        figure = figure_of(page, name)
        figure.scroll_into_view_if_needed()
        assert "gate" not in said(figure).lower()
        assert figure.get_by_role("slider", name="gate").count() == 0
        assert figure.get_by_role("radio", name="the other cue's").count() == 0
        assert wrong(figure, name) == []
        figure.get_by_role("checkbox", name="show the gates").press("Space")
        assert "gate" in said(figure).lower()
        assert figure.get_by_role("slider", name="gate").count() > 0
        assert wrong(figure, name) == []
        figure.get_by_role("button", name="Reset").press("Enter")
        assert "gate" not in said(figure).lower()
    page.close()


def scanner_told(text: str, change: str, turned: bool, block: int, gate: int) -> str:
    """What the figure says of a line and a gate."""
    line = scanned.scanned()[0].index((text, change, False))
    return scanned.sentence({"line": line, "turned": turned, "block": block, "gate": gate, "over": None})


def line_of(figure: Locator, text: str, change: str, turned: bool = False) -> Locator:
    """The button of a line."""
    return figure.get_by_role("radio", name=f"“{text}”, {change}{', turned' * turned}", exact=True)


def point_at_gate(figure: Locator, block: int, gate: int) -> dict[str, float]:
    """Where on its canvas a gate is."""
    strip = figure.locator(".live-strip canvas").nth(block - 1)
    strip.scroll_into_view_if_needed()
    box = strip.bounding_box()
    assert box
    row, column = divmod(gate - 1, 32)
    rows = -(-scanned.scanned()[3][block - 1].shape[1] // 32)
    return {  # a gate is 12 pixels wide, and there are 3 around all of them
        "x": box["x"] + box["width"] * (3 + 12 * column + 6) / (12 * 32 + 6),
        "y": box["y"] + box["height"] * (3 + 12 * row + 6) / (12 * rows + 6),
    }


def work_scanner(page: Page) -> None:
    """Its controls by keyboard and by mouse, on whatever page it is."""
    figure = figure_of(page, "scanner")
    figure.get_by_role("button", name="Reset").press("Enter")
    start = ("wooden bridge", "as it is", False, 2, 17)
    assert said(figure) == scanner_told(*start)
    # keys
    line_of(figure, "wooden bridge", "as it is").press("ArrowLeft")  # from the first to the last
    assert said(figure) == scanner_told("push or pull", "twice the text", False, 2, 17)
    turned = figure.get_by_role("checkbox", name="turned by 180°")
    turned.press("Space")
    assert said(figure) == scanner_told("push or pull", "twice the text", True, 2, 17)
    assert ", which is wrong." in said(figure)
    block, gate = (figure.get_by_role("slider", name=name) for name in ("SE block", "gate"))
    gate.press("End")
    assert said(figure) == scanner_told("push or pull", "twice the text", True, 2, 32)
    block.press("End")
    gate.press("End")
    assert said(figure) == scanner_told("push or pull", "twice the text", True, 9, 200)
    figure.get_by_role("button", name="block 9, gate 111").press("Enter")
    assert said(figure) == scanner_told("push or pull", "twice the text", True, 9, 111)
    first = figure.locator(".live-ends").get_by_role("button").first  # open widest for the fresh coffee
    expect(first).to_have_accessible_name(re.compile("^“wooden bridge” 0.86 CAPITALS$"))
    first.press("Enter")
    assert said(figure) == scanner_told("wooden bridge", "CAPITALS", False, 9, 111)
    expect(line_of(figure, "wooden bridge", "CAPITALS")).to_be_checked()
    expect(turned).not_to_be_checked()
    # mouse: what it points at is shown for as long as it does, and kept by a click
    italic = line_of(figure, "fresh coffee", "italic")
    italic.hover()
    assert said(figure) == scanner_told("fresh coffee", "italic", False, 9, 111)
    page.mouse.move(0, 0)
    assert said(figure) == scanner_told("wooden bridge", "CAPITALS", False, 9, 111)
    italic.click()
    page.mouse.move(0, 0)
    assert said(figure) == scanner_told("fresh coffee", "italic", False, 9, 111)
    page.mouse.move(**point_at_gate(figure, 3, 26))
    assert said(figure) == scanner_told("fresh coffee", "italic", False, 3, 26)
    page.mouse.move(0, 0)
    assert said(figure) == scanner_told("fresh coffee", "italic", False, 9, 111)
    page.mouse.click(**point_at_gate(figure, 8, 200))
    page.mouse.move(0, 0)
    assert said(figure) == scanner_told("fresh coffee", "italic", False, 8, 200)
    turned.click()
    figure.locator(".live-ends").get_by_role("button").last.hover()
    assert said(figure) != scanner_told("fresh coffee", "italic", True, 8, 200)
    page.mouse.move(0, 0)
    assert said(figure) == scanner_told("fresh coffee", "italic", True, 8, 200)
    figure.get_by_role("button", name="Reset").click()
    assert said(figure) == scanner_told(*start)


def test_scanner_tells_by_keys_and_mouse_what_the_package_computes(seen: Watched) -> None:
    work_scanner(seen.page)


def test_scanner_tells_of_any_line_and_gate(seen: Watched) -> None:
    figure, draw = figure_of(seen.page, "scanner"), Random(0)
    names, _, _, s = scanned.scanned()
    for _ in range(12):
        text, change, turned = draw.choice(names)
        block = draw.randint(1, 9)
        gate = draw.randint(1, s[block - 1].shape[1])
        figure.get_by_role("checkbox", name="turned").set_checked(turned)
        said(figure)  # only now are the lines called turned
        line_of(figure, text, change, turned).check()
        figure.get_by_role("slider", name="SE block").fill(str(block))
        said(figure)  # only now goes the other slider so far
        figure.get_by_role("slider", name="gate").fill(str(gate))
        seen.page.mouse.move(0, 0)
        assert said(figure) == scanner_told(text, change, turned, block, gate)
        values = figure.locator(".live-strip .live-value").all_inner_texts()
        far = scanned.away(names.index((text, change, turned)))
        assert values == [f"{value:.0f} %" for value in far]


def test_scanner_answers_a_finger(chromium: Browser, home: str) -> None:
    for touched in opened(chromium, home, viewport=PHONE, has_touch=True, is_mobile=True):
        figure = figure_of(touched.page, "scanner")
        line_of(figure, "push or pull", "blurred").tap()
        assert said(figure) == scanner_told("push or pull", "blurred", False, 2, 17)
        touched.page.touchscreen.tap(**point_at_gate(figure, 1, 8))
        assert said(figure) == scanner_told("push or pull", "blurred", False, 1, 8)
        figure.get_by_role("button", name="block 8, gate 24").tap()
        figure.get_by_role("checkbox", name="turned").tap()
        assert said(figure) == scanner_told("push or pull", "blurred", True, 8, 24)
        figure.locator(".live-ends").get_by_role("button").first.tap()
        assert said(figure) != scanner_told("push or pull", "blurred", True, 8, 24)


def test_scanner_draws_what_the_package_computes(seen: Watched) -> None:
    """Its lines, in fewer steps of brightness; the gates' colours; all bars."""
    figure = figure_of(seen.page, "scanner")
    names, images, _, s = scanned.scanned()
    read = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    for n in (0, 8, 13, 15, 29):
        text, change, _ = names[n]
        line_of(figure, text, change).check()
        canvas = figure.locator(".live-thumb canvas").nth(n)
        drawn = torch.tensor(canvas.evaluate(read)).view(48, 192, 4)[:, :, :3].permute(2, 0, 1) / 255
        step = float(images[n].max() - images[n].min()) / figures.STEPS
        assert float((drawn - images[n]).abs().max()) <= step / 2 + 1 / 255
        said(figure)
        for block in (1, 9):
            canvas = figure.locator(".live-strip canvas").nth(block - 1)
            own = (100 * s[block - 1][n]).round()
            ends = f"{float(own.min()) / 100:.2f} to {float(own.max()) / 100:.2f}"
            expect(canvas).to_have_attribute("aria-label", f"block {block}: {len(own)} gates, {ends}")
            high = -(-len(own) // 32) * 12 + 6
            pixels = torch.tensor(canvas.evaluate(read)).view(high, 390, 4)[9:-3:12, 9:-3:12, :3]
            yellow = pixels.reshape(-1, 3)[: len(own), 0].tolist()  # red grows from 0 to 254 on this scale
            order = own.argsort().tolist()
            assert [yellow[i] for i in order] == sorted(yellow)
            assert (yellow[order[0]] == 0) == (own.min() == 0)
        fills = figure.locator(".live-thumb .live-fill")
        widths = fills.evaluate_all("all => all.map((fill) => fill.style.width)")
        assert widths == [f"{round(100 * value)}%" for value in s[1][:30, 16].tolist()]
    for n, (*_, change, turned) in enumerate(names[:30]):
        assert not turned
        expect(figure.locator(".live-row > span").nth(n // 3)).to_have_text(change)


# ---- what holds for all of them ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", live.FIGURES)
def test_every_control_has_a_name_and_answers_the_keyboard(seen: Watched, name: str) -> None:
    figure = figure_of(seen.page, name)
    start = said(figure)
    for control in figure.locator("input, button, select").all():
        assert control.get_attribute("data-lm-suppress-shortcuts") == "true"
        kind = control.evaluate("element => element.type")
        label = control.evaluate(
            "element => element.ariaLabel || element.labels?.[0]?.textContent || element.textContent"
        )
        assert label.strip()
        if kind == "range":
            value = float(control.input_value())
            at_its_end = value >= float(control.get_attribute("max") or 0)
            control.press("ArrowLeft" if at_its_end else "ArrowRight")
            assert float(control.input_value()) != value, label
            assert said(figure) != start, label
            assert control.get_attribute("aria-valuetext")
        elif kind == "checkbox":
            control.press("Space")
            assert said(figure) != start, label
    figure.get_by_role("button", name="Reset").press("Enter")
    assert said(figure) == start


def test_axe_finds_no_violation_and_nothing_is_too_wide(seen: Watched) -> None:
    assert pages.violations(seen.page) == []
    seen.page.set_viewport_size(PHONE)
    assert pages.too_wide(seen.page) == []
    assert (
        seen.page.locator(".live").evaluate_all(
            "all => all.filter(figure => figure.scrollWidth > figure.clientWidth).length"
        )
        == 0
    )


UPDATES = """async (figure) => {
    const times = [], ask = window.requestAnimationFrame.bind(window);
    window.requestAnimationFrame = (draw) => ask((now) => {
        const start = performance.now();
        draw(now);
        times.push(performance.now() - start);
    });
    const found = {};
    for (const slider of figure.querySelectorAll('input[type=range]')) {
        const [low, high] = [Number(slider.min), Number(slider.max)];
        for (let step = -10; step < 40; step++) {
            if (step === 0) times.length = 0; // the first ones warm the browser up
            slider.value = low + (high - low) * (((step + 10) * 7) % 40) / 39;
            slider.dispatchEvent(new Event('input'));
            await new Promise((done) => ask(() => ask(done)));
        }
        found[slider.ariaLabel] = times.sort((one, other) => one - other)[times.length >> 1];
    }
    window.requestAnimationFrame = ask;
    return found;
}"""
"""What drawing takes after a slider was moved, in milliseconds, at the median of 40 moves."""


@pytest.mark.skipif("TIMED" not in os.environ, reason="Times are worth something on a quiet machine only.")
@pytest.mark.parametrize("name", live.FIGURES)
def test_updates_take_less_than_a_frame(seen: Watched, name: str) -> None:
    figure = figure_of(seen.page, name)
    for scrambled in (False, True) if name == "block" else (False,):
        if scrambled:
            figure.get_by_role("checkbox", name="scramble").check()
        found = figure.evaluate(UPDATES)
        print(f"\n{name}: " + ", ".join(f"{slider} {time:.1f} ms" for slider, time in found.items()))
        assert max(found.values()) <= 16


def test_page_works_from_a_folder(chromium: Browser, site: Path) -> None:
    page = chromium.new_page(viewport=PROJECTOR)
    page.goto((site / "index.html").as_uri())
    assert "Gates" in said(figure_of(page, "block"))
    page.close()


def test_picture_stays_without_scripts_in_print_and_if_a_file_is_missing(
    chromium: Browser, site: Path, home: str, seen: Watched
) -> None:
    seen.page.emulate_media(media="print")
    assert seen.page.locator("img:visible").count() == len(live.FIGURES)
    assert seen.page.locator(".live:visible").count() == 0
    context = chromium.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"http://{home}/index.html")
    assert page.locator("img:visible").count() == len(live.FIGURES)
    context.close()
    page = chromium.new_page()
    page.route("**/live/block.js*", lambda route: route.abort())
    page.goto(f"http://{home}/index.html")
    page.wait_for_timeout(1000)
    assert page.locator("img.live-is-block").is_visible()
    page.close()


def test_a_click_in_a_figure_follows_no_link(chromium: Browser, site: Path, home: str) -> None:
    """Sphinx makes a picture that it scales a link to its file; the figure takes the place of both."""
    classes = live.classes("cost", {})
    image = f'<a href="cost.png"><img alt="costs" class="{classes}" src="cost.png" width="700"></a>'
    (site / "linked.html").write_text(PAGE.format(image), encoding="utf-8")
    page = chromium.new_page(viewport=PROJECTOR)
    page.goto(f"http://{home}/linked.html")
    figure = figure_of(page, "cost")
    figure.locator("table").first.click()
    figure.get_by_role("slider", name="stage").click()
    assert said(figure)
    assert page.url.endswith("linked.html")
    assert page.locator("a:visible").count() == 0
    page.close()


def test_page_does_not_jump_when_a_figure_comes(chromium: Browser, home: str) -> None:
    """Chromium's own measure: the sum of its layout shifts, of which less than 0.1 counts as good."""
    watch = """() => {
        window.shifts = 0;
        new PerformanceObserver((list) => {
            for (const entry of list.getEntries()) window.shifts += entry.value;
        }).observe({ type: 'layout-shift', buffered: true });
    }"""
    for window in (PROJECTOR, PHONE):
        for seen in opened(chromium, home, viewport=window):
            seen.page.evaluate(watch)
            seen.page.wait_for_timeout(500)
            assert seen.page.evaluate("window.shifts") < 0.1, window


def test_page_asks_nobody_else_and_logs_no_error(opened_once: Watched) -> None:
    """Last of the page's tests: it speaks for all that the others did."""
    assert opened_once.problems() == []


# ---- in JupyterLab ----------------------------------------------------------------------------------------

CELLS = [
    "from seblock.live import live",
    *(f'shown = live("{name}")\nshown' for name in live.FIGURES),
    'shown = live("block")\nshown',
    'shown.value["tint"]',
    'shown.value = shown.value | {"tint": -0.2}',
]
BLOCK = len(CELLS) - 3
"""The cell that shows the block once more, the one that Python speaks with."""
HIGH = {"width": 1280, "height": 6000}
"""A window in which the whole notebook is in sight."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Server]:
    """JupyterLab with a notebook that shows every figure."""
    root, own = tmp_path_factory.mktemp("a class"), tmp_path_factory.mktemp("own")
    code = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells = [{**code, "id": f"cell-{i}", "source": text} for i, text in enumerate(CELLS)]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    (root / "live.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    )
    with lab.server(root, own) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(chromium: Browser, server: lab.Server) -> Iterator[Watched]:
    """That notebook, all but its last two cells run."""
    context = chromium.new_context(viewport=HIGH, has_touch=True)
    seen = watched(context, server.home)
    seen.page.goto(server.url("/lab/tree/live.ipynb"))
    lab.wait_until_idle(seen.page)
    for number in range(BLOCK + 1):
        run_cell(seen.page, number)
    expect(seen.page.locator(".live-status")).to_have_count(len(live.FIGURES) + 1)
    yield seen
    server.close_all(seen.page)
    context.close()


def run_cell(page: Page, number: int) -> None:
    """Run a cell, to its end."""
    page.locator(".jp-CodeCell .cm-content").nth(number).click()
    page.keyboard.press("Shift+Enter")
    prompt = page.locator(".jp-CodeCell .jp-InputArea-prompt").nth(number)
    expect(prompt).to_have_text(re.compile(r"^\[\d+\]:$"), timeout=60_000)


def in_lab(notebook: Watched, name: str) -> Locator:
    """One of the figures in the notebook, as it was in the beginning."""
    figure = figure_of(notebook.page, name).last
    figure.get_by_role("button", name="Reset").click()
    return figure


@pytest.mark.parametrize("way", WAYS if WHOLE else WAYS[:2])
@pytest.mark.parametrize("name", told.EXPECTED)
def test_lab_every_control_does_what_the_package_computes(notebook: Watched, name: str, way: str) -> None:
    figure, cells = in_lab(notebook, name), notebook.page.locator(".jp-Cell").count()
    start = said(figure)
    assert work_all(figure, name, way) == []
    figure.get_by_role("button", name="Reset").click()
    assert said(figure) == start
    assert notebook.page.locator(".jp-Cell").count() == cells


def test_lab_keys_go_to_the_figure(notebook: Watched) -> None:
    page, figure = notebook.page, in_lab(notebook, "block")
    cells = page.locator(".jp-Cell").count()
    light = figure.get_by_role("slider", name="light")
    light.click()
    light.press("Home")
    for key in ("ArrowRight", "ArrowUp", "a", "b", "d", "d", "x"):
        light.press(key)
    assert light.get_attribute("aria-valuetext") == "−0.28 warmer"
    assert page.locator(".jp-Cell").count() == cells
    assert wrong(figure, "block") == []


def test_lab_mouse_drags_the_patch(notebook: Watched) -> None:
    figure = in_lab(notebook, "block")
    photo = figure.locator(".live-pan")
    photo.scroll_into_view_if_needed()
    box = photo.bounding_box()
    assert box
    notebook.page.mouse.move(box["x"] + 10, box["y"] + 10)
    notebook.page.mouse.down()
    notebook.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    notebook.page.mouse.up()
    assert "a blue patch 90 pixels from the left and 60 from the top" in said(figure)


def test_lab_python_reads_and_sets_the_state(notebook: Watched) -> None:
    figure = in_lab(notebook, "block")
    light = figure.get_by_role("slider", name="light")
    light.press("ArrowRight")
    said(figure)
    run_cell(notebook.page, BLOCK + 1)
    expect(notebook.page.locator(".jp-OutputArea-output").last).to_have_text("0.01")
    run_cell(notebook.page, BLOCK + 2)
    expect(light).to_have_attribute("aria-valuetext", "−0.20 warmer")
    assert wrong(figure, "block") == []


def test_lab_scanner_tells_by_keys_and_mouse_what_the_package_computes(notebook: Watched) -> None:
    work_scanner(notebook.page)


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_lab_axe_finds_no_violation_in_the_figures(notebook: Watched, theme: str, screenshots: Path) -> None:
    lab.choose_theme(notebook.page, theme)
    notebook.page.wait_for_timeout(500)
    assert pages.violations(notebook.page, ".jp-OutputArea") == []
    for name in live.FIGURES:
        figure_of(notebook.page, name).last.screenshot(path=screenshots / f"live {name} {theme}.png")


def test_lab_figures_fit_a_narrow_panel(notebook: Watched) -> None:
    notebook.page.set_viewport_size({"width": 600, "height": 6000})
    notebook.page.wait_for_timeout(500)
    width = notebook.page.locator(".live").first.bounding_box()
    wide = notebook.page.locator(".live").evaluate_all(
        "all => all.filter(figure => figure.scrollWidth > figure.clientWidth).map(figure => figure.className)"
    )
    notebook.page.set_viewport_size(HIGH)
    assert width
    assert width["width"] < 300
    assert wide == []


def test_lab_asks_nobody_else_and_logs_no_error(notebook: Watched) -> None:
    """It speaks for all that the others did, before the notebook is opened again."""
    assert notebook.problems() == []


def test_lab_shows_the_pictures_of_a_notebook_that_was_saved(notebook: Watched, server: lab.Server) -> None:
    """Opened again without its kernel: ipywidgets would say that its model is not found."""
    page = notebook.page
    lab.menu(page, "File", "Save Notebook")
    page.wait_for_timeout(lab.SECOND)
    server.close_all(page)
    page.goto(server.url("/lab/tree/live.ipynb"))
    lab.wait_until_idle(page)
    expect(page.locator(f"{lab.NOTEBOOK} .jp-OutputArea img")).to_have_count(len(live.FIGURES) + 1)
    page.wait_for_timeout(4 * lab.SECOND)  # so long ipywidgets waits for a model
    assert "model not found" not in page.locator(lab.NOTEBOOK).inner_text()
