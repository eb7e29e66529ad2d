"""Exercises of 07_residual_block."""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seblock.exercises.exercise import Exercise, seeded
from seblock.exercises.outcome import number
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
        (8 * seeded((1, 2, 3, 5), seed=3)[0], _branch, _gate),
    ],
    shapes="x (N, C, H, W) -> (N, C, H, W)",
    kinds={"the values are small": lambda x, branch, gate: bool(x.abs().max() < 6)},
    right="The standard placement: the gate weighs what the branch adds, the shortcut passes untouched.",
    variant=_block,
    slips={
        "enters": {
            "The gate weighs what enters the branch too, as in PRE. It should weigh only what leaves it.":
                lambda x, gate: gate(x),
            "There is a ReLU before the branch. x goes in as it is.": lambda x, gate: F.relu(x),
            "The gate and a ReLU come before the branch. x goes in as it is.":
                lambda x, gate: F.relu(gate(x)),
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
            "The gate sits on the shortcut too, as in Identity. x passes untouched.": lambda x, gate: gate(x),
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
            "The gate comes after the addition too. In the standard place it comes only before.":
                lambda t, gate: F.relu(gate(t)),
            "The gate comes after the addition and its ReLU too. In the standard place it comes only before.":
                lambda t, gate: gate(F.relu(t)),
            "There is a sigmoid at the end. The task asks for a ReLU.": lambda t, gate: t.sigmoid(),
            "There is a tanh at the end. The task asks for a ReLU.": lambda t, gate: t.tanh(),
            "There is a GELU at the end. The task asks for a ReLU.": lambda t, gate: F.gelu(t),
            "There is a leaky ReLU at the end. The task asks for a ReLU.": lambda t, gate: F.leaky_relu(t),
            "There is a SiLU at the end. The task asks for a ReLU.": lambda t, gate: F.silu(t),
        },
    },
    mistakes={
        "This is the block of the task: its gate stands between the addition and the ReLU, and weighs the "
        "shortcut too. Let it weigh the branch alone, before the addition.":
            lambda x, branch, gate: F.relu(gate(x + branch(x))),
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
        "The gated branch is added to itself. What has to be added is x.":
            lambda x, branch, gate: F.relu(2 * gate(branch(x))),
        "The sum is multiplied by gate(x), a map. The gate weighs the branch, before the addition.":
            lambda x, branch, gate: F.relu(x + branch(x)) * gate(x),
        "The gated branch is multiplied by x before it is added. It is added as it is.":
            lambda x, branch, gate: F.relu(x + x * gate(branch(x))),
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


def signal_left(place: str, n: int, gate: float, branch: float) -> float:
    step = {
        "standard": 1 + gate * branch,
        "PRE": 1 + branch * gate,
        "Identity": gate + branch,
        "POST": gate * (1 + branch),
    }
    return step[place] ** n


ONE_BLOCK = {
    "standard": "a block adds to the signal what the branch makes of it, times the gate",
    "PRE": "a block adds to the signal what the branch makes of the gated signal",
    "Identity": "a block adds what the branch makes to the gated signal",
    "POST": "a block gates the sum of the signal and what the branch makes",
}


def _by_block(result: Any, place: str, n: int, gate: float, branch: float) -> str:
    """What one block does."""
    right, given = signal_left(place, n, gate, branch), float(result)
    others = [p for p in ONE_BLOCK if math.isclose(signal_left(p, n, gate, branch), given, rel_tol=1e-6)]
    whose = f" Yours is the number of {' or '.join(map(repr, others))}." if others else ""
    return (
        f"For place = {place!r}, n = {n}, gate = {gate}, branch = {branch} you return "
        f"{number(given, right)}, "
        f"expected is {number(right, given)}. There {ONE_BLOCK[place]}: that is times "
        f"{number(signal_left(place, 1, gate, branch))}, once a block.{whose}"
    )


check_signal_left = Exercise(
    solution=signal_left,
    reason=_by_block,
    kinds={
        "there is one block": lambda place, n, gate, branch: n == 1,
        "the place is standard or PRE": lambda place, n, gate, branch: place in ("standard", "PRE"),
        "the place is Identity or POST": lambda place, n, gate, branch: place in ("Identity", "POST"),
        "the branches are silent": lambda place, n, gate, branch: branch == 0,
    },
    cases=[
        *[("standard", 9, 0.5, 0.0), ("standard", 3, 0.5, 0.5), ("PRE", 4, 0.25, 0.1)],
        *[("Identity", 9, 0.5, 0.0), ("Identity", 2, 0.5, 0.7), ("POST", 9, 0.5, 0.0), ("POST", 3, 0.9, 0.2)],
        *[("PRE", 1, 0.3, 0.4), ("standard", 1, 0.3, 0.4), ("Identity", 1, 0.3, 0.4), ("POST", 1, 0.3, 0.4)],
    ],
    right="What follows the shortcut alone is halved in Identity and POST, and whole in the other two.",
    mistakes={
        "In POST the gate comes after the sum and multiplies what the branch added as well.":
            lambda place, n, gate, branch: (
                signal_left("Identity" if place == "POST" else place, n, gate, branch)),
        "In Identity the gate is on the shortcut alone: what the branch adds is not multiplied.":
            lambda place, n, gate, branch: (
                signal_left("POST" if place == "Identity" else place, n, gate, branch)),
        "The gate is on the branch in the standard place and in PRE, too. It is missing there.":
            lambda place, n, gate, branch: (
                (1 + branch) ** n if place in ("standard", "PRE") else signal_left(place, n, gate, branch)),
        "That is what a single block does. Each of the n blocks is given what the last one made.":
            lambda place, n, gate, branch: signal_left(place, 1, gate, branch),
        "The gate is on the branch in PRE, before it. The shortcut passes whole.":
            lambda place, n, gate, branch: signal_left("POST" if place == "PRE" else place, n, gate, branch),
        "Every place gets the standard one's number: `place == \"standard\" or \"PRE\"` is always true.":
            lambda place, n, gate, branch: signal_left("standard", n, gate, branch),
        "One block is multiplied by n. n blocks, one after the other, multiply n times.":
            lambda place, n, gate, branch: n * signal_left(place, 1, gate, branch),
        "n blocks multiply n times. They do not add up.":
            lambda place, n, gate, branch: 1 + n * (signal_left(place, 1, gate, branch) - 1),
        "The branch is left out. Here it is not silent.":
            lambda place, n, gate, branch: signal_left(place, n, gate, 0.0),
        "The shortcut is left out: a block adds what the branch makes to its input.":
            lambda place, n, gate, branch: (
                (gate * branch) ** n
                if place in ("standard", "PRE") else signal_left(place, n, gate, branch)),
    },
)  # fmt: skip


Stages = list[tuple[int, int]]


def most_blocks(stages: Stages, reduction: int, budget: int) -> int:
    prices = sorted(2 * c * c // reduction for n, c in stages for _ in range(n))
    count = 0
    for price in prices:
        if price > budget:
            break
        budget, count = budget - price, count + 1
    return count


def _by_price(stages: Stages, budget: int, price: Callable[[int], int], whole: bool = False) -> int:
    """How many blocks a budget buys, the cheapest first: single ones, or whole stages."""
    count = 0
    for n, c in sorted(stages, key=lambda stage: stage[1]):
        bought = min(n, budget // price(c))
        if whole and bought < n:
            break
        budget, count = budget - bought * price(c), count + bought
        if bought < n:
            break
    return count


RESNET_50 = [(3, 256), (4, 512), (6, 1024), (3, 2048)]


def _prices(result: Any, stages: Stages, reduction: int, budget: int) -> str:
    """What a block costs in each stage."""
    prices = ", ".join(f"{n} at {2 * c * c // reduction}" for n, c in sorted(stages, key=lambda s: s[1]))
    return (
        f"For stages = {stages}, reduction = {reduction}, budget = {budget} you return "
        f"{number(float(result))}, "
        f"expected is {most_blocks(stages, reduction, budget)}. Of these blocks there are {prices} "
        f"weights each: "
        "how many can be paid for, the cheapest first?"
    )


check_most_blocks = Exercise(
    solution=most_blocks,
    reason=_prices,
    kinds={
        "the stages come the cheapest first": lambda stages, reduction, budget: (
            [c for _, c in stages] == sorted(c for _, c in stages)),
        "nothing of the budget is left over": lambda stages, reduction, budget: budget == 4_608,
        "the budget pays for all or for none": lambda stages, reduction, budget: (
            most_blocks(stages, reduction, budget) in (0, sum(n for n, _ in stages))),
    },
    cases=[
        *[(RESNET_50, 16, 1_000_000), (RESNET_50, 16, 500_000), (RESNET_50, 32, 1_300_000)],
        *[([(2, 64), (5, 32)], 4, 8_000), ([(3, 64), (4, 128)], 4, 200), ([(3, 16), (3, 32)], 4, 10**6)],
        ([(2, 64), (5, 32), (1, 128)], 4, 4_608),
    ],
    right="The early blocks cost little. Whether they are also the ones worth having is another question.",
    mistakes={
        "It takes the stages from the last one on, where a block costs most.":
            lambda stages, reduction, budget: _from_the_last(stages, reduction, budget),
        "Only whole stages are bought. A stage may have SE in some of its blocks.":
            lambda stages, reduction, budget: (
                _by_price(stages, budget, lambda c: 2 * c * c // reduction, whole=True)),
        "The factor 2 is missing: each block has two matrices.":
            lambda stages, reduction, budget: _by_price(stages, budget, lambda c: c * c // reduction),
        "The channels are not squared: a matrix has C rows and C / r columns.":
            lambda stages, reduction, budget: _by_price(stages, budget, lambda c: 2 * c // reduction),
        "The reduction is left out: it makes both matrices smaller.":
            lambda stages, reduction, budget: _by_price(stages, budget, lambda c: 2 * c * c),
        "The stages are taken as they come in the list. The cheapest blocks come first.":
            lambda stages, reduction, budget: _in_order(stages, reduction, budget),
        "The budget is spent anew in every stage. What one stage costs is gone for the next.":
            lambda stages, reduction, budget: sum(
                min(n, budget // (2 * c * c // reduction)) for n, c in stages),
        "A stage has only so many blocks: count each of them once.":
            lambda stages, reduction, budget: budget // min(2 * c * c // reduction for _, c in stages),
        "Each price is compared with the whole budget. What a block costs is gone for the next.":
            lambda stages, reduction, budget: sum(
                n for n, c in stages if 2 * c * c // reduction <= budget),
        "It counts stages, as if each were bought whole. The task asks for blocks, and part of a stage "
        "will do.":
            lambda stages, reduction, budget: _stages_bought(stages, reduction, budget),
        "sorted(stages) goes by what comes first in each pair, the number of blocks. Sort by the channels.":
            lambda stages, reduction, budget: _in_order(sorted(stages), reduction, budget),
        "One block of each stage is bought. A stage has as many as its first number says.":
            lambda stages, reduction, budget: _by_price(
                [(1, c) for _, c in stages], budget, lambda c: 2 * c * c // reduction),
        "All blocks or none: part of them may be bought, the cheapest first.":
            lambda stages, reduction, budget: sum(n for n, _ in stages) * (
                sum(2 * n * c * c // reduction for n, c in stages) <= budget),
        "More blocks are bought than a stage has, one stage after the other.":
            lambda stages, reduction, budget: _without_limit(stages, reduction, budget),
        "More blocks are bought than a stage has, and never the one that costs just what is left.":
            lambda stages, reduction, budget: _without_limit(stages, reduction, budget, short=1),
        "That is one block too many: the last one was bought on credit.":
            lambda stages, reduction, budget: min(
                most_blocks(stages, reduction, budget) + 1, sum(n for n, _ in stages)),
        "A block that costs just what is left can still be paid: <=, not <.":
            lambda stages, reduction, budget: most_blocks(stages, reduction, budget - 1),
        "That is what all blocks cost, in weights. The task asks how many blocks the budget pays for.":
            lambda stages, reduction, budget: sum(2 * n * c * c // reduction for n, c in stages),
        "Each block is bought at the average price of all. Take the cheap ones first.":
            lambda stages, reduction, budget: min(
                sum(n for n, _ in stages),
                budget * sum(n for n, _ in stages) // sum(2 * n * c * c // reduction for n, c in stages)),
        "That is how many blocks there are. The budget does not pay for all of them.":
            lambda stages, reduction, budget: sum(n for n, _ in stages),
    },
)  # fmt: skip


def _from_the_last(stages: Stages, reduction: int, budget: int) -> int:
    """How many blocks a budget buys, from the last stage on, as long as it lasts."""
    count = 0
    for n, c in reversed(stages):
        bought = min(n, budget // (2 * c * c // reduction))
        budget, count = budget - bought * (2 * c * c // reduction), count + bought
        if bought < n:
            break
    return count


def _without_limit(stages: Stages, reduction: int, budget: int, short: int = 0) -> int:
    """How many blocks a budget buys in the list's order, as if a stage had as many as anybody wants."""
    count = 0
    for _, c in stages:
        bought = max(0, (budget - short) // (2 * c * c // reduction))
        budget, count = budget - bought * (2 * c * c // reduction), count + bought
    return count


def _stages_bought(stages: Stages, reduction: int, budget: int) -> int:
    """How many whole stages a budget buys, the cheapest first."""
    count = 0
    for price in sorted(2 * n * c * c // reduction for n, c in stages):
        if price > budget:
            break
        budget, count = budget - price, count + 1
    return count


def _in_order(stages: Stages, reduction: int, budget: int) -> int:
    """How many blocks a budget buys, in the order of the list, leaving out what is too dear."""
    count = 0
    for n, c in stages:
        bought = min(n, budget // (2 * c * c // reduction))
        budget, count = budget - bought * (2 * c * c // reduction), count + bought
    return count


def compensation(b2: float) -> tuple[float, float]:
    return _compensation(b2)


def _compensation(
    b2: float,
    gate: Callable[[float], float] = lambda b2: 1 / (1 + math.exp(-b2)),
    factor: Callable[[float], float] = lambda s: 1 / s,
    share: Callable[[float], float] = lambda s: 1 - s,
) -> tuple[float, float]:
    s = gate(b2)
    return factor(s), share(s)


def _at_the_gate(result: Any, b2: float) -> str:
    """Where the gate starts, and what has to be undone."""
    s = 1 / (1 + math.exp(-b2))
    return (
        f"At b₂ = {b2} the gate starts at {number(s)}. The factor undoes that, the maps get as much "
        f"larger, and "
        f"the slope there is {number(s * (1 - s))}."
    )


check_compensation = Exercise(
    solution=compensation,
    cases=[(0.0,), (2.0,), (-1.5,), (4.0,), (-3.0,)],
    parts=("the factor of the norm", "the share that arrives"),
    kinds={"b₂ is 0": lambda b2: b2 == 0},
    reason=_at_the_gate,
    right="At one half both are moderate: a factor of 2, and half of the news. So the norm is doubled.",
    variant=_compensation,
    slips={
        "gate": {
            "The sign of b₂ is the wrong way round: σ(b₂) is 1 over 1 + e to the -b₂.":
                lambda b2: 1 / (1 + math.exp(b2)),
        },
        "factor": {
            "The factor has to undo the gate: 1 / s, not s.": lambda s: s,
            "2 undoes a gate at one half. This one is at σ(b₂).": lambda s: 2.0,
            "2 s is 1 at one half, and the factor there is 2: it is 1 / s.": lambda s: 2 * s,
            "The factor undoes the gate once: 1 / s, not its square.": lambda s: 1 / s**2,
            "The factor is that of the gate's odds. It is 1 / s, which is 1 + e to the -b₂.":
                lambda s: (1 - s) / s,
        },
        "share": {
            "What arrives is s (1 - s) of a sum over maps that are 1 / s as large, so an s cancels.":
                lambda s: s * (1 - s),
            "What arrives is s (1 - s) divided by s, and that leaves 1 - s, not s.": lambda s: s,
            "The maps are 1 / s times as large: that multiplies the slope, it does not divide it.":
                lambda s: s**2 * (1 - s),
            "The share that arrives is divided by s once too often.": lambda s: (1 - s) / s,
            "The share that arrives is that of a gate at one half, and this one is at σ(b₂).": lambda s: 0.5,
            "A quarter is the slope at one half. Here it is s (1 - s), and the maps are 1 / s times "
            "as large.":
                lambda s: 0.25,
            "Not all of it arrives: σ comes in between, with the slope s (1 - s).": lambda s: 1.0,
        },
    },
    mistakes={
        "That is for a gate at one half: here it is at σ(b₂).": lambda b2: (2.0, 0.5),
        "The two are exchanged: the factor of the norm first, then the share that arrives.":
            lambda b2: compensation(b2)[::-1],
    },
)  # fmt: skip
