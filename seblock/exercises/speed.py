"""Exercises of 14_speed."""

from collections.abc import Callable
from typing import Any

from seblock.exercises.exercise import Exercise
from seblock.exercises.outcome import number


def step_left(part: float, share: float) -> float:
    return 1 - part + part * share


def _seen(result: Any, part: float, share: float) -> str:
    """What should hold in this case, in words."""
    got, right = float(result), step_left(part, share)
    text = f"For part = {part} and share = {share} your function returns {number(got, right)}"
    if part == 0:
        return f"{text}. A block that takes no time cannot make the step faster: 1 is right."
    if share == 1:
        return f"{text}. A block that takes all of its old time leaves the step as it was: 1 is right."
    if part == 1:
        return f"{text}. If the block is all of the step, the step takes {share} as well."
    if share == 0:
        return (
            f"{text}. If the block takes no time any more, the rest is left: 1 - {part} = {number(1 - part)}."
        )
    return (
        f"{text}. The rest takes 1 - {part} = {number(1 - part)} as before, and the block {part} × {share} = "
        f"{number(part * share)}: together {number(right, got)}."
    )


check_step_left = Exercise(
    solution=step_left,
    cases=[
        *[(0.3, 1.0), (0.4, 0.0), (1.0, 0.7), (0.0, 0.6), (0.1, 0.54), (0.5, 0.2), (0.25, 0.5), (0.9, 0.1)],
        (0.6, 0.85),
    ],
    reason=_seen,
    kinds={
        "share is 1": lambda part, share: share == 1,
        "share is 0": lambda part, share: share == 0,
        "part is 1": lambda part, share: part == 1,
        "part is 0": lambda part, share: part == 0,
        "part or share is 0 or 1": lambda part, share: part in (0, 1) or share in (0, 1),
        "part is 0 or 1": lambda part, share: part in (0, 1),
        "share is 0 or 1": lambda part, share: share in (0, 1),
        "part is 0 or share is 1": lambda part, share: part == 0 or share == 1,
        "part is 1 or share is 0": lambda part, share: part == 1 or share == 0,
        "part is 0 or share is 0": lambda part, share: part == 0 or share == 0,
        "part is 1 or share is 1": lambda part, share: part == 1 or share == 1,
    },
    right="However fast the block gets, the step keeps the time of everything else.",
    mistakes={
        "That is the block alone. The rest of the step takes its time as before: add it.":
            lambda part, share: part * share,
        "That is how much is saved. The step takes what is left of 1.":
            lambda part, share: part * (1 - share),
        "That is what is left of the block, not of the step. Only `part` of the step belongs to the block.":
            lambda part, share: share,
        "That is `part`, what the block took before. The rest has to be added, and the block shortened.":
            lambda part, share: part,
        "The block is taken off, and its remaining time is not put back.":
            lambda part, share: 1 - part,
        "`share` is what is left of the block's time, not what is saved of it.":
            lambda part, share: 1 - part * share,
        "`share` multiplies the block's time; divided by it, the time gets longer.":
            lambda part, share: 1 - part + part / share,
        "`part` belongs to the block: it is the rest, 1 − part, that stays as it is.":
            lambda part, share: part + (1 - part) * share,
        "That is the factor by which the step gets faster. Its time is the inverse.":
            lambda part, share: 1 / (1 - part + part * share),
        "That is the factor by which the step would get faster if `share` were a speed-up. It is a "
        "share of time.":
            lambda part, share: 1 / (1 - part + part / share),
        "The whole `share` is added to the rest. The block takes `part` times `share` of the step.":
            lambda part, share: 1 - part + share,
        "The block's time is taken off the rest. Both take time: add them.":
            lambda part, share: 1 - part - part * share,
        "The block's new time is added to the whole step. Take its old time, `part`, off first.":
            lambda part, share: 1 + part * share,
        "The signs are the wrong way round: `part` goes, part × share comes back.":
            lambda part, share: 1 + part - part * share,
        "The rest is what gets faster here. The block alone does.":
            lambda part, share: (1 - part) * share,
        "It is what is saved of everything, 1 − share. Only `part` of the step gets faster.":
            lambda part, share: 1 - share,
        "`part` and `share` are exchanged in the rest: it is 1 − part.":
            lambda part, share: 1 - share + part * share,
        "It is the share of the new step that the block takes. Asked for is how long the step takes.":
            lambda part, share: part * share / (1 - part + part * share),
        "It is the share of the new step that the rest takes. Asked for is how long the step takes.":
            lambda part, share: (1 - part) / (1 - part + part * share),
        "It is in per cent. The task asks for a number from 0 to 1.":
            lambda part, share: 100 * (1 - part + part * share),
        "The rest is multiplied by 1 − share. It keeps its time, and the block's is added: part × share.":
            lambda part, share: (1 - part) * (1 - share),
    },
)  # fmt: skip


def share_needed(part: float, wanted: float) -> float:
    return max(0.0, (wanted - 1 + part) / part)


def _left_for_it(result: Any, part: float, wanted: float) -> str:
    """What the rest leaves for the block."""
    right, left = share_needed(part, wanted), wanted - (1 - part)
    text = (
        f"For part = {part}, wanted = {wanted} you return {number(float(result), right)}, expected is "
        f"{number(right, float(result))}. The rest takes 1 - {part} = {number(1 - part)}"
    )
    if left < 0:
        return f"{text}, more than is wanted, so no block is fast enough."
    return f"{text}, so {number(left)} of the step is left for a block that took {part}."


check_share_needed = Exercise(
    solution=share_needed,
    reason=_left_for_it,
    kinds={"no block is fast enough": lambda part, wanted: wanted < 1 - part},
    cases=[(0.1, 0.95), (0.5, 0.75), (0.25, 0.9), (0.1, 0.8), (0.9, 0.3)],
    right="Below 1 - part there is nothing to be had, whatever somebody does to the block.",
    mistakes={
        "A share cannot be negative: where even a block that takes no time is too slow, return 0.":
            lambda part, wanted: (wanted - 1 + part) / part,
        "That is for the whole step. Only `part` of it belongs to the block.":
            lambda part, wanted: wanted,
        "That is what has to be saved of the block's time, not what is left of it.":
            lambda part, wanted: min(1.0, (1 - wanted) / part),
        "That is what is left of the whole step for the block. As a share of its own time, divide it "
        "by `part`.":
            lambda part, wanted: max(0.0, part - (1 - wanted)),
        "What is left for the block is multiplied by `part`. Divide by it.":
            lambda part, wanted: max(0.0, (wanted - (1 - part)) * part),
        "The sign is lost. Where no block is fast enough, return 0.":
            lambda part, wanted: abs((wanted - (1 - part)) / part),
        "It is 0 whatever is wanted: what `max` is given is never above 0, or it is cut to a whole number.":
            lambda part, wanted: 0.0,
        "What has to be saved of the block's time is cut off at 0. What is left of it is 1 less that.":
            lambda part, wanted: max(0.0, (1 - wanted) / part),
        "That is exercise 1 once more, the step's time for a given share. Here the step's time is given.":
            lambda part, wanted: step_left(part, wanted),
        "The rest of the step is left out: it takes 1 - part whatever the block does.":
            lambda part, wanted: wanted / part,
        "The block and the rest are exchanged: `part` is the block's, and 1 - part stays as it is.":
            lambda part, wanted: max(0.0, (wanted - part) / (1 - part)),
        "The rest of the step takes 1 - part, not `part`, and what is left is a share of the block's "
        "time: divide.":
            lambda part, wanted: max(0.0, wanted - part),
        "The rest of the step takes 1 - part, not `part`. Take that off `wanted`.":
            lambda part, wanted: max(0.0, (wanted - part) / part),
        "`wanted` is taken off `part`. It is the rest of the step, 1 - part, that is taken off `wanted`.":
            lambda part, wanted: max(0.0, (part - wanted) / part),
        "`wanted` is taken off `part`, and nothing keeps it at 0. The rest, 1 - part, is taken off `wanted`.":
            lambda part, wanted: (part - wanted) / part,
        "`min` lets through what is below 0, and nothing else. It is `max` that keeps a share from falling "
        "below 0.":
            lambda part, wanted: min(0.0, (wanted - 1 + part) / part),
        "The rest is 1 - part: taken off, its `part` comes back with a plus, wanted - 1 + part.":
            lambda part, wanted: (wanted - 1 - part) / part,
        "What is left for the block is divided by the rest. As a share of the block's own time, divide it by "
        "`part`.":
            lambda part, wanted: max(0.0, (wanted - 1 + part) / (1 - part)),
        "`wanted` is divided by the rest. Take the rest, 1 - part, off `wanted`, and divide by `part`.":
            lambda part, wanted: wanted / (1 - part),
        "It is upside down: what is left for the block is divided by `part`.":
            lambda part, wanted: max(0.0, part / (wanted - 1 + part)),
        "What is left for the block is divided by `wanted`. Its old time was `part`: divide by that.":
            lambda part, wanted: max(0.0, (wanted - 1 + part) / wanted),
        "The rest is divided by `wanted`. Take the rest, 1 - part, off `wanted`, and divide by `part`.":
            lambda part, wanted: (1 - part) / wanted,
        "`wanted` is multiplied by `part`: that is the block's time if everything got faster alike.":
            lambda part, wanted: part * wanted,
        "It is what has to be saved of the step's time. What may the block still take of its own?":
            lambda part, wanted: 1 - wanted,
    },
)  # fmt: skip


def term_passes() -> tuple[int, int]:
    return 3, 3


FORWARD = {
    1: "Forward, u has to be read, and x̃ to be written: more than one pass.",
    2: "Forward, u is read twice: the term is known only when the whole map has been added up.",
    4: "Forward one too many: the mean of a map and its term are numbers, they are not written as maps.",
    5: "Forward two too many or more: the mean of a map and its term are numbers, not maps.",
}


BACKWARD = {
    1: "Backward, g has to be read, and the gradient to be written: more than one.",
    2: "Backward, g is read twice: what the mean passes back is known only when g is added up.",
    4: "Backward, 4 is SE's count: to multiply, the way back needs u as well as g. Does it to add?",
    5: "Backward two too many: no product has to be stored, and u is not needed.",
    6: "Backward three too many or more: no product has to be stored, and u is not needed.",
}
"""What to say of a wrong number of passes."""


def _counted(forward: int, backward: int) -> Callable[[], tuple[int, int]]:
    return lambda: (forward, backward)


def _too_many(result: Any) -> str:
    """What to say of numbers that nobody expects."""
    forward, backward = (float(n) for n in result)
    if forward != int(forward) or backward != int(backward) or min(forward, backward) < 1:
        return "Passes come whole, and there is more than none either way."
    return " ".join(
        text
        for text in (FORWARD.get(min(int(forward), 5), ""), BACKWARD.get(min(int(backward), 6), ""))
        if text
    )


check_term_passes = Exercise(
    solution=term_passes,
    cases=[()],
    parts=("the number of passes forward", "the number of passes backward"),
    reason=_too_many,
    right="One pass fewer than SE: the way back of a sum needs no map of the forward pass.",
    mistakes={
        " ".join(text for text in (FORWARD.get(f, ""), BACKWARD.get(b, "")) if text): _counted(f, b)
        for f in range(1, 6)
        for b in range(1, 7)
        if (f, b) != term_passes()
    },
)
