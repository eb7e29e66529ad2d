"""Exercises of 00_start_here."""

from seblock.exercises.exercise import Exercise


def bet(p: float) -> tuple[float, float]:
    return p, 1 - p


check_bet = Exercise(
    solution=bet,
    cases=[(0.75,), (0.3,), (1.0,), (0.9,)],
    right="The cheapest bet under squared error is the average of what may be wanted, each by its chance.",
    mistakes={
        "Half of each is the best bet for even chances. Here one digit is wanted more often.":
            lambda p: (0.5, 0.5),
        "That bets everything on the likelier digit. When it is wrong, squared error charges a full miss.":
            lambda p: (1.0, 0.0) if p > 0.5 else (0.0, 1.0) if p < 0.5 else (0.5, 0.5),
        "The two are exchanged: p is how often digit 1 is wanted.":
            lambda p: (1 - p, p),
        "That leans too far: the chances are squared. Set the derivative of the price to zero once more.":
            lambda p: (p**2, (1 - p) ** 2),
        "The chances are squared, then made to add up to 1. It is the price that is squared, not the bet.":
            lambda p: (p**2 / (p**2 + (1 - p) ** 2), (1 - p) ** 2 / (p**2 + (1 - p) ** 2)),
        "Digit 2 is painted as strongly as digit 1. It is wanted in the rest of the cases, 1 - p.":
            lambda p: (p, p),
        "That is the price of the bet, p (1 - p), not the bet.":
            lambda p: (p * (1 - p), p * (1 - p)),
    },
)  # fmt: skip


def layers(side: int, patch: int, k: int) -> int:
    steps, reach = side - patch + 1, k // 2
    return -(-steps // reach)


check_layers = Exercise(
    solution=layers,
    cases=[(20, 4, 3), (40, 4, 3), (20, 4, 5), (20, 4, 7), (20, 6, 7), (31, 5, 9), (24, 2, 11)],
    right="The puzzle would take seventeen layers. With one SE block, one layer is enough to notice.",
    mistakes={
        "That reaches the patch's corner, white with either kind of stripes. It takes a step more.":
            lambda side, patch, k: -(-(side - patch) // (k // 2)),
        "The last step is cut short: layers come whole, so round up.":
            lambda side, patch, k: (side - patch + 1) // (k // 2),
        "That is for layers of 3 × 3. A layer of k × k sees k // 2 pixels in every direction.":
            lambda side, patch, k: side - patch + 1,
        "A window of k pixels reaches k // 2 from its middle, not k.":
            lambda side, patch, k: -(-(side - patch + 1) // k),
        "A window of k pixels reaches k // 2 from its middle, not k - 1.":
            lambda side, patch, k: -(-(side - patch + 1) // (k - 1)),
        "That goes to the far rim of the patch. The nearest pixel that tells the stripes apart is enough.":
            lambda side, patch, k: -(-(side - 1) // (k // 2)),
        "That goes right across the image and past it: count the steps between pixels, not the pixels.":
            lambda side, patch, k: -(-side // (k // 2)),
        "Going diagonally costs no more than going straight: a window is square.":
            lambda side, patch, k: -(-(2 * (side - patch) + 1) // (k // 2)),
        "That is the number of pixels between the two. The last step leads onto the pixel itself.":
            lambda side, patch, k: -(-(side - patch - 1) // (k // 2)),
    },
)  # fmt: skip
