"""Exercises of 09_context_decides."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seblock.blocks import SqEx
from seblock.exercises.criteria import first_unmet
from seblock.exercises.errors import Rules
from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.exercises.outcome import number, numbers
from seblock.gates import by_class
from seblock.puzzles import painter


def means_by_cue(s: Tensor, cue: Tensor) -> Tensor:
    return by_class(s, cue).mean.float()


def _gates(cues: list[int], channels: int) -> Case:
    (s,) = seeded((len(cues), channels), seed=len(cues))
    return s.sigmoid(), torch.tensor(cues)


def _shut(cues: list[int], channels: int) -> Case:
    """Gates of which some are 0, as far below zero they all are by rounding."""
    s, cue = _gates(cues, channels)
    return torch.where(s < 0.5, 0, s), cue


def _halved(s: Tensor, cue: Tensor) -> Tensor:
    """A mean that is updated as (old + new) / 2."""
    rows = torch.zeros(2, s.shape[1])
    for image, c in zip(s, cue.tolist(), strict=True):
        rows[c] = (rows[c] + image) / 2
    return rows


def _means(
    s: Tensor,
    cue: Tensor,
    chosen: Callable[[Tensor, Tensor, int], Tensor] = lambda s, cue, c: s[cue == c],
    reduce: Callable[[Tensor], Tensor] = lambda t: t.mean(0),
    after: Callable[[list[Tensor], Tensor, Tensor], object] = lambda rows, s, cue: torch.stack(rows),
) -> object:
    return after([reduce(chosen(s, cue, c)) for c in (0, 1)], s, cue)


check_means_by_cue = Exercise(
    solution=means_by_cue,
    cases=[
        *[_gates([0, 1, 1, 0, 1], 3), _gates([1, 0, 0, 0], 4), _gates([1, 1, 0, 0, 0, 0, 1], 2)],
        *[_gates([0, 0, 0, 1, 1, 1], 5), _gates([0, 1], 3), _gates([1, 0, 0], 3)],
        _shut([0, 1, 0, 1, 1], 4),
    ],
    shapes="s (N, C), cue (N,) -> (2, C)",
    kinds={
        "both cues have as many images": lambda s, cue: bool(2 * cue.sum() == len(cue)),
        "the first half of the images has cue 0 and the second half cue 1": lambda s, cue: bool(
            (cue == (torch.arange(len(cue)) >= len(cue) // 2)).all()
        ),
        "each cue has one image": lambda s, cue: len(cue) == 2,
        "no gate is 0": lambda s, cue: bool((s > 0).all()),
    },
    rules=Rules(forbidden=("by_class",)),
    right="What is left of a gate is its mean for each cue: that alone painted every picture right.",
    variant=_means,
    slips={
        "chosen": {
            "It is the mean over all images, for both cues. Choose each cue's images first.":
                lambda s, cue, c: s,
            "The first half of the images is taken for cue 0, the second for cue 1. `cue` says which "
            "is which.":
                lambda s, cue, c: s[: len(s) // 2] if c == 0 else s[len(s) // 2 :],
            "Each cue's sum is divided by the number of all images. Divide by how many have this cue.":
                lambda s, cue, c: s * (cue == c)[:, None],
            "Both rows are those of cue 0.": lambda s, cue, c: s[cue == 0],
            "Both rows are those of cue 1.": lambda s, cue, c: s[cue == 1],
            "Rows 0 and 1 of s are taken by number. A mask, s[cue == c], takes all images with that cue.":
                lambda s, cue, c: s[c : c + 1],
            "Every other image is taken. `cue` says which image has which cue.":
                lambda s, cue, c: s[c::2],
        },
        "reduce": {
            "It is the sum over each cue's images. The mean divides by their number.": lambda t: t.sum(0),
            "It is the mean over channels too: asked for is one number for each channel.": lambda t: t.mean(),
            "The mean runs over the channels, dimension 1. It should run over the images, dimension 0.":
                lambda t: t.mean(1),
            "It is the median of each cue's gates, not the mean.": lambda t: t.median(0).values,
            "It is the largest of each cue's gates, not the mean.": lambda t: t.amax(0),
            "It is the smallest of each cue's gates, not the mean.": lambda t: t.amin(0),
            "It is the spread of each cue's gates, not their mean.": lambda t: t.std(0),
            "It is the last image of each cue alone. All of them count.": lambda t: t[-1],
            "It is the first image of each cue alone. All of them count.": lambda t: t[0],
        },
        "after": {
            "The two rows are exchanged: row 0 belongs to cue 0.":
                lambda rows, s, cue: torch.stack(rows[::-1]),
            "Each cue's mean is divided by 2, the number of cues.":
                lambda rows, s, cue: torch.stack(rows) / 2,
            "The result is transposed: a row for each cue, a column for each channel.":
                lambda rows, s, cue: torch.stack(rows, -1),
            "The rows are joined end to end. torch.stack makes a new axis for the cues.":
                lambda rows, s, cue: torch.cat([torch.atleast_1d(r) for r in rows]),
            "It is the difference of the two means. The task asks for both, a row for each cue.":
                lambda rows, s, cue: rows[0] - rows[1],
            "It is the difference of the two means, cue 1 less cue 0. The task asks for both.":
                lambda rows, s, cue: rows[1] - rows[0],
            "It is the row of cue 0 alone. Cue 1 has one too.": lambda rows, s, cue: rows[0],
            "It is the row of cue 1 alone. Cue 0 has one too.": lambda rows, s, cue: rows[1],
            "The row of cue 1 is missing.": lambda rows, s, cue: rows[:1],
            "There is a row for each image, not for each cue.": lambda rows, s, cue: torch.stack(rows)[cue],
            "The means are rounded to 0 or 1. A gate may be half open.":
                lambda rows, s, cue: torch.stack(rows).round(),
            "The rows are divided by the number of all images. A mean has been divided already.":
                lambda rows, s, cue: torch.stack(rows) / len(s),
            "Both rows are divided by how many images have cue 1. A mean has been divided already.":
                lambda rows, s, cue: torch.stack(rows) / cue.sum(),
            "Both rows are divided by how many images have cue 0. A mean has been divided already.":
                lambda rows, s, cue: torch.stack(rows) / (1 - cue).sum(),
        },
    },
    mistakes={
        "~cue of whole numbers is -1 and -2, and s[~cue] takes the last two rows by number. s[cue == 0] is a "
        "mask.":
            lambda s, cue: torch.stack([s[~cue].mean(0), s[cue].mean(0)]),
        "That is what the function above does. s[cue] takes rows 0 and 1 of s by number; s[cue == 1] "
        "is a mask.":
            lambda s, cue: torch.stack([s[cue].mean(0), s[1 - cue].mean(0)]),
        "Whole numbers are an index: s[cue] takes rows 0 and 1 of s by number; s[cue == 1] is a mask.":
            lambda s, cue: torch.stack([s[1 - cue].mean(0), s[cue].mean(0)]),
        "Each cue's sum is divided by 2, the number of cues. Divide by how many images have this cue.":
            lambda s, cue: torch.stack([s[cue == c].sum(0) for c in (0, 1)]) / 2,
        "Each cue's sum is divided by how many images have cue 1.":
            lambda s, cue: torch.stack([s[cue == c].sum(0) for c in (0, 1)]) / cue.sum(),
        "s[cue] takes rows 0 and 1 of s by number, over and over. A mask, s[cue == 1], takes that "
        "cue's images.":
            lambda s, cue: s[cue].mean(0),
        "The mean of the last image and of the mean so far is no mean of all: later images weigh more.":
            _halved,
    },
)  # fmt: skip


def _gradient(network: nn.Module, x: Tensor, size: int = 13) -> Tensor:
    """Of what is painted in the upper left, by each input: (1, 3, 20, 20)."""
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(network(x)[:, 0, :size, :size].sum(), x)
    return gradient


def view(network: nn.Module, x: Tensor) -> int:
    return int((_gradient(network, x)[0, 2] != 0).sum())


def _fresh(seed: int, **options: object) -> Case:
    """A painter with random weights, in evaluation mode and in doubles, and an image."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = painter(**options).double().eval()  # type: ignore[arg-type]
    (x,) = seeded((1, 3, 20, 20), seed=seed)
    return network, x.double()


def _blind(channel: int) -> Case:
    """A painter that does not look at one of the three channels."""
    network, x = _fresh(4)
    with torch.no_grad():
        network[0].weight[:, channel] = 0
    return network, x


def _shouting() -> Case:
    """A painter whose output changes so much with its input that no gradient is small."""
    network, x = _fresh(5)
    with torch.no_grad():
        network[-1].weight.mul_(1e4)
    return network, x


def _one_sided() -> Case:
    """A painter whose first layer looks to the right and downwards alone."""
    network, x = _fresh(6)
    with torch.no_grad():
        network[0].weight[:, :, 0] = network[0].weight[:, :, :, 0] = 0
    return network, x


def _view(
    network: nn.Module,
    x: Tensor,
    of: Callable[[Tensor], Tensor] = lambda y: y[:, 0, :13, :13].sum(),
    by: Callable[[Tensor], Tensor] = lambda g: g[0, 2],
    count: Callable[[Tensor], object] = lambda g: (g != 0).sum(),
) -> object:
    x = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(of(network(x)), x)
    return count(by(gradient))


def _how_far(result: object, network: nn.Module, x: Tensor) -> str:
    """How a count compares, network by network."""
    layers = [m for m in network if isinstance(m, nn.Conv2d)]  # type: ignore[attr-defined]
    gate = "with SE" if any(isinstance(m, SqEx) for m in network.modules()) else "without SE"
    given = result.item() if isinstance(result, Tensor) and result.numel() == 1 else result
    return (
        f"For a network of {len(layers) - 1} convolutions of 3 × 3 and one of 1 × 1, {gate}, your function "
        f"returns {given}, expected is {view(network, x)}."
    )


check_view = Exercise(
    solution=view,
    cases=[
        *[_fresh(3, dilations=(1,)), _fresh(0), _fresh(1, gate=partial(SqEx, reduction=4))],
        *[_blind(2), _blind(0), _blind(1), _fresh(2, dilations=(1, 3)), _shouting(), _one_sided()],
    ],
    kinds={
        "the network looks beyond the digits no farther than three pixels":
            lambda network, x: view(network, x) <= 256,
        "the network has SE, and so sees everything": lambda network, x: view(network, x) == 400,
        "gradients are not small": lambda network, x: float(_gradient(network, x).abs().max()) > 1,
    },
    reason=_how_far,
    right="Three layers see three pixels beyond the digits; one SE block sees everything.",
    variant=_view,
    slips={
        "of": {
            "The gradient is that of the whole picture. Only what lies where the digits do counts, "
            "[:13, :13].":
                lambda y: y[:, 0].sum(),
            "It is the view of a corner's pixel, not of the area where digits lie, [:13, :13].":
                lambda y: y[0, 0, 0, 0],
            "It is the view of one pixel, not of the area where digits lie, [:13, :13].":
                lambda y: y[0, 0, 12, 12],
            "It is the view of the lower right, [13:, 13:]. The digits lie in the upper left, [:13, :13].":
                lambda y: y[:, 0, 13:, 13:].sum(),
            "It is the view of the lower right, [7:, 7:]. The digits lie in the upper left, [:13, :13].":
                lambda y: y[:, 0, 7:, 7:].sum(),
            "The area is [:12, :12], and should be [:13, :13]: a slice leaves out its end.":
                lambda y: y[:, 0, :12, :12].sum(),
            "The area is [:14, :14], and should be [:13, :13]: a slice leaves out its end.":
                lambda y: y[:, 0, :14, :14].sum(),
            "The area is cut off in one direction alone, [:13]. It should be [:13, :13].":
                lambda y: y[:, 0, :13].sum(),
        },
        "by": {
            "All three input channels are counted. The cue is in channel 3, x[:, 2].": lambda g: g,
            "It is channel 1's gradient, x[:, 0]. The cue is in channel 3, x[:, 2].": lambda g: g[0, 0],
            "It is channel 2's gradient, x[:, 1]. The cue is in channel 3, x[:, 2].": lambda g: g[0, 1],
            "The gradients of the three input channels are added up. The cue is in channel 3 alone, x[:, 2].":
                lambda g: g[0].sum(0),
            "Only the positions where the digits lie are counted. Count all of channel 3.":
                lambda g: g[0, 2, :13, :13],
        },
        "count": {
            "Only positive gradients are counted. One that is negative changes the picture as well.":
                lambda g: (g > 0).sum(),
            "Only negative gradients are counted. One that is positive changes the picture as well.":
                lambda g: (g < 0).sum(),
            "Small gradients are left out. One that is small changes the picture as well: compare with 0.":
                lambda g: (g.abs() > 1e-3).sum(),
            "Gradients below a millionth are left out. One that is small changes the picture as well.":
                lambda g: (g.abs() > 1e-6).sum(),
            "Small gradients and negative ones are left out. Compare with 0, by !=.":
                lambda g: (g > 1e-3).sum(),
            "Gradients below 1 in size are left out. A small one changes the picture as well: "
            "compare with 0.":
                lambda g: (g.abs() >= 1).sum(),
            "It counts the positions without a gradient.": lambda g: (g == 0).sum(),
            "The size of the gradient is added up. The task asks for at how many positions it is not zero.":
                lambda g: g.abs().sum(),
            "The gradients are added up. The task asks for at how many positions there is one.":
                lambda g: g.sum(),
            "These are the gradients themselves. Count those that are not zero.": lambda g: g,
            "It says for each position whether there is a gradient. Add that up.": lambda g: g != 0,
            "It says whether there is a gradient anywhere. Count the positions.": lambda g: (g != 0).any(),
            "It is a share of the positions. The task asks for their number.":
                lambda g: (g != 0).double().mean(),
            "It is the shape of the list of positions. Its first number is what is asked for.":
                lambda g: g.nonzero().shape,
            "It is the number of rows in which there is a gradient. Count positions.":
                lambda g: (g != 0).any(-1).sum(),
        },
    },
    mistakes={
        "It counts what is painted, not the gradient. Ask which inputs it depends on.":
            lambda network, x: (network(x)[:, 0, :13, :13] != 0).sum(),
        "Every position is counted, whatever the network. Ask which of them the picture depends on.":
            lambda network, x: x[0, 2].numel(),
    },
)  # fmt: skip


Z_95 = 1.959964
"""The standard errors in half of a 95 % interval."""


def runs_needed(rate: float) -> int:
    return math.ceil(Z_95**2 * rate / (1 - rate))


def _lower_end(n: int, z: float = Z_95) -> float:
    """Where Wilson's interval begins after n successes in n runs."""
    return n / (n + z * z)


def _begins_at(result: Any, rate: float) -> str:
    """Where the interval begins after that many runs, and after the right number."""
    n, right = float(result), runs_needed(rate)
    if n != int(n) or n < 1:
        return f"For rate = {rate} you return {number(n)}, and runs come whole: 1 or more of them."
    ends = ", ".join(
        f"after {k} successes at {number(_lower_end(k), rate)}"
        for k in dict.fromkeys((int(n), right - 1, right))
    )
    return (
        f"For rate = {rate} you return {number(n)}. The interval begins {ends}: it has to reach {rate} first."
    )


def _until(rate: float, z: float) -> int:
    return math.ceil(z**2 * rate / (1 - rate))


check_runs_needed = Exercise(
    solution=runs_needed,
    cases=[(0.5,), (0.72,), (0.9,), (0.95,), (0.8,), (0.99,)],
    reason=_begins_at,
    right="Ten of ten promise 72 %. A promise of 95 % takes 73 runs without a single failure.",
    mistakes={
        "That is one run too few: the lower end has to reach the rate.":
            lambda rate: runs_needed(rate) - 1,
        "That is the rule of three, 3 / (1 - rate). It takes another interval.":
            lambda rate: math.ceil(3 / (1 - rate)),
        "That many runs fail on average once. That none failed says more than that.":
            lambda rate: math.ceil(1 / (1 - rate)),
        "That is for another interval, the exact one: here the method is Wilson's.":
            lambda rate: math.ceil(math.log(0.025) / math.log(rate)),
        "That is for an interval to one side: 5 % above instead of 2.5 %.":
            lambda rate: math.ceil(math.log(0.05) / math.log(rate)),
        "That is one run too many: one fewer reaches the rate already.":
            lambda rate: runs_needed(rate) + 1,
        "Runs come whole: round up.": lambda rate: Z_95**2 * rate / (1 - rate),
        "That is for an interval of 90 %. The task asks for 95 %.": lambda rate: _until(rate, 1.644854),
        "That is for an interval of 99 %. The task asks for 95 %.": lambda rate: _until(rate, 2.575829),
        "It is 1 run, whatever the rate: does the loop end before the rate is reached?": lambda rate: 1,
        "Ten runs are enough for 72 %, and not for every rate.":
            lambda rate: 10,
        "The runs do not grow in proportion to the rate. Count n up until the lower end is there.":
            lambda rate: math.ceil(10 * rate / 0.72),
    },
)  # fmt: skip


def cues() -> Tensor:
    here = torch.zeros(4, 4)
    here[:, [0, 2]] = 1
    return torch.stack([here, here.roll(1, 1)])


def _cues(patches: Tensor) -> int:
    """Which of the things that are wanted of the two patches they lack, counted from 1; 0 if none."""
    patches = numbers(patches).float()
    if patches.shape != (2, 4, 4):
        raise ValueError(f"expected two patches, (2, 4, 4), got shape {tuple(patches.shape)}")
    images = F.pad(patches[:, None], (8, 8, 8, 8))
    (filters,) = seeded((64, 1, 3, 3), seed=1)

    def criteria() -> Iterator[bool]:
        yield bool(((patches >= 0) & (patches <= 1)).all())
        yield bool((patches > 0).any(dim=2).any(dim=1).all())
        yield bool((patches[0] - patches[1]).abs().sum() >= 4)
        apart = (patches.sum(dim=(1, 2))).diff().abs()
        yield float(apart) < 1e-4
        maps = F.conv2d(images, filters, padding=1).relu().sum(dim=(2, 3))
        yield bool((maps[0] - maps[1]).abs().max() < 1e-3)

    return first_unmet(criteria())


def _stripes(first: list[int], second: list[int], turned: bool = False) -> Tensor:
    """Two patches with these columns white; of the second the rows, if turned."""
    patches = torch.zeros(2, 4, 4)
    patches[0, :, first] = patches[1, :, second] = 1
    return torch.stack([patches[0], patches[1].T if turned else patches[1]])


check_cues = Exercise(
    solution=cues,
    cases=[()],
    view=_cues,
    hint="It takes no arguments and returns two patches in one tensor, (2, 4, 4).",
    right="Each pixel keeps its neighbours and only its place is new. SE is blind to such a cue.",
    mistakes={
        "The numbers of a patch lie between 0 and 1. One of yours is outside.":
            lambda: 2 * cues(),
        "One patch is black, so any filter that finds something in the other tells them apart.":
            lambda: cues() * torch.tensor([1.0, 0])[:, None, None],
        "The two are hardly different. Let them differ by 4 pixels from black to white, or as much in grey.":
            lambda: _stripes([0, 2], [0, 2]),
        "One patch is brighter than the other, and the mean of a filter that averages says which.":
            lambda: _stripes([0, 2], [1]),
        "Some filter tells them apart, as an edge filter does with stripes that were turned.":
            lambda: _stripes([0, 2], [0, 2], turned=True),
    },
)  # fmt: skip
