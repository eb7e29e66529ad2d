"""What each live figure ought to say in a state, worked out by the package alone.

`EXPECTED[name](state)` is the whole status sentence. It is compared by `differences`: word by word, counts
exactly, and rounded numbers to their last digit, because sums in another order are rounded otherwise.
"""

import re
from collections.abc import Callable
from functools import cache, partial
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from seblock import blocks, cost, photos, trained
from seblock.functional import channel_terms, excite, rescale, squeeze
from seblock.live import FIGURES
from seblock.puzzles import painter, painting_puzzle

NUMBER = re.compile(r"[+−-]?\d+(?:,\d{3})*(?:\.\d+)?")
State = dict[str, Any]


def differences(said: str, expected: str) -> list[str]:
    """Where a sentence says anything else than expected, each place in words; [] if nowhere."""
    found = []
    if NUMBER.sub("#", said) != NUMBER.sub("#", expected):
        found.append(f"said {said!r}, expected {expected!r}")
    for one, other in zip_longest(NUMBER.findall(said), NUMBER.findall(expected), fillvalue="nan"):
        here, there = (float(text.replace(",", "").replace("−", "-")) for text in (one, other))
        digits = len(other.partition(".")[2])
        whole = not digits and not re.search(rf"{re.escape(other)} %", expected)
        if not abs(here - there) <= (0 if whole else 1.01 * 10.0**-digits):
            found.append(f"said {one}, expected {other} in {expected!r}")
    return found


def signed(value: float) -> str:
    """A number with its sign, as `signed` in terms.js."""
    text = f"{value:+.2f}"
    return "0.00" if text[1:] == "0.00" else text.replace("-", "−")


def told(values: Tensor, names: tuple[str, ...] = photos.CHANNELS) -> str:
    """Names with their numbers, as a figure says them."""
    return ", ".join(f"{name} {float(value):.2f}" for name, value in zip(names, values))


# ---- the block --------------------------------------------------------------------------------------------


@cache
def order(n: int) -> Tensor:
    """The order of scrambled pixels, the same as `shuffled` in block.js."""
    places, seed = list(range(n)), 1
    for i in range(n - 1, 0, -1):
        seed = (seed * 1664525 + 1013904223) % 2**32
        j = seed * (i + 1) // 2**32
        places[i], places[j] = places[j], places[i]
    return torch.tensor(places)


def changed(photo: Tensor, state: State) -> Tensor:
    """A photo (1, 3, H, W) in the light, with the patch, in the order of a state."""
    x = photos.tint(photo, state["tint"])
    if state["patch"]:
        tall, wide = FIGURES["block"][0]().settings["patch"]
        top, left = state["top"], state["left"]
        x[:, :, top : top + tall, left : left + wide] = torch.tensor([0.0, 0, 1])[:, None, None]
    if state["scramble"]:
        x = x.flatten(2)[:, :, order(x[0, 0].numel())].view_as(x)
    return x


def block_numbers(state: State, own: Tensor | None = None) -> dict[str, Tensor]:
    """x (3, H, W), u (C, H, W), z, s as the block sets it, s as it is, and the rescaled maps of a state."""
    photo = (
        own if state["photo"] == "own" else photos.load()[["temple", "flower"].index(state["photo"])][None]
    )
    assert photo is not None
    x = changed(photo, state)
    u = photos.features(x)
    z = squeeze(u)
    by_itself = excite(z, *photos.hand_set_gate())[0]
    hand = [s if value is None else value for s, value in zip(by_itself.tolist(), state["hand"])]
    s = torch.tensor(hand)
    before = squeeze(photos.features(photo))[0]
    return {
        **{"x": x[0], "u": u[0], "z": z[0], "by itself": by_itself, "s": s},
        **{"gated": rescale(u, s[None])[0], "before": before},
    }


def block(state: State, own: Tensor | None = None) -> str:
    """What the block says."""
    numbers = block_numbers(state, own)
    z, by_itself = numbers["z"], numbers["by itself"]
    light = f"{'bluer' if state['tint'] > 0 else 'warmer'} light, {state['tint']:.2f}".replace("-", "−")
    done = [light] * bool(state["tint"])
    if state["patch"]:
        done.append(f"a blue patch {state['left']} pixels from the left and {state['top']} from the top")
    if state["scramble"]:
        done.append("its pixels scrambled")
    what = "Your picture" if state["photo"] == "own" else f"The {state['photo']}"
    what += f" with {', '.join(done)}" if done else " as it is"
    factors = dict(zip(photos.CHANNELS, (z / numbers["before"]).tolist()))
    moved = [f"{name} × {by:.1f}" for name, by in factors.items() if abs(by - 1) > 0.1]
    means = f"Means: {told(z)}."
    if done:
        means += f" Against the photo as it is: {', '.join(moved) or 'no mean has moved by a tenth'}."
    if not state["gates"]:
        return f"{what}. {means}"
    more, less = (photos.BLUE, photos.RED) if z[photos.BLUE] > z[photos.RED] else (photos.RED, photos.BLUE)
    gate = float(by_itself[less])
    deed = "closes" if gate < 0.1 else "turns down" if gate < 0.45 else "hardly touches"
    names = photos.CHANNELS
    by_hand = [name for name, value in zip(names, state["hand"]) if value is not None]
    return (
        f"{what}: there is more {names[more]} ({z[more]:.2f}) than {names[less]} ({z[less]:.2f}), "
        f"so by itself the block {deed} “{names[less]}”. {means} Gates: {told(numbers['s'])}."
        + (f" Set by hand: {', '.join(by_hand)}." if by_hand else "")
    )


# ---- a sum of terms ---------------------------------------------------------------------------------------


@cache
def all_terms() -> Tensor:
    """The terms of the temple's six maps, (C, 3, H, W)."""
    return channel_terms(pad(photos.load()[:1], (1, 1, 1, 1), mode="replicate"), photos.named_filters())[0]


def terms(state: State) -> str:
    """What the terms say."""
    c, i, j = state["filter"], state["row"], state["column"]
    values = all_terms()[c, :, i, j].tolist()
    total = sum(values)
    each = ", ".join(f"{name} {signed(value)}" for name, value in zip(("red", "green", "blue"), values))
    left = "something stays"
    if abs(total) < 0.1:
        left = "they cancel" if max(map(abs, values)) > 0.3 else "hardly anything is there"
    return (
        f"“{photos.CHANNELS[c]}” at row {i}, column {j}, counted from 0: the terms are {each}. "
        f"Added up they make {signed(total)}: {left}."
    )


# ---- the cost ---------------------------------------------------------------------------------------------


def bottleneck_of(channels: int) -> nn.Module:
    """The convolutions of the residual block that ends in so many channels."""
    inner = channels // 4
    return nn.Sequential(
        nn.Conv2d(channels, inner, 1, bias=False),
        nn.Conv2d(inner, inner, 3, padding=1, bias=False),
        nn.Conv2d(inner, channels, 1, bias=False),
    )


def costs(state: State) -> str:
    """What the cost says."""
    channels, r, stage = state["channels"], state["reduction"], state["stage"]
    there = FIGURES["cost"][0]().settings["stages"][stage - 2]
    side, count = there["side"], there["blocks"]
    with torch.device("meta"):
        block, bottleneck = blocks.SELayer(channels, r), bottleneck_of(channels)
    size = (1, channels, side, side)
    of_se, of_bottleneck = cost.operations(block, size), cost.operations(bottleneck, size)
    squeezed = channels * side * side  # one addition for each position
    work = of_se.layers + of_se.rescales + squeezed
    hidden, added = channels // r, cost.se_parameters([(1, channels)], r)
    share = 100 * added / cost.parameters(bottleneck)
    usual = there["channels"]
    such = f"has {count} such blocks" + (
        f": {count * added:,} parameters." if channels == usual else f", with {usual:,} channels."
    )
    return (
        f"C = {channels:,} and r = {r} make {hidden:,} hidden unit{'s' * (hidden != 1)} and {added:,} "
        f"parameters, {share:.1f} % of what the bottleneck has. On maps of {side} × {side} the SE block's "
        f"{work:,} operations, the squeeze's additions among them, are "
        f"{100 * work / of_bottleneck.layers:.2f} % of the convolutions'. "
        f"Stage {stage} of SE-ResNet-50, as the paper counts, {such}"
    )


# ---- the painter ------------------------------------------------------------------------------------------


@cache
def painters() -> dict[str, nn.Module]:
    """The two networks whose weights are shipped."""
    nets = {"se": painter(partial(blocks.SqEx, reduction=4)), "plain": painter()}
    return {
        name: trained.load(net, f"painter_{name}").requires_grad_(False).eval() for name, net in nets.items()
    }


def with_gates(x: Tensor, fixed: list[Tensor | None]) -> tuple[Tensor, list[Tensor]]:
    """The painting and the gates of the network with SE, some of them set, for one image (1, 3, 20, 20)."""
    net, used = painters()["se"], []
    for k in range(3):
        x = net[4 * k : 4 * k + 3](x)
        gate = net[4 * k + 3]
        one, two = gate.linear1, gate.linear2
        own = excite(squeeze(x), one.weight, two.weight, one.bias, two.bias)[0]
        used.append(own if fixed[k] is None else fixed[k])
        x = rescale(x, used[-1][None])
    return net[12](x)[0, 0], used


def image_of(state: State, cue: int) -> Tensor:
    """The input of a state, (1, 3, 20, 20), with stripes of a cue."""
    puzzle = painting_puzzle(6, seed=1, part="test")
    x = torch.zeros(1, 3, 20, 20)
    drawn = state["drawn"]
    x[0, :2] = puzzle.x[state["image"], :2] if drawn is None else torch.tensor(drawn).view(2, 20, 20) / 16
    stripes = torch.tensor([1.0, 0, 1, 0]).expand(4, 4)
    x[0, 2, 16:, 16:] = stripes.T if cue else stripes
    return x


def painted(state: State) -> tuple[Tensor, Tensor, list[Tensor], Tensor]:
    """The painting with SE, the one without, the gates, and the input of a state."""
    x = image_of(state, state["cue"])
    fixed: list[Tensor | None] = [None] * 3
    if state["source"] == "hand":
        fixed = [torch.tensor(gates) for gates in state["hand"]]
    elif state["source"] != "own":
        _, other = with_gates(image_of(state, 1 - state["cue"]), [None] * 3)
        fixed = [
            s if state["source"] in ("other", f"layer {k}") else None for k, s in enumerate(other, start=1)
        ]
    picture, gates = with_gates(x, fixed)
    return picture, painters()["plain"](x)[0, 0], gates, x[0]


def paintings(state: State) -> str:
    """What the painter says."""
    mine, plain, gates, x = painted(state)

    def seen(picture: Tensor) -> str:
        """How much of each digit is in a picture, by least squares."""
        digits = x[:2].flatten(1).T.double()
        parts = torch.linalg.pinv(digits) @ picture.flatten().double()
        less, more = sorted(parts.tolist())
        what = f"channel {1 + int(parts.argmax())}"
        if more < 0.2:
            what = "next to nothing"
        elif less > more / 2:
            what = "both digits, in grey"
        one, two = (f"{100 * part:.0f}".replace("-0", "0").replace("-", "−") for part in parts.tolist())
        return f"{what} ({one} % of channel 1, {two} % of channel 2)"

    puzzle = painting_puzzle(6, seed=1, part="test")
    own_cue = int(puzzle.cue[state["image"]])
    kind = int((puzzle.named if own_cue == state["cue"] else puzzle.unnamed)[state["image"]])
    digit = f"a {kind}" if state["drawn"] is None else "as you drew it"
    whose = {"own": "", "hand": " and gates set by hand", "other": " and the gates of the other cue"}
    source = whose.get(state["source"], f" and the gates of the other cue in {state['source']}")
    said = (
        f"The stripes name channel {state['cue'] + 1}, {digit}. "
        f"With SE{source} the picture shows {seen(mine)}. Without SE it shows {seen(plain)}."
    )
    if state["pen"]:
        channel, row, column = state["pen"]
        ink = float(x[channel, row, column])
        said += f" Pen on channel {channel + 1}, row {row}, column {column}: {ink:.2f} of white."
    if state["gates"]:
        layer, c = state["gate"]
        said += f" Layer {layer + 1}, map {c + 1}: gate {float(gates[layer][c]):.2f}."
    return said


EXPECTED: dict[str, Callable[[State], str]] = {
    "block": block,
    "terms": terms,
    "cost": costs,
    "painter": paintings,
}
