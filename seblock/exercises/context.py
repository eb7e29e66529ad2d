"""Exercises of 09_context_decides."""

from functools import partial

import torch
from torch import Tensor, nn

from seblock.blocks import SqEx
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
