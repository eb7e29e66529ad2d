"""Exercises of 09_context_decides."""

import math
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seblock.blocks import SqEx
from seblock.exercises.criteria import first_unmet
from seblock.exercises.exercise import Case, Exercise, seeded
from seblock.gates import by_class
from seblock.puzzles import painter


def means_by_cue(s: Tensor, cue: Tensor) -> Tensor:
    return by_class(s, cue).mean.float()


def _gates(cues: list[int], channels: int) -> Case:
    (s,) = seeded((len(cues), channels), seed=len(cues))
    return s.sigmoid(), torch.tensor(cues)


check_means_by_cue = Exercise(
    solution=means_by_cue,
    cases=[_gates([0, 1, 1, 0, 1], 3), _gates([1, 0, 0, 0], 4), _gates([1, 1, 0, 0, 0, 0, 1], 2)],
    right="What is left of a gate is its mean for each cue: that alone painted every picture right.",
    mistakes={
        "It is the mean over all images, for both cues. Choose each cue's images first.":
            lambda s, cue: s.mean(0).expand(2, -1),
        "The two rows are exchanged: row 0 belongs to cue 0.":
            lambda s, cue: means_by_cue(s, 1 - cue),
        "It is the sum over each cue's images. The mean divides by their number.":
            lambda s, cue: torch.stack([s[cue == c].sum(0) for c in (0, 1)]),
        "Each cue's sum is divided by the number of all images, not of those with this cue.":
            lambda s, cue: torch.stack([s[cue == c].sum(0) / len(s) for c in (0, 1)]),
        "It is the mean over channels too: asked for is one number for each channel.":
            lambda s, cue: torch.stack([s[cue == c].mean() for c in (0, 1)]),
        "s[cue] takes rows 0 and 1 of s by number. A mask, s[cue == 1], takes the images with that cue.":
            lambda s, cue: s[:2],
        "It is the median of each cue's gates, not the mean.":
            lambda s, cue: torch.stack([s[cue == c].median(0).values for c in (0, 1)]),
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


def _blind() -> Case:
    """A painter that looks at channels 1 and 2 only."""
    network, x = _fresh(4)
    with torch.no_grad():
        network[0].weight[:, 2] = 0
    return network, x


check_view = Exercise(
    solution=view,
    cases=[
        *[_fresh(0), _fresh(1, gate=partial(SqEx, reduction=4)), _blind()],
        *[_fresh(2, dilations=(1, 3)), _fresh(3, dilations=(1,))],
    ],
    right="Three layers see three pixels beyond the digits; one SE block sees everything.",
    mistakes={
        "The gradient is that of the whole picture. Only what lies where the digits do counts, [:13, :13].":
            lambda network, x: (_gradient(network, x, 20)[0, 2] != 0).sum(),
        "All three input channels are counted. The cue is in channel 3, x[:, 2].":
            lambda network, x: (_gradient(network, x) != 0).sum(),
        "It is channel 1's gradient, x[:, 0]. The cue is in channel 3, x[:, 2].":
            lambda network, x: (_gradient(network, x)[0, 0] != 0).sum(),
        "Only positive gradients are counted. One that is negative changes the picture as well.":
            lambda network, x: (_gradient(network, x)[0, 2] > 0).sum(),
        "It counts the positions without a gradient.":
            lambda network, x: (_gradient(network, x)[0, 2] == 0).sum(),
        "The size of the gradient is added up. The task asks for at how many positions it is not zero.":
            lambda network, x: _gradient(network, x)[0, 2].abs().sum(),
        "It is the view of one pixel, [0, 0], not of the area where digits lie.":
            lambda network, x: (_gradient(network, x, 1)[0, 2] != 0).sum(),
    },
)  # fmt: skip


Z_95 = 1.959964
"""The standard errors in half of a 95 % interval."""


def runs_needed(rate: float) -> int:
    return math.ceil(Z_95**2 * rate / (1 - rate))


check_runs_needed = Exercise(
    solution=runs_needed,
    cases=[(0.5,), (0.72,), (0.9,), (0.95,), (0.8,), (0.99,)],
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
    patches = torch.as_tensor(patches).float()
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
