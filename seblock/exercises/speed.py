"""Exercises of 14_speed."""

from seblock.exercises.exercise import Exercise


def step_left(part: float, share: float) -> float:
    return 1 - part + part * share


check_step_left = Exercise(
    solution=step_left,
    cases=[(0.1, 0.54), (0.5, 0.2), (0.25, 0.5), (0.9, 0.1)],
    right="However fast the block gets, the step keeps the time of everything else.",
    mistakes={
        "That is the block alone. The rest of the step takes its time as before: add it.":
            lambda part, share: part * share,
        "That is how much is saved. The step takes what is left of 1.":
            lambda part, share: part * (1 - share),
        "The block's share is taken off the whole step. Only `part` of the step belongs to the block.":
            lambda part, share: share,
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
    },
)  # fmt: skip
