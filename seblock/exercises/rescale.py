"""Exercises of 05_rescale."""

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from seblock.exercises.criteria import first_unmet
from seblock.exercises.errors import Rules
from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import numbers
from seblock.functional import excite, rescale, squeeze
from seblock.photos import RED, features, hand_set_gate


def silent_shape() -> tuple[int, int, int, int]:
    return 2, 3, 2, 3


def _silent(shape: tuple[int, int, int, int]) -> int:
    """Which of the things that are wanted of the shape it lacks, counted from 1; 0 if none."""
    if isinstance(shape, Tensor) and shape.ndim > 1:
        raise ValueError("the four sizes are wanted, N, C, H and W, not a tensor that has them")
    sizes = tuple(int(size) for size in numbers(shape).flatten())
    if len(sizes) != 4 or min(sizes) < 1:
        raise ValueError(f"expected four sizes of 1 or more, (N, C, H, W), got {sizes}")
    n, c, h, w = sizes

    def criteria() -> Iterator[bool]:
        yield max(sizes) <= 1000
        yield min(sizes) > 1
        yield n != c
        yield not (h == c and w == n)
        yield not (h == w == c)
        yield w == c
        yield h == n

    return first_unmet(criteria())


check_silent_shape = Exercise(
    solution=silent_shape,
    cases=[()],
    view=_silent,
    hint="It takes no arguments and returns four ints, N, C, H and W.",
    right="W is C and H is N, so nothing is refused: each map is multiplied by the table of all gates.",
    mistakes={
        "Sizes that large are not needed, and fill the memory. Keep to small ones.":
            lambda: (2000, 3, 2000, 3),
        "A size of 1 fits anything, so it hides the point. Take sizes of 2 or more.":
            lambda: (1, 3, 1, 3),
        "N and C are equal, as in the example above. The mishap does not need that.":
            lambda: (4, 4, 4, 4),
        "H is C and W is N: the wrong way round. Write both shapes flush right, one below the other.":
            lambda: (2, 3, 3, 2),
        "H and W are both C. W does meet the channels of s. Which axis of s does H meet?":
            lambda: (2, 3, 3, 3),
        "PyTorch refuses that: the last axis of u meets the last axis of s, and they differ.":
            lambda: (2, 3, 2, 5),
        "PyTorch refuses that: W fits, but H meets the first axis of s, and they differ.":
            lambda: (2, 3, 5, 3),
    },
)  # fmt: skip


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


def by_matrix(u: Tensor, s: Tensor) -> Tensor:
    return (torch.diag_embed(s) @ u.flatten(2)).view_as(u)


check_rescale = Exercise(
    solution=by_matrix,
    # Where all four sizes are equal a gate on a wrong axis raises no error: its numbers tell.
    cases=[
        *[_gated(0, 4, 4, 4, 4), _gated(1, 2, 8, 5, 3), _gated(2, 1, 3, 3, 3), _gated(3, 3, 2, 3, 2)],
        *[_gated(4, 2, 3, 2, 3), _gated(5, 3, 1, 4, 2), _gated(6, 5, 5, 2, 3)],
    ],
    shapes="u (N, C, H, W), s (N, C) -> (N, C, H, W)",
    rules=Rules(required=("matmul", "bmm"), forbidden=("mul", "mul_", "multiply", "einsum", "rescale")),
    notes={
        "torch.diag(s)": "torch.diag takes the diagonal out of a matrix. torch.diag_embed(s) makes a matrix "
        "for "
        "each image.",
        "flatten(2) @": "The matrix stands on the left of u.flatten(2), whose rows are the channels.",
        "flatten(1)": "flatten(1) makes one row of a whole image. u.flatten(2) keeps a row for each channel.",
    },
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
            "The gates meet channels and rows: s[..., None] puts its images on the channels' axis.":
                lambda s: s[:, :, None],
            "The gates meet channels and columns, dimensions 1 and 3. They belong to dimensions 0 and 1.":
                lambda s: s[None, :, None, :],
            "A map meets the gates of all images, one in each column. Gate (n, c) belongs to image n.":
                lambda s: s.T[None, :, None, :],
            "The gates meet images and columns with the wrong axes. They belong to dimensions 0 and 1.":
                lambda s: s.T[:, None, None, :],
            "s is transposed: images and channels have changed places.": lambda s: s.T[:, :, None, None],
            "s.T meets the last two dimensions, H and W. Each gate belongs to one whole map.":
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
        "The matrix meets H and W. Lay each image out with a row for each channel first: u.flatten(2).":
            lambda u, s: torch.diag_embed(s) @ u,
        "The matrix stands on the right, where it meets W. It belongs on the left of u.flatten(2).":
            lambda u, s: u @ torch.diag_embed(s),
        "@ adds up over the columns. The gates have to multiply, each its own map.":
            lambda u, s: u @ s,
        "s @ u adds up over the rows of each map. A matrix with the gates on its diagonal adds up nothing.":
            lambda u, s: s @ u,
        "A map is scaled by all gates of its image, one after the other.":
            lambda u, s: u * s.prod(1)[:, None, None, None],
    },
)  # fmt: skip


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


def harmed_photo() -> Tensor:
    photo = torch.zeros(3, 20, 20)
    photo[2] = 1
    photo[:, 5:14, 5:14] = torch.tensor([1.0, 0, 0])[:, None, None]
    return photo


def _harmed(photo: Tensor) -> int:
    """Which of the things that are wanted of the photo it lacks, counted from 1; 0 if none."""
    photo = torch.as_tensor(photo).float()
    if photo.ndim != 3 or len(photo) != 3:
        raise ValueError(f"expected a photo, (3, H, W), got shape {tuple(photo.shape)}")

    def criteria() -> Iterator[bool]:
        yield bool(((photo >= 0) & (photo <= 1)).all())
        u = features(photo[None])
        z = squeeze(u)
        strong = float((u[0, RED] >= 1).float().mean())
        yield strong > 0
        yield strong >= 0.1
        gate = float(excite(z, *hand_set_gate())[0, RED])
        yield gate < 0.49
        yield gate < 0.1

    return first_unmet(criteria())


def _on_blue(size: int, blue: float) -> Tensor:
    photo = torch.zeros(3, 20, 20)
    photo[2] = blue
    photo[:, 5 : 5 + size, 5 : 5 + size] = torch.tensor([1.0, 0, 0])[:, None, None]
    return photo


check_harmed_photo = Exercise(
    solution=harmed_photo,
    cases=[()],
    view=_harmed,
    hint="It takes no arguments and returns one photo, a tensor of shape (3, H, W).",
    right="There is plenty of red, the block has all but deleted it, and no later layer can bring it back.",
    mistakes={
        "A photo's numbers lie between 0 and 1. One of yours is outside.":
            lambda: 3 * harmed_photo(),
        "Nowhere does the map of red reach 1. It is 2 inside a patch of pure red, not on a lone red pixel.":
            lambda: torch.tensor([0.0, 0, 1])[:, None, None].expand(3, 20, 20),
        "There is red, but on less than a tenth of the photo.":
            lambda: _on_blue(4, 1.0),
        "The gate of red is at rest: the mean of blue has to be above that of red.":
            lambda: _on_blue(9, 0.1),
        "The gate has begun to close, but is not below 0.1: let blue be further ahead of red.":
            lambda: _on_blue(9, 0.275),
    },
)  # fmt: skip


Block = Callable[[Tensor], Tensor]


def proper(block: Block) -> bool:
    (u,) = seeded((3, 8, 5, 4), seed=9)
    x = block(u)
    if x.shape != u.shape:
        return False
    s = (x / u).flatten(2)
    one_factor = torch.allclose(s, s[:, :, :1].expand_as(s), atol=1e-4)
    between = bool(((s >= 0) & (s <= 1)).all())
    alone = torch.cat([block(u[n : n + 1]) for n in range(len(u))])
    return one_factor and between and torch.allclose(x, alone, atol=1e-5)


def _weights() -> tuple[Tensor, Tensor]:
    """Of two units one speaks for any image, unless the maps are empty."""
    w, w2 = seeded((1, 8), (8, 2), seed=5)
    return torch.cat([10 * w, -10 * w]), w2


def _right(u: Tensor) -> Tensor:
    w1, w2 = _weights()
    return rescale(u, excite(squeeze(u), w1, w2))


def _without_sigmoid(u: Tensor) -> Tensor:
    w1, w2 = _weights()
    return rescale(u, (squeeze(u) @ w1.T).relu() @ w2.T)


def _mean_of_the_batch(u: Tensor) -> Tensor:
    w1, w2 = _weights()
    z = squeeze(u)
    return rescale(u, excite((z + z.mean(0)) / 2, w1, w2))


def _at_rest(u: Tensor) -> Tensor:
    """All weights are 0, as they may be: every gate is one half."""
    return u / 2


def _by_position(u: Tensor) -> Tensor:
    return u * u.mean(1, keepdim=True).sigmoid()


def _with_shortcut(u: Tensor) -> Tensor:
    return u + _right(u)


BROKEN: dict[str, Block] = {
    "without a sigmoid": _without_sigmoid,
    "with gates from all images together": _mean_of_the_batch,
    "with gates for positions": _by_position,
    "that adds u": _with_shortcut,
}
"""Blocks that are none, by what to call them."""


def _letting_pass(*kinds: str) -> Callable[[Block], bool]:
    """A test that is right but for these kinds of broken blocks."""
    return lambda block: block in [BROKEN[kind] for kind in kinds] or proper(block)


def _missed() -> dict[str, Callable[..., bool]]:
    """What to say of each choice of broken blocks that a test lets pass, and a test that does.

    It may refuse right ones as well: all, the one whose gates are all alike, or the one with a weight that is
    so large that gates round to 0 or 1.
    """
    chosen = [c for n in range(1, len(BROKEN) + 1) for c in itertools.combinations(BROKEN, n)]
    found: dict[str, Callable[..., bool]] = {}
    for kinds in chosen:
        named = ", ".join(f"one {kind}" for kind in kinds)
        passing = _letting_pass(*kinds)
        found[f"It lets a broken block pass: {named}."] = passing
        refused = {
            "It refuses a right one, whose gates are all alike.": [_at_rest],
            "It refuses a right one. There a gate may round to 0 or 1, or the last digit differ.": [_right],
        }
        if len(kinds) < len(BROKEN):  # what says True and False the wrong way round has a message of its own
            refused["It refuses the right ones."] = [_right, _at_rest]
        for told, blocks in refused.items():
            found[f"{told} And a broken block passes: {named}."] = (
                lambda block, passing=passing, blocks=blocks: passing(block) and block not in blocks
            )
    return found


def _truth(result: object, *_: object) -> bool:
    """Its answer, which has to be True or False, of Python's kind or of PyTorch's."""
    if not isinstance(result, bool) and not (isinstance(result, Tensor) and result.dtype == torch.bool):
        raise TypeError(f"expected True or False, got {type(result).__name__}")
    return bool(result)


def _of_blocks(block: Block) -> Case:
    return (block,)


check_block_test = Exercise(
    solution=proper,
    cases=[_of_blocks(block) for block in (_right, _at_rest, *BROKEN.values())],
    view=_truth,
    hint="It takes a block, calls it on maps of eight channels, and returns True or False.",
    right="One factor a channel, from 0 to 1, from this image alone: that is what the block promises.",
    mistakes={
        **_missed(),
        "It refuses every block. In a right one a gate may round to exactly 0 or 1, and two ways to a number "
        "may differ in the last digit.":
            lambda block: False,
        "It refuses a block whose gates are all alike. Its weights may be zero.":
            lambda block: proper(block) and block is not _at_rest,
        "It refuses one of the right blocks. There gates differ from image to image and may round to 0 or 1, "
        "and two ways to a number may differ in the last digit.":
            lambda block: proper(block) and block is not _right,
        "It says True where it should say False, and the other way round.":
            lambda block: not proper(block),
    },
)  # fmt: skip
