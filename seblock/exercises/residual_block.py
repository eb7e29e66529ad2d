"""Exercises of 07_residual_block."""

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor

from seblock.cost import se_parameters
from seblock.exercises.exercise import Exercise, seeded
from seblock.functional import rescale, squeeze

Layer = Callable[[Tensor], Tensor]


def block(x: Tensor, branch: Layer, gate: Layer) -> Tensor:
    return F.relu(x + gate(branch(x)))


def _branch(x: Tensor) -> Tensor:
    """A stand-in for a trained branch: a fixed 3×3 convolution that keeps the shape."""
    (v,) = seeded((x.shape[1], x.shape[1], 3, 3), seed=7)
    return F.conv2d(x, v / 3, padding=1)


def _gate(u: Tensor) -> Tensor:
    """A stand-in for an SE block: a gate that depends on the image."""
    return rescale(u, (3 * squeeze(u)).sigmoid())


check_block = Exercise(
    solution=block,
    cases=[(*seeded((2, 4, 5, 3)), _branch, _gate), (*seeded((1, 3, 6, 6), seed=1), _branch, _gate)],
    right="The standard placement: the gate weighs what the branch adds, the shortcut passes untouched.",
    mistakes={
        "This is POST: the gate comes after the addition and its ReLU, and weighs the shortcut as well.":
            lambda x, branch, gate: gate(F.relu(x + branch(x))),
        "This is PRE: the gate weighs what enters the branch.":
            lambda x, branch, gate: F.relu(x + branch(gate(x))),
        "This is Identity: the gate sits on the shortcut.":
            lambda x, branch, gate: F.relu(gate(x) + branch(x)),
        "The ReLU after the addition is missing.":
            lambda x, branch, gate: x + gate(branch(x)),
        "The shortcut is missing: x has to be added.":
            lambda x, branch, gate: F.relu(gate(branch(x))),
        "The ReLU comes before the addition. It follows it.":
            lambda x, branch, gate: x + F.relu(gate(branch(x))),
        "The gate comes after the addition. In the standard place it comes before.":
            lambda x, branch, gate: F.relu(gate(x + branch(x))),
        "There is no gate: this is the plain residual block.":
            lambda x, branch, gate: F.relu(x + branch(x)),
        "The gate looks at x and multiplies the branch. It should look at what the branch puts out.":
            lambda x, branch, gate: F.relu(x + gate(x) * branch(x)),
        "gate(...) is multiplied in once more. It returns the map rescaled already, not the gates.":
            lambda x, branch, gate: F.relu(x + gate(branch(x)) * branch(x)),
    },
)  # fmt: skip


Stages = list[tuple[int, int]]

check_extra = Exercise(
    solution=se_parameters,
    cases=[
        ([(3, 256), (4, 512), (6, 1024), (3, 2048)], 16),
        ([(3, 16), (3, 32), (2, 64)], 4),
        ([(1, 64)], 8),
    ],
    right="Eq. 5: the last stage, with the most channels, pays most.",
    mistakes={
        "The factor 2 is missing: each block has two matrices.":
            lambda stages, reduction: se_parameters(stages, reduction) // 2,
        "Each stage is counted once. It has N_s blocks, each with an SE block of its own.":
            lambda stages, reduction: se_parameters([(1, c) for _, c in stages], reduction),
        "The channels are not squared: a matrix has C rows and C / r columns.":
            lambda stages, reduction: 2 * sum(n * c for n, c in stages) // reduction,
        "It is multiplied by r. A larger r makes the hidden layer narrower.":
            lambda stages, reduction: 2 * sum(n * c * c for n, c in stages) * reduction,
        "It is divided by r². Each of the two matrices has one side of C and one of C / r.":
            lambda stages, reduction: 2 * sum(n * c * c for n, c in stages) // reduction**2,
        "Biases are counted. Eq. 5 leaves them out.":
            lambda stages, reduction: se_parameters(stages, reduction)
            + sum(n * (c + c // reduction) for n, c in stages),
        "N_s is squared along with C_s: a stage of N blocks costs N times one block.":
            lambda stages, reduction: 2 * sum((n * c) ** 2 for n, c in stages) // reduction,
    },
)  # fmt: skip
