"""Exercises of 00_start_here."""

import math
from collections.abc import Callable
from typing import Any

from seblock.exercises.exercise import Exercise
from seblock.exercises.outcome import number


def bet(p: float) -> tuple[float, float]:
    return p, 1 - p


def _price(result: Any, p: float) -> str:
    """What these shades cost, and the best ones."""

    def cost(shades: Any) -> float:
        return sum(q * (1 - a) ** 2 + (1 - q) * a**2 for a, q in zip(shades, (p, 1 - p), strict=True))

    ours, best = cost([float(a) for a in result]), cost((p, 1 - p))
    return (
        f"For p = {p} your shades cost {number(ours, best)} on average, and the best {number(best, ours)}: "
        "a shade a of a digit that a share q of the images wants costs q (1 - a)² + (1 - q) a²."
    )


check_bet = Exercise(
    solution=bet,
    cases=[(0.75,), (0.3,), (1.0,), (0.9,)],
    parts=("the shade of digit 1", "the shade of digit 2"),
    reason=_price,
    right="The cheapest bet under squared error is the average of what may be wanted, each by its chance.",
    mistakes={
        "Half of each is the best bet for even chances. Here one digit is wanted more often.":
            lambda p: (0.5, 0.5),
        "That bets everything on the likelier digit. When it is wrong, squared error charges a full miss.":
            lambda p: (1.0, 0.0) if p > 0.5 else (0.0, 1.0) if p < 0.5 else (0.5, 0.5),
        "The two are exchanged: p is how often digit 1 is wanted.":
            lambda p: (1 - p, p),
        "The chances are squared, so both shades are too pale. Set the price's derivative to zero once more.":
            lambda p: (p**2, (1 - p) ** 2),
        "The chances are squared, then made to add up to 1. It is the price that is squared, not the bet.":
            lambda p: (p**2 / (p**2 + (1 - p) ** 2), (1 - p) ** 2 / (p**2 + (1 - p) ** 2)),
        "Digit 2 is painted as strongly as digit 1. It is wanted in the rest of the cases, 1 - p.":
            lambda p: (p, p),
        "That is the price of the bet, 2 p (1 - p), for both digits. What is the bet?":
            lambda p: (2 * p * (1 - p), 2 * p * (1 - p)),
        "It is half-way between the best bet and betting everything on digit 1.":
            lambda p: ((1 + p) / 2, (1 - p) / 2),
        "That is what one digit's shade costs, p (1 - p), not the shade.":
            lambda p: (p * (1 - p), p * (1 - p)),
    },
)  # fmt: skip


def layers(side: int, patch: int, k: int) -> int:
    return _layers(side, patch, k)


def _layers(
    side: int,
    patch: int,
    k: int,
    steps: Callable[[int, int], float] = lambda side, patch: side - patch + 1,
    reach: Callable[[int], float] = lambda k: k // 2,
    whole: Callable[[float], float] = math.ceil,
) -> int:
    return whole(steps(side, patch) / reach(k))  # type: ignore[return-value]


def _steps(result: Any, side: int, patch: int, k: int) -> str:
    """How the right number comes about."""
    return (
        f"For side = {side}, patch = {patch} and k = {k} your function returns {number(float(result))}, "
        f"expected is {layers(side, patch, k)}. From pixel 0 to the second pixel of the patch it is "
        f"{side - patch + 1} steps, and a layer of {k} × {k} takes {k // 2} of them."
    )


check_layers = Exercise(
    solution=layers,
    cases=[(20, 4, 3), (40, 4, 3), (20, 4, 5), (20, 4, 7), (20, 6, 7), (31, 5, 9), (24, 2, 11)],
    reason=_steps,
    kinds={"the steps can be divided by k // 2": lambda side, patch, k: (side - patch + 1) % (k // 2) == 0},
    right="The puzzle would take seventeen layers. With one SE block, one layer is enough to notice.",
    variant=_layers,
    slips={
        "steps": {
            "That reaches the patch's corner, white with either kind of stripes. It takes a step more.":
                lambda side, patch: side - patch,
            "That goes to the far rim of the patch. The nearest pixel that tells the stripes apart "
            "is enough.":
                lambda side, patch: side - 1,
            "That goes right across the image and past it: count the steps between pixels, not the pixels.":
                lambda side, patch: side,
            "Going diagonally costs no more than going straight: a window is square.":
                lambda side, patch: 2 * (side - patch) + 1,
            "The diagonal is as long as by Pythagoras. A window is square, so a diagonal step is one step.":
                lambda side, patch: (side - patch + 1) * math.sqrt(2),
            "That is the number of pixels between the two. The last step leads onto the pixel itself.":
                lambda side, patch: side - patch - 1,
            "That is one step too many, or 1 is added where there is nothing to round up.":
                lambda side, patch: side - patch + 2,
            "That goes to the middle of the patch. The nearest pixel that tells the stripes apart is enough.":
                lambda side, patch: side - 1 - patch / 2,
        },
        "reach": {
            "That is for layers of 3 × 3. A layer of k × k sees k // 2 pixels in every direction.":
                lambda k: 1,
            "A window of k pixels reaches k // 2 from its middle, not k.": lambda k: k,
            "A window of k pixels reaches k // 2 from its middle, not k - 1.": lambda k: k - 1,
            "A window of k pixels reaches k // 2 from its middle, whole pixels, and not k / 2.":
                lambda k: k / 2,
            "The steps are multiplied by what a layer sees. Divide by it.": lambda k: 1 / (k // 2),
        },
        "whole": {
            "The last step is cut short: layers come whole, so round up.": int,
            "Layers come whole: round up.": lambda x: x,
            "That is rounded to the nearest number. The last step may be short, and takes a whole layer.":
                round,
        },
    },
    mistakes={
        "Without brackets around k // 2 it is divided by k and then by 2, and rounded down.":
            lambda side, patch, k: (side - patch + 1) // (2 * k),
        "Without brackets around k // 2 it is divided by k and then by 2.":
            lambda side, patch, k: -(-(side - patch + 1) // (2 * k)),
    },
)  # fmt: skip


def saved(r: float) -> float:
    return (2 * r - 1) ** 2


def _saved(result: Any, r: float) -> str:
    """How the right number comes about."""
    right = saved(r)
    return (
        f"For r = {r} you return {number(float(result), right)}, expected is {number(right, float(result))}. "
        f"For a pixel of one digit the best shade costs {number(r * (1 - r))} on average, and a blind bet "
        "costs 0.25."
    )


check_lying_cue = Exercise(
    solution=saved,
    cases=[(0.75,), (0.9,), (0.5,), (1.0,), (0.0,), (0.2,), (0.4,)],
    reason=_saved,
    kinds={"the cue is right at least half of the time": lambda r: r >= 0.5},
    right="A cue that always lies is worth as much as one that never does. One that is right in half of the "
    "images is worth nothing.",
    mistakes={
        "That is what is left to pay, as a share of a blind bet's price. What is saved is the rest.":
            lambda r: 4 * r * (1 - r),
        "That is the price with the cue, r (1 - r). The question is what is saved of a blind bet's price.":
            lambda r: r * (1 - r),
        "That is what is saved on each pixel. Divide by what a blind bet costs there, a quarter, to make "
        "it a share.":
            lambda r: 0.25 - r * (1 - r),
        "A blind bet does not cost 1. It paints a half where 0 or 1 is wanted: what is half a miss, squared?":
            lambda r: 1 - r * (1 - r),
        "For one pixel a blind bet costs a quarter, not a half: it is off by a half, and the error is "
        "squared. For both digits it costs a half, but then the price with the cue is 2 r (1 - r).":
            lambda r: 1 - 2 * r * (1 - r),
        "That is how much better than chance the cue is. Below a half it is negative, and yet a network can "
        "learn to paint the other digit. And errors are squared.":
            lambda r: 2 * r - 1,
        "That is how far the cue is from chance. Errors are squared, so what is saved is less.":
            lambda r: abs(2 * r - 1),
        "That bets everything on the cue, which costs a full miss whenever it lies. There is a cheaper bet.":
            lambda r: 4 * r - 3,
        "That bets everything on the cue, or else is blind. Between the two there is a cheaper bet.":
            lambda r: max(4 * r - 3, 0.0),
        "That bets everything on the likelier digit, which costs a full miss whenever it is the other one. "
        "There is a cheaper bet.":
            lambda r: 1 - 4 * min(r, 1 - r),
        "That bets everything on the likelier digit, or else is blind. Between the two there is a "
        "cheaper bet.":
            lambda r: max(1 - 4 * min(r, 1 - r), 0.0),
        "For r above a half your answer is right. A cue that mostly lies tells just as much: believe the "
        "opposite.":
            lambda r: max(2 * r - 1, 0.0) ** 2,
        "That is how often the cue is right. With r = 0.5 it says nothing, and nothing is saved.":
            lambda r: r,
        "That is how often the cue lies.":
            lambda r: 1 - r,
        "That is r squared. With r = 0.5 the cue says nothing, and nothing is saved.":
            lambda r: r * r,
    },
)  # fmt: skip
