"""Exercises of 07_residual_block."""

from collections.abc import Callable

import torch
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


def _block(
    x: Tensor,
    branch: Layer,
    gate: Layer,
    enters: Callable[[Tensor, Layer], Tensor] = lambda x, gate: x,
    between: Layer = lambda y: y,
    gated: Callable[[Tensor, Tensor, Layer], Tensor] = lambda y, x, gate: gate(y),
    shortcut: Callable[[Tensor, Layer], Tensor] = lambda x, gate: x,
    join: Callable[[Tensor, Tensor], Tensor] = lambda x, y: x + y,
    after: Callable[[Tensor, Layer], Tensor] = lambda t, gate: F.relu(t),
) -> Tensor:
    y = gated(between(branch(enters(x, gate))), x, gate)
    return after(join(shortcut(x, gate), y), gate)


check_block = Exercise(
    solution=block,
    cases=[
        *[(*seeded((2, 4, 5, 3)), _branch, _gate), (*seeded((1, 3, 6, 6), seed=1), _branch, _gate)],
        (*seeded((3, 2, 4, 5), seed=2), _branch, _gate),
    ],
    shapes="x (N, C, H, W) -> (N, C, H, W)",
    right="The standard placement: the gate weighs what the branch adds, the shortcut passes untouched.",
    variant=_block,
    slips={
        "enters": {
            "The gate weighs what enters the branch, as in PRE. It should weigh what leaves it.":
                lambda x, gate: gate(x),
            "There is a ReLU before the branch. x goes in as it is.": lambda x, gate: F.relu(x),
            "The gate and a ReLU come before the branch.": lambda x, gate: F.relu(gate(x)),
        },
        "between":
            {"There is a ReLU between branch and gate. The one ReLU comes after the addition.": F.relu},
        "gated": {
            "There is no gate on the branch: this is the plain residual block.": lambda y, x, gate: y,
            "The gate looks at x and multiplies the branch. It should look at what the branch puts out.":
                lambda y, x, gate: gate(x) * y,
            "gate(...) is multiplied in once more. It returns the map rescaled already, not the gates.":
                lambda y, x, gate: gate(y) * y,
            "The branch is added to what the gate returns. gate(...) is the branch already, rescaled.":
                lambda y, x, gate: gate(y) + y,
            "The branch counts half. It is added as it is.": lambda y, x, gate: gate(y) / 2,
            "The gate is used twice, one after the other.": lambda y, x, gate: gate(gate(y)),
            "There is a ReLU after the gate. The one ReLU comes after the addition.":
                lambda y, x, gate: F.relu(gate(y)),
            "The gate stands beside the branch, on x. It should weigh what the branch puts out.":
                lambda y, x, gate: y + gate(x),
            "The gate's map of x takes the branch's place. It should weigh what the branch puts out.":
                lambda y, x, gate: gate(x),
        },
        "shortcut": {
            "The shortcut is missing: x has to be added.": lambda x, gate: 0 * x,
            "The gate sits on the shortcut, as in Identity. x passes untouched.": lambda x, gate: gate(x),
            "There is a ReLU on the shortcut. x passes untouched.": lambda x, gate: F.relu(x),
            "The shortcut is added twice.": lambda x, gate: 2 * x,
        },
        "join": {
            "The branch is taken off. It should be added.": lambda x, y: x - y,
            "x is taken off. It should be added.": lambda x, y: y - x,
            "Shortcut and branch are multiplied. They should be added.": lambda x, y: x * y,
            "It is the mean of shortcut and branch. They should be added.": lambda x, y: (x + y) / 2,
            "Shortcut and branch are laid beside each other. They should be added.":
                lambda x, y: torch.cat([x, y], 1),
            "The larger of shortcut and branch is taken. They should be added.": torch.maximum,
        },
        "after": {
            "The ReLU after the addition is missing.": lambda t, gate: t,
            "The gate comes after the addition. In the standard place it comes before.":
                lambda t, gate: F.relu(gate(t)),
            "The gate comes after the addition and its ReLU. In the standard place it comes before.":
                lambda t, gate: gate(F.relu(t)),
            "There is a sigmoid at the end. The task asks for a ReLU.": lambda t, gate: t.sigmoid(),
            "There is a tanh at the end. The task asks for a ReLU.": lambda t, gate: t.tanh(),
            "There is a GELU at the end. The task asks for a ReLU.": lambda t, gate: F.gelu(t),
            "There is a leaky ReLU at the end. The task asks for a ReLU.": lambda t, gate: F.leaky_relu(t),
            "There is a SiLU at the end. The task asks for a ReLU.": lambda t, gate: F.silu(t),
        },
    },
    mistakes={
        "This is POST: the gate comes after the addition and its ReLU, and weighs the shortcut as well.":
            lambda x, branch, gate: gate(F.relu(x + branch(x))),
        "This is PRE: the gate weighs what enters the branch.":
            lambda x, branch, gate: F.relu(x + branch(gate(x))),
        "This is Identity: the gate sits on the shortcut.":
            lambda x, branch, gate: F.relu(gate(x) + branch(x)),
        "The ReLU comes before the addition. It follows it.":
            lambda x, branch, gate: x + F.relu(gate(branch(x))),
        "The gate weighs the sum, and there is no ReLU after it.":
            lambda x, branch, gate: gate(x + branch(x)),
        "Both the shortcut and the ReLU are missing: it is the gated branch alone.":
            lambda x, branch, gate: gate(branch(x)),
        "What is added is the branch, not x: the shortcut brings x itself.":
            lambda x, branch, gate: F.relu(branch(x) + gate(branch(x))),
        "The branch is used twice, and there is no gate.":
            lambda x, branch, gate: F.relu(x + branch(branch(x))),
        "The branch and its gate are used twice, one after the other.":
            lambda x, branch, gate: F.relu(x + gate(branch(gate(branch(x))))),
        "The branch is used twice, with the gate between. Once is enough, with the gate after it.":
            lambda x, branch, gate: F.relu(x + branch(gate(branch(x)))),
        "The gate weighs the sum and x is added again. It weighs the branch alone.":
            lambda x, branch, gate: F.relu(x + gate(x + branch(x))),
        "The gates of the branch weigh the shortcut. x passes untouched.":
            lambda x, branch, gate: F.relu(x * gate(branch(x)) / branch(x) + branch(x)),
    },
)  # fmt: skip


Stages = list[tuple[int, int]]


def _extra(
    stages: Stages,
    reduction: int,
    matrices: float = 2,
    chosen: Callable[[Stages], Stages] = lambda stages: stages,
    blocks: Callable[[int], int] = lambda n: n,
    size: Callable[[int, int], float] = lambda c, r: c * c // r,
    biases: Callable[[int, int], int] = lambda c, r: 0,
) -> float:
    return sum(blocks(n) * (matrices * size(c, reduction) + biases(c, reduction)) for n, c in chosen(stages))


def _stage_by_stage(result: object, stages: Stages, reduction: int) -> str:
    """What each stage should add."""
    parts = [f"{n} × 2 × {c}² / {reduction} = {2 * n * c * c // reduction}" for n, c in stages]
    given = result if isinstance(result, int | float) else "something else"
    return (
        f"For stages = {stages} and reduction = {reduction} your function returns {given}, expected is "
        f"{se_parameters(stages, reduction)}. Stage by stage it is {'; '.join(parts)}."
    )


check_extra = Exercise(
    solution=se_parameters,
    cases=[
        *[([(1, 64)], 8), ([(2, 16)], 4), ([(1, 8), (1, 16)], 2), ([(2, 32), (4, 64)], 8)],
        *[([(3, 256), (4, 512), (6, 1024), (3, 2048)], 16), ([(3, 16), (3, 32), (2, 64)], 4)],
        ([(5, 48), (1, 24)], 3),
    ],
    kinds={
        "there is one stage": lambda stages, reduction: len(stages) == 1,
        "every stage has one block": lambda stages, reduction: all(n == 1 for n, _ in stages),
        "there is one block in all": lambda stages, reduction: sum(n for n, _ in stages) == 1,
        "every stage has as many blocks": lambda stages, reduction: len({n for n, _ in stages}) == 1,
    },
    reason=_stage_by_stage,
    right="Eq. 5: the last stage, with the most channels, pays most.",
    variant=_extra,
    slips={
        "matrices": {
            "The factor 2 is missing: each block has two matrices.": 1,
            "The factor is 4: each block has two matrices.": 4,
            "3 × 3 kernels are counted. SE's layers look at one number a channel.": 18,
        },
        "chosen": {
            "Only the last stage is counted. All of them add up.": lambda stages: stages[-1:],
            "Only the first stage is counted: does the loop return too early?": lambda stages: stages[:1],
            "The last stage is left out.": lambda stages: stages[:-1],
            "The first stage is left out.": lambda stages: stages[1:],
            "All blocks are taken for every stage. Each stage has its own number.":
                lambda stages: [(sum(n for n, _ in stages), c) for _, c in stages],
        },
        "blocks": {
            "Each stage is counted once. It has N_s blocks, each with an SE block of its own.": lambda n: 1,
            "The number of blocks is squared: a stage of N blocks costs N times one block.": lambda n: n * n,
        },
        "size": {
            "The reduction is not used: the hidden layer has C / r units.": lambda c, r: c * c,
            "It is multiplied by r. A larger r makes the hidden layer narrower.": lambda c, r: c * c * r,
            "It is divided by r². Each of the two matrices has one side of C and one of C / r.":
                lambda c, r: (c // r) ** 2,
            "The channels are not squared: a matrix has C rows and C / r columns.": lambda c, r: c // r,
            "The channels are cubed: a matrix has C rows and C / r columns.": lambda c, r: c**3 // r,
            "The matrices are C × r. The hidden layer has C / r units.": lambda c, r: c * r,
            "The channels are taken four times. `stages` has what each stage puts out already.":
                lambda c, r: 16 * c * c // r,
            "The two sides of a matrix are added. It has rows times columns.": lambda c, r: c + c // r,
        },
        "biases": {
            "Biases are counted. Eq. 5 leaves them out.": lambda c, r: c + c // r,
            "The gates' biases are counted. Eq. 5 leaves them out.": lambda c, r: c,
            "The hidden units' biases are counted. Eq. 5 leaves them out.": lambda c, r: c // r,
        },
    },
    mistakes={
        "Blocks and channels are exchanged: a stage is (N_s, C_s).":
            lambda stages, reduction: sum(2 * c * n * n // reduction for n, c in stages),
        "N_s C_s is added up and then squared. Square the channels of each stage, then add up.":
            lambda stages, reduction: 2 * sum(n * c for n, c in stages) ** 2 // reduction,
        "The channels are added up and then squared. Square the channels of each stage, then add up.":
            lambda stages, reduction: 2 * sum(c for _, c in stages) ** 2 // reduction,
        "N_s is added. A stage of N blocks costs N times one block.":
            lambda stages, reduction: sum(2 * n + c * c // reduction for n, c in stages),
        "N_s is added to C_s. A stage of N blocks costs N times one block.":
            lambda stages, reduction: sum(2 * (n + c) * (c // reduction) for n, c in stages),
        "The stages are listed, each with its own number. Add them up.":
            lambda stages, reduction: [2 * n * c * c // reduction for n, c in stages],
        "It is in millions. The task asks for the number itself.":
            lambda stages, reduction: se_parameters(stages, reduction) / 1e6,
    },
)  # fmt: skip
