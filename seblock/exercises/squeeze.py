"""Exercises of 03_squeeze."""

from torch import Tensor

from seblock.exercises.exercise import Exercise, seeded
from seblock.functional import squeeze

check_squeeze = Exercise(
    solution=squeeze,
    cases=[seeded((2, 8, 5, 3)), seeded((3, 4, 1, 6), seed=1), seeded((1, 2, 4, 4), seed=2)],
    right="One mean for each channel of each image; where things are is gone.",
    mistakes={
        "It is the sum over the positions. The formula divides by H × W.":
            lambda u: u.sum((2, 3)),
        "It is the largest value of each map. The formula has the mean.":
            lambda u: u.amax((2, 3)),
        "The mean runs over the channels (dimension 1). It should run over the positions, 2 and 3.":
            lambda u: u.mean(1),
        "The mean runs over the images (dimension 0). Each image keeps numbers of its own.":
            lambda u: u.mean((0, 2, 3)),
        "One number for each image is left. The channels must stay apart: only dimensions 2 and 3 go.":
            lambda u: u.mean((1, 2, 3)),
        "Only the rows are averaged (dimension 2). The columns, dimension 3, have to go too.":
            lambda u: u.mean(2),
        "Only the columns are averaged (dimension 3). The rows, dimension 2, have to go too.":
            lambda u: u.mean(3),
        "It is the median. It throws away how far the others are from it; the formula has the mean.":
            lambda u: u.flatten(2).median(2).values,
        "What is below zero is cut off before the mean. The squeeze takes the maps as they are.":
            lambda u: u.relu().mean((2, 3)),
        "It is the root of the mean square. The formula adds the values themselves.":
            lambda u: u.square().mean((2, 3)).sqrt(),
        "It is the mean of absolute values: negative responses should count as negative.":
            lambda u: u.abs().mean((2, 3)),
    },
)  # fmt: skip


def masked_squeeze(u: Tensor, mask: Tensor) -> Tensor:
    return (u * mask).sum((2, 3)) / mask.sum((2, 3))


def _masked(seed: int, *shape: int, cut: bool = False) -> tuple[Tensor, Tensor]:
    """Maps, cut off at zero or not, and a mask whose images have different numbers of valid positions."""
    u, noise = seeded(shape, (shape[0], 1, *shape[2:]), seed=seed)
    u = u.relu() if cut else u
    mask = (noise > 0).float()
    mask[:, :, 0, 0] = 1
    return u, mask


check_masked_squeeze = Exercise(
    solution=masked_squeeze,
    # A map may hold zeros of its own, as after a ReLU: the mask, not the map, says what is padding.
    cases=[_masked(0, 2, 8, 5, 3), _masked(1, 3, 4, 6, 6), _masked(2, 2, 3, 4, 5, cut=True)],
    right="The padding neither adds to the sum nor counts in the division.",
    mistakes={
        "The sum is right, but it is divided by H × W: the padding still pulls the mean to zero.":
            lambda u, mask: (u * mask).mean((2, 3)),
        "The mask is not used: it is the mean over all positions.":
            lambda u, mask: squeeze(u),
        "It is the mean over the padding: 1 marks what is valid, 0 what is not.":
            lambda u, mask: masked_squeeze(u, 1 - mask),
        "It is the sum over the valid positions; divide by how many there are.":
            lambda u, mask: (u * mask).sum((2, 3)),
        "It is divided by the number of values that are not zero. A valid position may hold a zero.":
            lambda u, mask: (u * mask).sum((2, 3)) / (u * mask).count_nonzero((2, 3)),
        "It is divided by the valid positions of the whole batch. Each image has its own number.":
            lambda u, mask: (u * mask).sum((2, 3)) / mask.sum(),
        "The padding is left in the sum: multiply by the mask before adding up.":
            lambda u, mask: u.sum((2, 3)) / mask.sum((2, 3)),
    },
)  # fmt: skip
