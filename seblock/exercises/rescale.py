"""Exercises of 05_rescale."""

from collections.abc import Callable

import torch
from torch import Tensor

from seblock.exercises.exercise import Exercise, seeded
from seblock.functional import rescale


def _gated(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    u, s = seeded(shape, shape[:2], seed=seed)
    return u, s.sigmoid()


def _rescale(
    u: Tensor,
    s: Tensor,
    gate: Callable[[Tensor], Tensor] = lambda s: s,
    place: Callable[[Tensor], Tensor] = lambda s: s[:, :, None, None],
    join: Callable[[Tensor, Tensor], Tensor] = lambda u, s: u * s,
    after: Callable[[Tensor], Tensor] = lambda x: x,
) -> Tensor:
    return after(join(u, place(gate(s))))


check_rescale = Exercise(
    solution=rescale,
    # Where all four sizes are equal a gate on a wrong axis raises no error: its numbers tell.
    cases=[
        *[_gated(0, 4, 4, 4, 4), _gated(1, 2, 8, 5, 3), _gated(2, 1, 3, 3, 3), _gated(3, 3, 2, 3, 2)],
        *[_gated(4, 2, 3, 2, 3), _gated(5, 3, 1, 4, 2), _gated(6, 5, 5, 2, 3)],
    ],
    shapes="u (N, C, H, W), s (N, C) -> (N, C, H, W)",
    right="One factor for each channel of each image, the same at every position.",
    kinds={
        "N, C, H and W are all equal": lambda u, s: len(set(u.shape)) == 1,
        "there is one image, N = 1": lambda u, s: len(u) == 1,
        "N = H and C = W, so that s happens to fit the last two axes":
            lambda u, s: u.shape[:2] == u.shape[2:],
        "C, H and W are all equal": lambda u, s: len(set(u.shape[1:])) == 1,
    },
    variant=_rescale,
    slips={
        "gate": {
            "Every image gets the first image's gates.": lambda s: s[:1].expand_as(s),
            "Every image gets the last image's gates.": lambda s: s[-1:].expand_as(s),
            "Every image gets the batch's mean gates.": lambda s: s.mean(0, keepdim=True).expand_as(s),
            "Every channel gets the image's first gate.": lambda s: s[:, :1].expand_as(s),
            "Every channel gets the image's last gate.": lambda s: s[:, -1:].expand_as(s),
            "Every channel gets the image's mean gate.": lambda s: s.mean(1, keepdim=True).expand_as(s),
            "Everything gets the mean of all gates.": lambda s: s.mean().expand_as(s),
            "The gates of a whole image are added up. Each channel has its own.":
                lambda s: s.sum(1, keepdim=True).expand_as(s),
            "The gates work the wrong way round, as 1 - s: s = 1 should let everything pass.":
                lambda s: 1 - s,
            "The gates are squared, as if applied twice.": lambda s: s.square(),
            "The gates go through another sigmoid. They are gates already.": lambda s: s.sigmoid(),
            "The gates go through a softmax. They are gates already.": lambda s: s.softmax(1),
            "The gates are made 0 or 1. A gate may be half open.": lambda s: s.round(),
            "The gates are in reverse order. Gate c belongs to channel c.": lambda s: s.flip(1),
            "The images' gates are in reverse order. Each image has its own.": lambda s: s.flip(0),
            "The gates are divided by their sum. A gate is a factor as it is.":
                lambda s: s / s.sum(1, keepdim=True),
            "The gates are divided by the sum of them all. A gate is a factor as it is.":
                lambda s: s / s.sum(),
        },
        "place": {
            "The gates meet the last two dimensions, H and W: u * s lines shapes up from the right.":
                lambda s: s,
            "The gates run along the rows, dimension 2. They belong to the channels, dimension 1.":
                lambda s: s[:, None, :, None],
            "The gates run along the columns, dimension 3. They belong to the channels, dimension 1.":
                lambda s: s[:, None, None, :],
            "The gates meet channels and columns: s[..., None] puts its images on the channels' axis.":
                lambda s: s[:, :, None],
            "The gates meet channels and columns, dimensions 1 and 3. They belong to dimensions 0 and 1.":
                lambda s: s[None, :, None, :],
            "A map meets the gates of all images, one in each column. Gate (n, c) belongs to image n.":
                lambda s: s.T[None, :, None, :],
            "The gates meet images and columns with the wrong axes. They belong to dimensions 0 and 1.":
                lambda s: s.T[:, None, None, :],
            "s is transposed: images and channels have changed places.": lambda s: s.T[:, :, None, None],
            "The gates are spread over H and W in memory order. Each belongs to one whole map.":
                lambda s: s.T,
        },
        "join": {
            "The gate is added. It should multiply.": lambda u, s: u + s,
            "The gate is taken off. It should multiply.": lambda u, s: u - s,
            "The map is taken off the gate. The gate should multiply it.": lambda u, s: s - u,
            "It is u + s · u: that is a residual addition. The task asks for s · u alone.":
                lambda u, s: u + u * s,
            "The maps are divided by their gates.": lambda u, s: u / s,
            "The maps are left as they were: no gate is used.": lambda u, s: u + 0 * s,
            "These are the gates alone, spread out. They have to multiply the maps.": lambda u, s: 0 * u + s,
            "The gate is an exponent. It should multiply.": lambda u, s: u**s,
        },
        "after": {
            "There is a ReLU as well. The rescale keeps what is negative.": lambda x: x.relu(),
            "The signs are lost. The rescale keeps what is negative.": lambda x: x.abs(),
            "The maps are averaged as well. The rescale keeps every position.": lambda x: x.mean((2, 3)),
            "The maps are added up as well. The rescale keeps every position.": lambda x: x.sum((2, 3)),
            "The images are added up as well. Each keeps its own maps.": lambda x: x.sum(0),
            "The channels are added up as well. Each map stays apart.": lambda x: x.sum(1),
            "Images and channels have changed places in the result.": lambda x: x.transpose(0, 1),
        },
    },
    mistakes={
        "Channel c should be multiplied by gate c alone; here every gate meets every channel.":
            lambda u, s: torch.einsum("nchw,nk->nkhw", u, s),
        "@ adds up over the columns. The gates have to multiply, each its own map: use *.":
            lambda u, s: u @ s,
        "A map is scaled by all gates of its image, one after the other.":
            lambda u, s: u * s.prod(1)[:, None, None, None],
    },
)  # fmt: skip


def fold(v: Tensor, s: Tensor) -> Tensor:
    return v * s[:, None, None, None]


def _gates(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    v, s = seeded(shape, shape[:1], seed=seed)
    return v, s


def _fold(
    v: Tensor,
    s: Tensor,
    gate: Callable[[Tensor], Tensor] = lambda s: s,
    place: Callable[[Tensor], Tensor] = lambda s: s[:, None, None, None],
    join: Callable[[Tensor, Tensor], Tensor] = lambda v, s: v * s,
    after: Callable[[Tensor], Tensor] = lambda v: v,
) -> Tensor:
    return after(join(v, place(gate(s))))


check_fold = Exercise(
    solution=fold,
    cases=[
        *[_gates(0, 4, 4, 4, 4), _gates(1, 6, 3, 5, 5), _gates(2, 3, 4, 3, 3), _gates(3, 4, 1, 4, 4)],
        *[_gates(4, 5, 5, 2, 2), _gates(5, 3, 2, 2, 2), _gates(6, 2, 3, 1, 1)],
    ],
    shapes="v (C, C', k, k), s (C,) -> (C, C', k, k)",
    right="For this one image the scaled filters do what the gate did.",
    kinds={
        "C, C' and k are all equal": lambda v, s: len(set(v.shape)) == 1,
        "C and C' are equal": lambda v, s: v.shape[0] == v.shape[1],
        "C and k are equal": lambda v, s: v.shape[0] == v.shape[2],
    },
    variant=_fold,
    slips={
        "gate": {
            "All filters get the mean gate.": lambda s: s.mean().expand_as(s),
            "All filters get the sum of the gates.": lambda s: s.sum().expand_as(s),
            "All filters get the first gate.": lambda s: s[:1].expand_as(s),
            "All filters get the last gate.": lambda s: s[-1:].expand_as(s),
            "All filters get the product of the gates.": lambda s: s.prod().expand_as(s),
            "The gates work the wrong way round, as 1 - s.": lambda s: 1 - s,
            "The gates are squared, as if folded in twice.": lambda s: s.square(),
            "The root of the gates is folded in. A filter is scaled by the gate itself.":
                lambda s: s.abs().sqrt(),
            "The gates go through another sigmoid. They are gates already.": lambda s: s.sigmoid(),
            "The gates go through a softmax. They are gates already.": lambda s: s.softmax(0),
            "The gates are in reverse order. Gate c belongs to filter c.": lambda s: s.flip(0),
            "The gates have lost their sign.": lambda s: s.abs(),
            "1 is added to the gates: the map itself is added once more.": lambda s: 1 + s,
        },
        "place": {
            "The gates scale the input channels, dimension 1. Gate c belongs to the map that filter c makes.":
                lambda s: s[None, :, None, None],
            "The gates meet the last dimension, the kernel's columns: v * s lines shapes up from the right.":
                lambda s: s,
            "The gates run along the kernel's rows. They belong to the filters, dimension 0.":
                lambda s: s[:, None],
        },
        "join": {
            "The filters are divided by their gates.": lambda v, s: v / s,
            "The gates are added to the weights. They should multiply.": lambda v, s: v + s,
            "The gates are taken off the weights. They should multiply.": lambda v, s: v - s,
            "The filters are left as they were: no gate is used.": lambda v, s: v + 0 * s,
        },
        "after": {
            "The axes of each filter are flattened. The result has the shape of v.": lambda v: v.flatten(1),
            "The first two axes have changed places.": lambda v: v.transpose(0, 1),
            "The filters are added up. Each stays apart.": lambda v: v.sum(0),
            "Each filter's slices are added up. They stay apart.": lambda v: v.sum(1),
            "It is the last filter alone. All of them are wanted.": lambda v: v[-1],
            "It is the first filter alone. All of them are wanted.": lambda v: v[0],
        },
    },
    mistakes={
        "@ adds up over the kernel's columns. Each filter is multiplied by its gate: use *.":
            lambda v, s: v @ s,
        "A diagonal matrix multiplies number by number here, so most weights become 0.":
            lambda v, s: v * s.diag(),
        "A diagonal matrix from the left scales the kernel's rows. The gates belong to the filters, "
        "dimension 0.":
            lambda v, s: s.diag() @ v,
    },
)  # fmt: skip
