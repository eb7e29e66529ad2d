"""Exercises of 03_squeeze."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seblock.exercises.criteria import first_unmet
from seblock.exercises.errors import Rules
from seblock.exercises.exercise import Exercise, seeded
from seblock.exercises.outcome import number, numbers
from seblock.photos import features


def squeeze(u: Tensor) -> Tensor:
    return u.sum((2, 3)) / (u.shape[2] * u.shape[3])


def _squeeze(
    u: Tensor,
    before: Callable[[Tensor], Tensor] = lambda u: u,
    reduce: Callable[[Tensor], Tensor] = squeeze,
    after: Callable[[Tensor], Tensor] = lambda z: z,
) -> Tensor:
    return after(reduce(before(u)))


def new_z(z: float, share: float, old: float, new: float) -> float:
    return z + share * (new - old)


def _new_z(
    z: float,
    share: float,
    old: float,
    new: float,
    rest: Callable[[float, float], float] = lambda z, share: z,
    out: Callable[[float, float, float], float] = lambda z, share, old: share * old,
    comes: Callable[[float, float], float] = lambda share, new: share * new,
    whole: Callable[[float], float] = lambda share: 1,
) -> float:
    return (rest(z, share) - out(z, share, old) + comes(share, new)) / whole(share)


def _hundred(result: Any, z: float, share: float, old: float, new: float) -> str:
    """The same on a map of a hundred positions."""
    right = new_z(z, share, old, new)
    return (
        f"For z = {z}, share = {share}, old = {old}, new = {new} you return {number(float(result), right)}, "
        f"expected is {number(right, float(result))}. On a map of 100 positions the sum was "
        f"{number(100 * z)}; "
        f"the patch took {number(100 * share * old)} out of it and brought {number(100 * share * new)} in."
    )


check_new_z = Exercise(
    solution=new_z,
    cases=[
        *[(0.06, 1 / 16, 0.06, 2.0), (0.56, 0.25, 0.9, 0.1), (0.3, 0.5, 0.2, 0.6), (1.2, 0.1, 0.0, 3.0)],
        (0.7, 0.2, 0.4, 1.5),
    ],
    reason=_hundred,
    kinds={
        "the new values are larger than the old ones": lambda z, share, old, new: new > old,
        "the patch was as the map is on average": lambda z, share, old, new: old == z,
        "the patch was 0": lambda z, share, old, new: old == 0,
    },
    variant=_new_z,
    slips={
        "rest": {
            "The rest of the map is counted by its share, as if z were its mean. z is that of the whole map.":
                lambda z, share: (1 - share) * z,
        },
        "out": {
            "The old values go out whole. They had only a share in the mean.": lambda z, share, old: old,
            "The old values are divided by 1 - share on their way out. They made up share · old of z.":
                lambda z, share, old: share * old / (1 - share),
            "The old values are divided by the share on their way out. They made up share · old of z.":
                lambda z, share, old: old / share,
        },
        "comes": {
            "The new values come in whole. They have only a share in the mean.": lambda share, new: new,
            "Nothing new comes in.": lambda share, new: 0,
        },
        "whole": {
            "The sum is divided by the positions outside the patch. The map has as many as before.":
                lambda share: 1 - share,
            "The sum is divided by 2. The map has as many positions as before.": lambda share: 2,
        },
    },
    right="What is new comes in by its share, and what was there goes out by the same share.",
    mistakes={
        "What was in the patch is still counted: it went out of the mean when the new values came in.":
            lambda z, share, old, new: z + share * new,
        "That takes z, the mean of the whole map, for the old mean of the patch. They may differ.":
            lambda z, share, old, new: (1 - share) * z + share * new,
        "The share is missing: only part of the map has changed.":
            lambda z, share, old, new: z + new - old,
        "That is the change of z, without the z that was there before.":
            lambda z, share, old, new: share * (new - old),
        "The change is multiplied by z. It is added to z as it is.":
            lambda z, share, old, new: z * (1 + share * (new - old)),
        "What is left outside the patch is multiplied by 1 - share. Its sum stays as it was.":
            lambda z, share, old, new: (z - share * old) * (1 - share) + share * new,
        "The signs are exchanged: the new values come in and the old ones go out.":
            lambda z, share, old, new: z + share * (old - new),
        "The sum is divided by 1 + share, as if the map had grown. It has as many positions as before.":
            lambda z, share, old, new: (z + share * new) / (1 + share),
        "The change is divided by the share. It has to be multiplied: a small patch moves the mean little.":
            lambda z, share, old, new: z + (new - old) / share,
        "The change has lost its sign. Where the new values are smaller, the mean falls.":
            lambda z, share, old, new: z + share * abs(new - old),
        "The change is multiplied by 1 - share, the part that stays. Multiply it by the share.":
            lambda z, share, old, new: z + (1 - share) * (new - old),
    },
)  # fmt: skip


def by_convolution(u: Tensor) -> Tensor:
    c, (h, w) = u.shape[1], u.shape[2:]
    return F.conv2d(u, torch.full((c, 1, h, w), 1 / (h * w)), groups=c).flatten(1)


check_squeeze = Exercise(
    solution=by_convolution,
    cases=[
        *[seeded((2, 8, 5, 3)), seeded((3, 4, 1, 6), seed=1), seeded((1, 2, 4, 4), seed=2)],
        *[seeded((4, 5, 2, 7), seed=3), seeded((3, 3, 6, 2), seed=4), (9 * seeded((2, 3, 3, 2), seed=5)[0],)],
        *[seeded((1, 3, 4, 2), seed=6), seeded((2, 4, 3, 3), seed=7)],
    ],
    shapes="u (N, C, H, W) -> (N, C)",
    rules=Rules(
        required=("conv2d",), forbidden=("mean", "nanmean", "sum", "avg_pool2d", "adaptive_avg_pool2d")
    ),
    right="One mean for each channel of each image; where things are is gone.",
    variant=_squeeze,
    slips={
        "before": {
            "What is below zero is cut off before the mean. The squeeze takes the maps as they are.":
                lambda u: u.relu(),
            "It is the mean of absolute values: negative responses should count as negative.":
                lambda u: u.abs(),
            "It is the mean of squares. The formula adds the values themselves.": lambda u: u.square(),
            "Every image gets the first image's numbers. Each has its own.": lambda u: u[:1].expand_as(u),
            "There is a sigmoid before the sum. The squeeze takes the maps as they are.":
                lambda u: u.sigmoid(),
        },
        "reduce": {
            "It is the sum over the positions. The formula divides by H × W.": lambda u: u.sum((2, 3)),
            "The sum is multiplied by H × W. It is divided.": lambda u: u.sum((2, 3)) * u[0, 0].numel(),
            "It is divided by H alone. There are H × W positions.": lambda u: u.sum((2, 3)) / u.shape[2],
            "It is divided by W alone. There are H × W positions.": lambda u: u.sum((2, 3)) / u.shape[3],
            "It is divided by H × H. There are H × W positions.": lambda u: u.sum((2, 3)) / u.shape[2] ** 2,
            "It is divided by W × W. There are H × W positions.": lambda u: u.sum((2, 3)) / u.shape[3] ** 2,
            "It is divided by C × H: sizes are counted from 0, so H and W are u.shape[2] and u.shape[3].":
                lambda u: u.sum((2, 3)) / (u.shape[1] * u.shape[2]),
            "It is divided by N × C. The sum has as many terms as there are positions, H × W.":
                lambda u: u.sum((2, 3)) / (u.shape[0] * u.shape[1]),
            "It is divided by how many numbers the whole batch holds. A map has H × W of them.":
                lambda u: u.sum((2, 3)) / u.numel(),
            "It is divided by how many numbers an image holds, C × H × W. A map has H × W of them.":
                lambda u: u.sum((2, 3)) / u[0].numel(),
            "It is divided by H + W. A map has H × W positions.":
                lambda u: u.sum((2, 3)) / (u.shape[2] + u.shape[3]),
            "It is divided by H × W - 1. That is for a variance; a mean divides by H × W.":
                lambda u: u.sum((2, 3)) / (u[0, 0].numel() - 1),
            "It is divided by the root of H × W, not by H × W.":
                lambda u: u.sum((2, 3)) / u[0, 0].numel() ** 0.5,
            "It is the largest value of each map. The formula has the mean.": lambda u: u.amax((2, 3)),
            "It is the smallest value of each map. The formula has the mean.": lambda u: u.amin((2, 3)),
            "It is halfway between the largest and the smallest value. The formula adds up all of them.":
                lambda u: (u.amax((2, 3)) + u.amin((2, 3))) / 2,
            "It is the median. It throws away how far the others are from it; the formula has the mean.":
                lambda u: u.flatten(2).median(2).values,
            "It is the middle one of the sorted values, a median. The formula has the mean.":
                lambda u: u.flatten(2).sort(2).values[:, :, u[0, 0].numel() // 2],
            "It is the norm of each map, the root of a sum of squares. The formula adds the values "
            "themselves.":
                lambda u: u.flatten(2).norm(dim=2),
            "It is the root of the mean square. The formula adds the values themselves.":
                lambda u: squeeze(u.square()).sqrt(),
            "It is the standard deviation of each map. The formula has the mean.":
                lambda u: u.flatten(2).std(2),
            "It is the value in the middle of each map. Every position counts.":
                lambda u: u[:, :, u.shape[2] // 2, u.shape[3] // 2],
            "It is the value in the first corner of each map. Every position counts.":
                lambda u: u[:, :, 0, 0],
            "The mean runs over the channels (dimension 1). It should run over the positions, 2 and 3.":
                lambda u: u.mean(1),
            "The channels are added up: every output is the same. Let each filter see its own: `groups`.":
                lambda u: u.sum((1, 2, 3))[:, None].expand(u.shape[:2]) / u[0, 0].numel(),
            "The channels are averaged: every output is the same. Let each filter see its own: `groups`.":
                lambda u: u.mean((1, 2, 3))[:, None].expand(u.shape[:2]),
            "The mean runs over the images too (dimension 0). Each image keeps numbers of its own.":
                lambda u: u.mean((0, 2, 3)),
            "The mean runs over the images (dimension 0). It should run over the positions, 2 and 3.":
                lambda u: u.mean(0),
            "One number for each image is left. The channels must stay apart: only dimensions 2 and 3 go.":
                lambda u: u.mean((1, 2, 3)),
            "One number is left for everything. Only dimensions 2 and 3, the positions, should go.":
                lambda u: u.mean(),
            "Only the rows are averaged (dimension 2). The columns, dimension 3, have to go too.":
                lambda u: u.mean(2),
            "Only the columns are averaged (dimension 3). The rows, dimension 2, have to go too.":
                lambda u: u.mean(3),
            "The channels and the rows are averaged (dimensions 1 and 2). Axes are counted from 0: 2 and 3.":
                lambda u: u.mean((1, 2)),
            "The numbers of the first image alone are returned. Each image keeps numbers of its own.":
                lambda u: squeeze(u)[0],
        },
        "after": {
            "There is a sigmoid at the end. That belongs to the next step, the excitation.":
                lambda z: z.sigmoid(),
            "There is a ReLU at the end. A mean may be negative.": lambda z: z.relu(),
            "The numbers are cut to whole ones.": lambda z: z.trunc(),
            "The numbers are rounded down to whole ones: // divides without a rest, / is right.":
                lambda z: z.floor(),
            "Axes of size 1 are left over: (N, C, 1, 1). Drop them, with flatten(1) or without keepdim.":
                lambda z: z[:, :, None, None],
            "The result is transposed, channels before images.": lambda z: z.T,
            "There is a softmax over the channels at the end. The squeeze ends with the mean.":
                lambda z: z.softmax(1),
        },
    },
    mistakes={
        "There is padding: the window fits in nine places instead of one.":
            lambda u: torch.nn.functional.conv2d(
                u, torch.ones(u.shape[1], 1, *u.shape[2:]) / u[0, 0].numel(), groups=u.shape[1], padding=1
            ).flatten(1),
    },
)  # fmt: skip


def masked_squeeze(u: Tensor, mask: Tensor) -> Tensor:
    return (u * mask).sum((2, 3)) / mask.sum((2, 3))


def _masked(seed: int, *shape: int, cut: bool = False, one: bool = False) -> tuple[Tensor, Tensor]:
    """Maps, cut off at zero or not, and a mask: each image has its own number of valid positions, or one."""
    u, noise = seeded(shape, (shape[0], 1, *shape[2:]), seed=seed)
    u = u.relu() if cut else u
    mask = (noise > 9 if one else noise > 0).float()
    mask[:, :, 0, 0] = 1
    return u, mask


def _count(mask: Tensor) -> Tensor:
    return mask.sum((2, 3))


def _masked_squeeze(
    u: Tensor,
    mask: Tensor,
    values: Callable[[Tensor, Tensor], Tensor] = lambda u, mask: u * mask,
    gather: Callable[[Tensor], Tensor] = lambda v: v.sum((2, 3)),
    divide: Callable[[Tensor, Tensor, Tensor], Tensor] = lambda z, u, mask: z / _count(mask),
    after: Callable[[Tensor], Tensor] = lambda z: z,
) -> Tensor:
    return after(divide(gather(values(u, mask)), u, mask))


check_masked_squeeze = Exercise(
    solution=masked_squeeze,
    # A map may hold zeros of its own, as after a ReLU: the mask, not the map, says what is padding.
    cases=[
        *[_masked(0, 2, 8, 5, 3), _masked(1, 3, 4, 6, 6), _masked(2, 2, 3, 4, 5, cut=True)],
        *[_masked(3, 1, 2, 3, 4), _masked(4, 4, 5, 2, 7), _masked(5, 2, 3, 2, 3, one=True)],
    ],
    shapes="u (N, C, H, W), mask (N, 1, H, W) -> (N, C)",
    kinds={"each image has one valid position": lambda u, mask: bool((_count(mask) == 1).all())},
    right="The padding neither adds to the sum nor counts in the division.",
    variant=_masked_squeeze,
    slips={
        "values": {
            "The padding is left in the sum: multiply by the mask before adding up.": lambda u, mask: u,
            "What is added up is the padding: 1 marks what is valid, 0 what is not.":
                lambda u, mask: u * (1 - mask),
            "The mask is added to the maps. Multiplied, it leaves out the padding.": lambda u, mask: u + mask,
            "Every image gets the first image's mask. Each has its own.": lambda u, mask: u * mask[:1],
            "What is added up is |u|: negative responses should count as negative.":
                lambda u, mask: (u * mask).abs(),
        },
        "gather": {
            "It is the largest value. The valid positions have to be added up.": lambda v: v.amax((2, 3)),
            "Channels are added up as well. Each channel keeps its own number.":
                lambda v: v.sum((1, 2, 3), keepdim=True)[..., 0, 0].expand(v.shape[:2]),
            "Images are added up as well. Each image keeps its own numbers.":
                lambda v: v.sum((0, 2, 3)).expand(v.shape[:2]),
        },
        "divide": {
            "The sum is right, but it is divided by H × W: the padding still pulls the mean to zero.":
                lambda z, u, mask: z / u[0, 0].numel(),
            "It is the sum over the valid positions; divide by how many there are.": lambda z, u, mask: z,
            "It is divided by the number of values that are not zero. A valid position may hold a zero.":
                lambda z, u, mask: z / (u * mask).count_nonzero((2, 3)),
            "It is divided by how many numbers of the map are not zero. Count the valid positions, "
            "in the mask.":
                lambda z, u, mask: z / u.count_nonzero((2, 3)),
            "It is divided by the number of values above zero. Count the valid positions, in the mask.":
                lambda z, u, mask: z / (u > 0).sum((2, 3)),
            "It is divided by the valid positions of the whole batch. Each image has its own number.":
                lambda z, u, mask: z / mask.sum(),
            "It is divided by the valid positions of the first image. Each image has its own number.":
                lambda z, u, mask: z / mask[0].sum(),
            "It is divided by the mean number of valid positions. Each image has its own number.":
                lambda z, u, mask: z / mask.sum() * len(mask),
            "It is divided twice by the number of valid positions.":
                lambda z, u, mask: z / _count(mask) ** 2,
            "The number of valid positions is taken off. It divides.": lambda z, u, mask: z - _count(mask),
            "It is divided by the amount of padding. Count what is valid.":
                lambda z, u, mask: z / (1 - mask).sum((2, 3)),
            "It is divided by the root of the number of valid positions.":
                lambda z, u, mask: z / _count(mask).sqrt(),
            "It is divided by one more than the number of valid positions.":
                lambda z, u, mask: z / (_count(mask) + 1),
            "It is multiplied by the number of valid positions. It should be divided.":
                lambda z, u, mask: z * _count(mask),
            "It is divided by H × W, and then by the number of valid positions too. The latter alone "
            "is right.":
                lambda z, u, mask: z / u[0, 0].numel() / _count(mask),
            "It is divided by H × W and multiplied by the share that is valid. Divide by the share instead.":
                lambda z, u, mask: z / u[0, 0].numel() * mask.mean((2, 3)),
            "It is divided by H × W and multiplied by the number of valid positions. Divide by that "
            "number alone.":
                lambda z, u, mask: z / u[0, 0].numel() * _count(mask),
        },
        "after": {
            "Axes of size 1 are left over: (N, C, 1, 1). Drop them, with flatten(1) or without keepdim.":
                lambda z: z[:, :, None, None],
        },
    },
    mistakes={
        "It is the largest valid value. The valid positions have to be averaged.":
            lambda u, mask: u.masked_fill(mask == 0, -torch.inf).amax((2, 3)),
        "It is the largest value, and padding counts as 0. The valid positions have to be averaged.":
            lambda u, mask: (u * mask).amax((2, 3)),
        "The mask is not used: it is the mean over all positions.":
            lambda u, mask: squeeze(u),
        "It is the mean over the padding: 1 marks what is valid, 0 what is not.":
            lambda u, mask: masked_squeeze(u, 1 - mask),
        "Each row is averaged alone. Both axes, 2 and 3, have to go.":
            lambda u, mask: torch.where(mask > 0, u, torch.nan).nanmean(3),
        "It is one mean for each image. Each channel keeps its own number.":
            lambda u, mask: (u * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3)) / u.shape[1],
        "It is one number for each image, and it is too large by a factor C. Each channel keeps its own.":
            lambda u, mask: (u * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3)),
        "It is one mean for everything. Each channel of each image keeps its own.":
            lambda u, mask: u[mask.expand_as(u) > 0].mean(),
        "It is one number for everything, and it is too large by a factor C. Each channel of each image "
        "keeps its own.":
            lambda u, mask: (u * mask).sum() / mask.sum(),
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
    photos = numbers(photos).float()
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


def _paler() -> Tensor:
    """The thing, and the thing with a slightly paler red."""
    photos = pair()
    red = photos[1, 0] == 1
    photos[1, 0][red & (photos[1, 1] == 0)] = 0.99
    return photos


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
        "All agree but the edges. They count only what gets lighter to the right, or downwards: mirroring "
        "changes them, and so do the rim and a cut.":
            _mirrored,
        "The edges agree, the colours do not. The patches need the same colours and sizes in both.":
            _paler,
        "The means differ. Move something that stays whole, with the same surroundings, off the rim.":
            _wider,
    },
)  # fmt: skip
