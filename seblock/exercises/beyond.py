"""Exercises of 13_what_came_after."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import number


def ring_of(z: Tensor, w: Tensor) -> Tensor:
    """The sums over neighbours in a ring."""
    reach = len(w) // 2
    return torch.stack([w[d + reach] * z.roll(-d, 1) for d in range(-reach, reach + 1)]).sum(0)


def ring(z: Tensor, w: Tensor) -> Tensor:
    return ring_of(z, w).sigmoid()


def _ring_case(images: int, channels: int, kernel: int) -> Case:
    return tuple(seeded((images, channels), (kernel,), seed=channels + kernel))


def _padded(z: Tensor, w: Tensor, flipped: bool = False, zeros: bool = True) -> Tensor:
    """The sums over neighbours that lie in a line, with zeros or copies of the ends beyond them."""
    reach = len(w) // 2
    ends = z[:, :1], z[:, -1:]
    if zeros:
        ends = torch.zeros_like(ends[0]), torch.zeros_like(ends[1])
    wide = torch.cat([*[ends[0]] * reach, z, *[ends[1]] * reach], dim=1)
    w = w.flip(0) if flipped else w
    return sum(w[d] * wide[:, d : d + z.shape[1]] for d in range(len(w)))  # type: ignore[return-value]


def _with_ends(z: Tensor, w: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """The gates, with these channels laid before and after z."""
    return F.conv1d(torch.cat([before, z, after], 1)[:, None], w[None, None])[:, 0].sigmoid()


def _ring(
    z: Tensor,
    w: Tensor,
    side: Callable[[int, int], int] = lambda d, reach: d,
    axis: int = 1,
    end: Callable[[Tensor], object] = torch.sigmoid,
) -> object:
    reach = len(w) // 2
    total = sum(w[d + reach] * z.roll(-side(d, reach), axis) for d in range(-reach, reach + 1))
    return end(total)  # type: ignore[arg-type]


check_ring = Exercise(
    solution=ring,
    cases=[_ring_case(2, 5, 3), _ring_case(3, 4, 1), _ring_case(2, 7, 5), _ring_case(4, 4, 3)],
    shapes="z (N, C), w (k,) -> (N, C)",
    kinds={"a gate has no neighbours, k = 1": lambda z, w: len(w) == 1},
    right="In a ring no channel lies at an end. timm has it as CECA, in an order as arbitrary as a line's.",
    variant=_ring,
    slips={
        "side": {
            "The weights are turned round: w[0] belongs to the channel before, not to the one after.":
                lambda d, reach: -d,
            "All weights are given to the channel itself. w[0] belongs to the one before it.":
                lambda d, reach: 0,
            "The window is one channel too far on: w[k // 2] belongs to the channel itself.":
                lambda d, reach: d + 1,
            "The window lags by one channel: w[k // 2] belongs to the channel itself.":
                lambda d, reach: d - 1,
            "The window ends at the channel itself. Half of it lies before the channel and half behind it.":
                lambda d, reach: d - reach,
            "The window begins at the channel itself. Half of it lies before the channel and half behind it.":
                lambda d, reach: d + reach,
        },
        "axis": {
            "The ring runs through the images of the batch. It should run through the channels.": 0,
        },
        "end": {
            "These are the sums. The gates come behind a sigmoid.": lambda a: a,
            "A softmax makes the channels compete. Each gate has a sigmoid of its own.":
                lambda a: a.softmax(1),
            "That is a ReLU of the sums. The gates come behind a sigmoid.": lambda a: a.relu(),
        },
    },
    mistakes={
        "The ends are padded with zeros, as in ECA. In a ring the first channel's neighbour is the last one.":
            lambda z, w: _padded(z, w).sigmoid(),
        "The ends are padded with copies of themselves. In a ring the first channel's neighbour is the last "
        "one.":
            lambda z, w: _padded(z, w, zeros=False).sigmoid(),
        "The ends are padded with zeros, and the weights are turned round.":
            lambda z, w: _padded(z, w, flipped=True).sigmoid(),
        "The zeros are all on one side, before the first channel. In a ring there are none, and the window's "
        "middle lies on the channel.":
            lambda z, w: F.conv1d(F.pad(z[:, None], (len(w) - 1, 0)), w[None, None])[:, 0].sigmoid(),
        "The zeros are all on one side, behind the last channel. In a ring there are none, and the window's "
        "middle lies on the channel.":
            lambda z, w: F.conv1d(F.pad(z[:, None], (0, len(w) - 1)), w[None, None])[:, 0].sigmoid(),
        "The ends are mirrored: the last channel's neighbour is then the one before it. In a ring it is the "
        "first.":
            lambda z, w: F.conv1d(
                F.pad(z[:, None], (len(w) // 2, len(w) // 2), mode="reflect"), w[None, None]
            )[:, 0].sigmoid(),
        "w[d] counts from w[0], and from the end where d is negative. The one d steps on has w[d + k // 2].":
            lambda z, w: _ring(z, w.roll(len(w) // 2)),
        "For k = 1 nothing is put on, and z[:, -0:] is all of z. Begin the slice at C - k // 2 instead.":
            lambda z, w: _with_ends(z, w, z[:, -(len(w) // 2) :], z[:, : len(w) // 2]),
        "The ends are on the wrong sides: before the first channel comes the last one, and z[:, -0:] is "
        "all of z.":
            lambda z, w: _with_ends(z, w, z[:, : len(w) // 2], z[:, -(len(w) // 2) :]),
        "The ends are on the wrong sides. Before the first channel comes the last one.":
            lambda z, w: _with_ends(z, w, z[:, : len(w) // 2], z[:, z.shape[1] - len(w) // 2 :]),
        "`roll` without `dims` runs on from one image into the next. The ring is within an image: dims=1.":
            lambda z, w: sum(
                w[d + len(w) // 2] * z.roll(-d) for d in range(-(len(w) // 2), len(w) // 2 + 1)).sigmoid(),
        "The sigmoid is applied to each neighbour, before the sum. It comes at the end, once.":
            lambda z, w: ring_of(z.sigmoid(), w),
        "The sum is divided by k. ECA adds the neighbours up, each with its weight.":
            lambda z, w: (ring_of(z, w) / len(w)).sigmoid(),
        "These gates multiply z. What is asked for are the gates.": lambda z, w: z * ring(z, w),
    },
)  # fmt: skip


def dearer_from(height: int, width: int, r: int) -> int:
    return r * height * width // 2 + 1


def _both_counts(result: Any, height: int, width: int, r: int) -> str:
    """What both cost with that many channels, and whether fewer would do."""
    c = float(result)
    if c != int(c) or c < 1:
        return (
            f"For height = {height}, width = {width}, r = {r} you return {number(c)}, and channels come "
            f"whole: "
            "1 or more of them."
        )
    text = (
        f"For height = {height}, width = {width}, r = {r} you return {number(c)}. With so many channels "
        f"SE has "
        f"{number(2 * c * c / r)} multiply-adds, 2 C² / r, and sSE {number(c * height * width)}, C · H · W"
    )
    right = dearer_from(height, width, r)
    if c < right:
        return f"{text}: SE has to have more."
    return f"{text}. With one channel fewer SE has more already." if c > right else text


check_dearer_from = Exercise(
    solution=dearer_from,
    cases=[(7, 7, 16), (14, 14, 16), (5, 3, 4), (56, 56, 2), (3, 3, 3), (1, 1, 1), (1, 1, 3), (2, 3, 5)],
    reason=_both_counts,
    kinds={
        "r · H · W is even": lambda height, width, r: r * height * width % 2 == 0,
        "r · H · W is odd": lambda height, width, r: r * height * width % 2 == 1,
    },
    right="Below that sSE is the dearer one. At 56 × 56 that is far more channels than such maps have.",
    mistakes={
        "At that number both cost the same, or SE still costs less. It has to be more.":
            lambda height, width, r: r * height * width // 2,
        "Rounding up is not enough: where r · H · W is even, both cost the same there. It has to be more.":
            lambda height, width, r: -(-r * height * width // 2),
        "With that number both cost the same, and it may be half a channel. SE has to have more.":
            lambda height, width, r: r * height * width / 2,
        "It is divided by 4. SE has two matrices, so 2 · C · C / r is more than C · H · W.":
            lambda height, width, r: r * height * width // 4 + 1,
        "The factor 2 is missing: SE has two matrices. With one, both would cost the same at that number.":
            lambda height, width, r: r * height * width,
        "The factor 2 is missing: SE has two matrices, so half as many channels do.":
            lambda height, width, r: r * height * width + 1,
        "The factor 2 is on the wrong side: SE has two matrices, so it needs fewer channels.":
            lambda height, width, r: 2 * r * height * width + 1,
        "The reduction is left out: it makes both of SE's matrices smaller.":
            lambda height, width, r: height * width // 2 + 1,
        "The reduction is on the wrong side: the larger r is, the cheaper SE is.":
            lambda height, width, r: height * width // (2 * r) + 1,
        "A map has height times width positions, and sSE works at each of them.":
            lambda height, width, r: r * (height + width) // 2 + 1,
        "sSE is counted once, not at each position.":
            lambda height, width, r: r // 2 + 1,
        "That is the root of it. On both sides one C can be cancelled: 2 C / r > H · W.":
            lambda height, width, r: int((r * height * width / 2) ** 0.5) + 1,
        "H · W is squared. Both sides have one C in common: 2 C / r > H · W.":
            lambda height, width, r: r * (height * width) ** 2 // 2 + 1,
        "That is half-way rounded up, and one more: where r · H · W is odd, one channel fewer will do.":
            lambda height, width, r: -(-r * height * width // 2) + 1,
        "C / r is rounded down, or only channels that r divides are tried. The task takes C / r as it is.":
            lambda height, width, r: next(
                c for c in range(1, 10**6) if 2 * c * (c // r) > c * height * width),
        "The channels are whole: round down before you add one.":
            lambda height, width, r: r * height * width / 2 + 1,
    },
)  # fmt: skip


def weighted_squeeze(u: Tensor, w: Tensor) -> Tensor:
    a = torch.einsum("c,ncij->nij", w, u).flatten(1).softmax(1).view(len(u), *u.shape[2:])
    return torch.einsum("nij,ncij->nc", a, u)


def _maps(images: int, channels: int, height: int, width: int) -> Case:
    return tuple(seeded((images, channels, height, width), (channels,), seed=channels + height))


def _weighted(
    u: Tensor,
    w: Tensor,
    scores: Callable[[Tensor, Tensor], Tensor] = lambda u, w: torch.einsum("c,ncij->nij", w, u),
    weights: Callable[[Tensor], Tensor] = lambda a: a.flatten(1).softmax(1).view_as(a),
    total: Callable[[Tensor, Tensor], object] = lambda a, u: torch.einsum("nij,ncij->nc", a, u),
) -> object:
    return total(weights(scores(u, w)), u)


check_weighted_squeeze = Exercise(
    solution=weighted_squeeze,
    cases=[
        *[_maps(2, 3, 4, 5), _maps(3, 4, 2, 3), _maps(1, 2, 6, 2), _maps(1, 3, 2, 4), _maps(3, 2, 5, 2)],
        (_maps(2, 3, 3, 4)[0], torch.zeros(3)),
    ],
    shapes="u (N, C, H, W), w (C,) -> (N, C)",
    kinds={"w is zero, so all positions weigh the same": lambda u, w: not w.any()},
    right="With w = 0 this is SE's mean. Any other w lets the image say which of its positions count.",
    variant=_weighted,
    slips={
        "scores": {
            "The score of a position is the mean of its channels, without w.": lambda u, w: u.mean(1),
            "The score adds the channels without their weights w.": lambda u, w: u.sum(1),
            "A softmax is applied to w. It belongs to the scores, over the positions.":
                lambda u, w: torch.einsum("c,ncij->nij", w.softmax(0), u),
            "The scores are divided by the root of C, as in a transformer. The task has no such factor.":
                lambda u, w: torch.einsum("c,ncij->nij", w, u) / len(w) ** 0.5,
            "The scores are divided by C: that is a mean over the channels. The task has a sum.":
                lambda u, w: torch.einsum("c,ncij->nij", w, u) / len(w),
            "The weights w are subtracted: the sign of the scores is turned round.":
                lambda u, w: -torch.einsum("c,ncij->nij", w, u),
        },
        "weights": {
            "The scores are used as weights. A softmax over the positions makes them add up to 1.":
                lambda a: a,
            "The scores are divided by their sum, which may be 0. A softmax takes e to them first.":
                lambda a: a / a.sum((1, 2), keepdim=True),
            "There are two softmaxes, one over rows and one over columns. One runs over all positions of an "
            "image.":
                lambda a: a.softmax(2).softmax(1),
            "There are two softmaxes, one over columns and one over rows. One runs over all positions of an "
            "image.":
                lambda a: a.softmax(1).softmax(2),
            "It is e to the scores, not yet divided by its sum over the positions.":
                lambda a: a.exp(),
            "It is the logarithm of the softmax. The weights are the softmax itself, which adds up to 1.":
                lambda a: a.flatten(1).log_softmax(1).view_as(a),
            "Only the position with the highest score counts. A softmax lets all count, each by its weight.":
                lambda a: F.one_hot(a.flatten(1).argmax(1), a[0].numel()).view_as(a).to(a),
            "A sigmoid at each position: these weights do not add up to 1.": lambda a: a.sigmoid(),
            "The softmax runs over each row on its own. It should run over all positions of an image.":
                lambda a: a.softmax(2),
            "The softmax runs over each column on its own. It should run over all positions of an image.":
                lambda a: a.softmax(1),
            "The softmax runs over the images of the batch. It should run over the positions of each image.":
                lambda a: a.softmax(0),
            "The softmax runs over images and positions together. Each image has its own.":
                lambda a: a.flatten().softmax(0).view_as(a),
            "All positions weigh the same: that is SE's mean.":
                lambda a: torch.ones_like(a) / a[0].numel(),
        },
        "total": {
            "It is divided by the number of positions once more. The weights add up to 1 already.":
                lambda a, u: torch.einsum("nij,ncij->nc", a, u) / a[0].numel(),
            "These are the weighted maps. Add them up over the positions.":
                lambda a, u: a[:, None] * u,
            "These are the weights. Asked for are the sums of each map with them.": lambda a, u: a,
            "It is the largest weighted value of each map. Add them up.":
                lambda a, u: (a[:, None] * u).amax((2, 3)),
            "It is one number an image, not one a channel.":
                lambda a, u: torch.einsum("nij,ncij->n", a, u),
        },
    },
    mistakes={
        "The softmax runs over the channels. It should run over the positions of each image.":
            lambda u, w: (u * (u * w[:, None, None]).softmax(1)).sum((2, 3)),
        "The softmax runs over the channels, and a mean is taken. It should run over the positions of each "
        "image.":
            lambda u, w: (u * (u * w[:, None, None]).softmax(1)).mean((2, 3)),
        "Each channel has a softmax of its own. A position's score adds up its channels, so all maps share "
        "the weights.":
            lambda u, w: (u.flatten(2) * (u * w[:, None, None]).flatten(2).softmax(2)).sum(2),
        "w goes through a softmax and multiplies the channels. The softmax runs over the positions.":
            lambda u, w: u.mean((2, 3)) * w.softmax(0),
        "The softmax runs over the channels' means. It should run over the positions, before any mean.":
            lambda u, w: u.mean((2, 3)) * (u.mean((2, 3)) * w).softmax(1),
        "w multiplies the maps themselves. It makes the scores of the positions.":
            lambda u, w: w * u.mean((2, 3)),
        "The maps are multiplied by the scores, and the mean is taken. Make weights of the scores first.":
            lambda u, w: (u * torch.einsum("c,ncij->nij", w, u)[:, None]).mean((2, 3)),
    },
)  # fmt: skip
