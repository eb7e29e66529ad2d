"""The live figures in Chromium, on a web page and in JupyterLab: do they show what the package computes?"""

import html
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, expect
from torch import Tensor

from integration.browser import lab, pages
from integration.browser.watching import Watched, watched
from seblock import live, photos
from seblock.functional import excite, rescale, squeeze
from seblock.plots.toolkit import png

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Live figures</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="live/live.css"><script defer src="live/page.js"></script></head>
<body><main style="max-width: 60rem"><h1>Live figures</h1>{}</main></body></html>"""
PHONE, PROJECTOR = {"width": 375, "height": 812}, {"width": 1280, "height": 720}
expect.set_options(timeout=30_000)
SETTLED = 600
"""Milliseconds after which a figure has said what is seen."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page that has every live figure, laid out as the site's."""
    folder = tmp_path_factory.mktemp("a site")
    live.write(folder / "live")
    body = ""
    for name, (_, draw) in live.FIGURES.items():
        figure, alt = draw()
        (folder / f"{name}.png").write_bytes(png(figure))
        body += f'<img alt="{html.escape(alt)}" class="{live.classes(name)}" src="{name}.png" width="700">'
    (folder / "index.html").write_text(PAGE.format(body), encoding="utf-8")
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
    for image in seen.page.locator("img").all():
        image.scroll_into_view_if_needed()
        expect(image).to_have_class(re.compile("live-off"))
    yield seen
    context.close()


@pytest.fixture
def seen(chromium: Browser, home: str) -> Iterator[Watched]:
    """The page, and afterwards: nobody else was asked, nothing went wrong."""
    for seen in opened(chromium, home):
        yield seen
        assert seen.problems() == []


def figure_of(page: Page, name: str) -> Locator:
    """One of the figures."""
    return page.locator(f".live-{name}")


def said(figure: Locator) -> str:
    """Its sentence, once nothing moves any more."""
    figure.page.wait_for_timeout(SETTLED)
    return figure.locator(".live-status").inner_text()


def told(values: Tensor, names: tuple[str, ...] = photos.CHANNELS) -> str:
    """Names with their numbers, as a figure says them."""
    return ", ".join(f"{name} {float(value):.2f}" for name, value in zip(names, values))


def gates_of(x: Tensor) -> Tensor:
    """The gates set by hand, for one photo (1, 3, H, W)."""
    return excite(squeeze(photos.features(x)), *photos.hand_set_gate())[0]


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


# ---- what each figure does --------------------------------------------------------------------------------


def test_block_shows_what_the_package_computes(seen: Watched) -> None:
    figure, x = figure_of(seen.page, "block"), photos.load()
    assert f"Gates: {told(gates_of(x[:1]))}." in said(figure)
    figure.get_by_role("radio", name="flower").check()
    assert f"Gates: {told(gates_of(x[1:]))}." in said(figure)
    light = figure.get_by_role("slider", name="light")
    for _ in range(20):
        light.press("ArrowRight")
    assert light.get_attribute("aria-valuetext") == "0.20 bluer"
    assert f"Gates: {told(gates_of(photos.tint(x[1:], 0.2)))}." in said(figure)


def test_block_patch_goes_where_mouse_finger_and_keys_put_it(
    chromium: Browser, home: str, seen: Watched
) -> None:
    def at(page: Page) -> dict[str, float]:
        photo = figure_of(page, "block").locator(".live-drag")
        photo.scroll_into_view_if_needed()
        box = photo.bounding_box()
        assert box
        return {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}

    middle = at(seen.page)
    seen.page.mouse.move(middle["x"] - 50, middle["y"] - 30)
    seen.page.mouse.down()
    seen.page.mouse.move(middle["x"], middle["y"], steps=4)
    seen.page.mouse.up()
    by_mouse = said(figure_of(seen.page, "block"))
    assert "a blue patch 90 pixels from the left and 60 from the top" in by_mouse
    x = photos.load()[:1]
    x[:, :, 60:100, 90:150] = torch.tensor([0.0, 0, 1])[:, None, None]
    assert f"Gates: {told(gates_of(x))}." in by_mouse

    for touched in opened(chromium, home, viewport=PHONE, has_touch=True, is_mobile=True):
        touched.page.touchscreen.tap(**at(touched.page))
        assert said(figure_of(touched.page, "block")) == by_mouse

    figure = figure_of(seen.page, "block")
    figure.get_by_role("button", name="Reset").click()
    left, top = (figure.get_by_role("slider", name=f"patch from the {side}") for side in ("left", "top"))
    for _ in range(90):
        left.press("ArrowLeft")
    for _ in range(60):
        top.press("ArrowLeft")
    assert said(figure) == by_mouse


def test_block_gate_is_set_by_hand_and_given_back(seen: Watched) -> None:
    figure = figure_of(seen.page, "block")
    s = gates_of(photos.load()[:1])
    gate = figure.get_by_role("slider", name="gate of red")
    gate.press("End")
    s[photos.RED] = 1
    assert said(figure).endswith(f"Gates: {told(s)}. Set by hand: red.")
    gate.press("PageDown")  # a tenth
    s[photos.RED] = 0.9
    assert said(figure).endswith(f"Gates: {told(s)}. Set by hand: red.")
    assert figure.get_by_role("img", name="map of red times its gate 0.90").count() == 1
    figure.get_by_role("button", name="let the block set its gates").press("Enter")
    assert said(figure).endswith(f"Gates: {told(gates_of(photos.load()[:1]))}.")


def test_block_scrambled_pixels_raise_the_edges(seen: Watched) -> None:
    figure, x = figure_of(seen.page, "block"), photos.load()[:1]
    figure.get_by_role("checkbox", name="scramble").press("Space")
    assert said(figure).startswith("The temple with its pixels scrambled: ")
    order = torch.tensor(seen.page.evaluate("[...seblock.shuffled(160 * 240)]"))
    z = squeeze(photos.features(x.flatten(2)[:, :, order].view_as(x)))[0]
    shown = figure.locator(".live-bar span:last-child").all_inner_texts()
    assert shown == [f"{float(value):.2f}" for value in z]


def test_block_reads_a_picture_of_ones_own(seen: Watched) -> None:
    figure = figure_of(seen.page, "block")
    pixels = np.random.default_rng(0).integers(0, 256, (160, 240, 3), np.uint8)
    Image.fromarray(pixels).save(file := io.BytesIO(), "PNG")
    figure.locator("input[type=file]").set_input_files(
        {"name": "own.png", "mimeType": "image/png", "buffer": file.getvalue()}
    )
    expect(figure.get_by_role("radio", name="your own")).to_be_checked()
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
    assert f"Gates: {told(gates_of(x))}." in said(figure)
    assert said(figure).startswith("Your picture")
    figure.locator("input[type=file]").set_input_files(
        {"name": "broken.png", "mimeType": "image/png", "buffer": b"no picture"}
    )
    assert "could not be read" in said(figure)


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


# ---- in JupyterLab ----------------------------------------------------------------------------------------

CELLS = """from seblock import live
figures = {name: live.live(name, draw()) for name, (_, draw) in live.FIGURES.items()}
%%
figures["block"]
%%
figures["block"].value["tint"]
%%
figures["block"].value = figures["block"].value | {"tint": -0.2}"""


@pytest.fixture(scope="module")
def notebook(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A notebook that shows the block, open in JupyterLab, its first two cells run."""
    root, own = tmp_path_factory.mktemp("a class"), tmp_path_factory.mktemp("own")
    code = {"cell_type": "code", "metadata": {}, "execution_count": None, "outputs": []}
    cells = [{**code, "id": f"cell-{i}", "source": text} for i, text in enumerate(CELLS.split("\n%%\n"))]
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    (root / "live.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})
    )
    with lab.server(root, own) as server:
        context = chromium.new_context(viewport={"width": 1280, "height": 1400})
        seen = watched(context, server.home)
        seen.page.goto(server.url("/lab/tree/live.ipynb"))
        lab.wait_until_idle(seen.page)
        run_cell(seen.page, 0)
        run_cell(seen.page, 1)
        seen.page.locator(".live-status").wait_for()
        yield seen
        server.close_all(seen.page)
        context.close()


def run_cell(page: Page, number: int) -> None:
    """Run a cell, to its end."""
    page.locator(".jp-CodeCell .cm-content").nth(number).click()
    page.keyboard.press("Shift+Enter")
    prompt = page.locator(".jp-CodeCell .jp-InputArea-prompt").nth(number)
    expect(prompt).to_have_text(re.compile(r"^\[\d+\]:$"), timeout=60_000)


def test_lab_keys_go_to_the_figure(notebook: Watched) -> None:
    page = notebook.page
    figure, cells = figure_of(page, "block"), page.locator(".jp-Cell").count()
    light = figure.get_by_role("slider", name="light")
    light.click()
    light.press("Home")
    for key in ("ArrowRight", "ArrowUp", "a", "b", "d", "d", "x"):
        light.press(key)
    assert light.get_attribute("aria-valuetext") == "−0.28 warmer"
    assert page.locator(".jp-Cell").count() == cells
    assert f"Gates: {told(gates_of(photos.tint(photos.load()[:1], -0.28)))}." in said(figure)


def test_lab_mouse_drags_the_patch(notebook: Watched) -> None:
    figure = figure_of(notebook.page, "block")
    figure.get_by_role("button", name="Reset").click()
    photo = figure.locator(".live-drag")
    photo.scroll_into_view_if_needed()
    box = photo.bounding_box()
    assert box
    notebook.page.mouse.move(box["x"] + 10, box["y"] + 10)
    notebook.page.mouse.down()
    notebook.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    notebook.page.mouse.up()
    assert "a blue patch 90 pixels from the left and 60 from the top" in said(figure)


def test_lab_python_reads_and_sets_the_state(notebook: Watched) -> None:
    figure = figure_of(notebook.page, "block")
    figure.get_by_role("button", name="Reset").click()
    light = figure.get_by_role("slider", name="light")
    light.press("ArrowRight")
    said(figure)
    run_cell(notebook.page, 2)
    expect(notebook.page.locator(".jp-OutputArea-output").last).to_have_text("0.01")
    run_cell(notebook.page, 3)
    expect(light).to_have_attribute("aria-valuetext", "−0.20 warmer")


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_lab_axe_finds_no_violation_in_the_figure(notebook: Watched, theme: str, screenshots: Path) -> None:
    lab.choose_theme(notebook.page, theme)
    notebook.page.wait_for_timeout(500)
    assert pages.violations(notebook.page, ".live") == []
    figure_of(notebook.page, "block").screenshot(path=screenshots / f"live {theme}.png")


def test_lab_asks_nobody_else_and_logs_no_error(notebook: Watched) -> None:
    assert notebook.problems() == []
