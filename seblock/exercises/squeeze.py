"""Exercises of 03_squeeze."""

from collections.abc import Iterator

import torch
from torch import Tensor

from seblock.exercises.criteria import first_unmet
from seblock.exercises.exercise import Exercise, seeded
from seblock.functional import squeeze
from seblock.photos import features


def new_z(z: float, share: float, old: float, new: float) -> float:
    return z + share * (new - old)


check_new_z = Exercise(
    solution=new_z,
    cases=[(0.06, 1 / 16, 0.06, 2.0), (0.56, 0.25, 0.9, 0.1), (0.3, 0.5, 0.2, 0.6), (1.2, 0.1, 0.0, 3.0)],
    right="What is new comes in by its share, and what was there goes out by the same share.",
    mistakes={
        "What was in the patch is still counted: it went out of the mean when the new values came in.":
            lambda z, share, old, new: z + share * new,
        "That takes the old mean of the patch for that of the whole map. They may differ.":
            lambda z, share, old, new: (1 - share) * z + share * new,
        "The share is missing: only part of the map has changed.":
            lambda z, share, old, new: z + new - old,
        "That is the change of z, without the z that was there before.":
            lambda z, share, old, new: share * (new - old),
        "The signs are exchanged: the new values come in and the old ones go out.":
            lambda z, share, old, new: z + share * (old - new),
        "The sum is divided by 1 + share, as if the map had grown. It has as many positions as before.":
            lambda z, share, old, new: (z + share * new) / (1 + share),
        "That is the mean of the positions outside the patch.":
            lambda z, share, old, new: (z - share * old) / (1 - share),
        "The other positions' mean is counted with the wrong share.":
            lambda z, share, old, new: z + (1 - share) * (new - old),
    },
)  # fmt: skip


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


def pair() -> Tensor:
    photos = torch.full((2, 3, 20, 20), 0.3)
    thing = torch.zeros(3, 6, 6)
    for channel in range(3):  # a red, a green and a blue stripe
        thing[channel, 2 * channel : 2 * channel + 2] = 1
    thing[:, :, 3:] = 1  # and white beside them
    photos[0, :, 3:9, 3:9] = photos[1, :, 10:16, 11:17] = thing
    return photos


def _pair(photos: Tensor) -> int:
    """Which of the things that are wanted of the two photos they lack, counted from 1; 0 if none."""
    photos = torch.as_tensor(photos).float()
    if photos.ndim != 4 or photos.shape[:2] != (2, 3):
        raise ValueError(f"expected two photos, (2, 3, H, W), got shape {tuple(photos.shape)}")

    def criteria() -> Iterator[bool]:
        yield bool(((photos >= 0) & (photos <= 1)).all())
        z = squeeze(features(photos))
        yield not torch.equal(photos[0], photos[1])
        yield bool((photos[0] - photos[1]).abs().mean() >= 0.02)
        yield bool((z > 0.01).all())
        apart = (z[0] - z[1]).abs()
        yield bool(apart[[0, 3, 4, 5]].max() < 1e-4) or bool(apart[[1, 2]].max() >= 1e-4)
        yield not (bool(apart[[0, 3, 4, 5]].max() < 1e-4) and bool(apart[[1, 2]].max() >= 1e-4))
        yield bool(apart.max() < 1e-4)

    return first_unmet(criteria())


def _mirrored() -> Tensor:
    """A photo that is lighter on the right, and the same photo mirrored."""
    photo = (pair()[0] + torch.linspace(0, 0.5, 20)) / 1.5
    return torch.stack([photo, photo.flip(2)])


def _wider() -> Tensor:
    """The thing, and the thing with more white."""
    photos = pair()
    photos[1, :, 10:16, 17] = 1
    return photos


check_pair = Exercise(
    solution=pair,
    cases=[()],
    view=_pair,
    hint="It takes no arguments and returns two photos in one tensor, (2, 3, H, W).",
    right="The six numbers say what is in the photo, and not where.",
    mistakes={
        "A photo's numbers lie between 0 and 1. One of yours is outside.":
            lambda: pair() * 4,
        "The two photos are the same.":
            lambda: pair()[[0, 0]],
        "A person would hardly tell them apart: let more pixels differ, 0.02 on average.":
            lambda: torch.stack([pair()[0], pair()[0] + 0.001]).clamp(max=1),
        "One of the six maps is nearly empty. It takes something red, green and blue, and edges.":
            lambda: pair()[:, [0, 0, 0]].roll(1, 0),
        "All agree but the edges. Those maps count only what gets lighter to the right, or downwards.":
            _mirrored,
        "The means differ. Move something that stays whole, with the same surroundings, off the rim.":
            _wider,
    },
)  # fmt: skip
