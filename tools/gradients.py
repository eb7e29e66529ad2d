"""Make seblock/trained/gradients.csv: what twenty trained painters' SE blocks let back to the layers below.

python tools/gradients.py [SEEDS]          seeds that the table has already are left out
"""

import csv
import sys
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from trained import FOLDER, PAINTERS, Row, learn, write

from seblock import blocks, functional, puzzles


def examine_painter(seed: int) -> Row:
    """Train the painter with SE, and measure it on 256 test images, in training mode.

    "right": the share of pictures that are nearer to the named digit, of 1,000 in evaluation mode; the rest
    is from `look_at_gates`. Trained in channels_last, in which a CPU is faster.
    """
    torch.manual_seed(seed)
    network = PAINTERS["SE"].build().to(memory_format=torch.channels_last)
    puzzle = puzzles.painting_puzzle(2000, seed)
    x = puzzle.x.to(memory_format=torch.channels_last)
    learn(network, x, puzzle.target, F.mse_loss, seed, epochs=12, peak=2e-2)
    test = puzzles.painting_puzzle(1000, seed=0, part="test")
    with torch.no_grad():
        right = test.painted(network(test.x)).float().mean().item()
    looked_at = look_at_gates(network, puzzles.painting_puzzle(256, seed=1, part="test"))
    return {"network": "SE", "epochs": 12, "seed": seed, "right": round(right, 4), **looked_at}


def look_at_gates(network: nn.Module, test: puzzles.Puzzle) -> Row:
    """What one batch tells of a painter's SE blocks; leaves the network in training mode.

    "silent": how many hidden units no image turns on; "negative": how many of these have negative weights
    alone. For each block, "slope": the mean of s (1 − s); "share": the root mean square of the gradient that
    comes through z over that of the direct one.
    """
    seen: list[tuple[Any, Tensor, Tensor]] = []
    hooks = [
        module.register_forward_hook(lambda gate, u, x: seen.append((gate, u[0], x)))
        for module in network.modules()
        if isinstance(module, blocks.SqEx)
    ]
    loss = F.mse_loss(network.train()(test.x), test.target)
    for hook in hooks:
        hook.remove()
    gradients = torch.autograd.grad(loss, [t for _, u, x in seen for t in (u, x)])
    silent, slopes, shares = [], [], []
    with torch.no_grad():
        for (gate, u, _), of_u, of_x in zip(seen, gradients[::2], gradients[1::2], strict=True):
            a1 = gate.linear1(functional.squeeze(u))
            silent.append(gate.linear1.weight[(a1 <= 0).all(dim=0)])
            s = gate.linear2(a1.relu()).sigmoid()
            slopes.append(float((s * (1 - s)).mean()))
            direct = functional.rescale(of_x, s)
            shares.append(float((of_u - direct).norm() / direct.norm()))
    return {
        "silent": sum(len(weights) for weights in silent),
        "negative": sum(int((weights < 0).all(dim=1).sum()) for weights in silent),
        **{f"slope {k}": round(slope, 5) for k, slope in enumerate(slopes, start=1)},
        **{f"share {k}": round(share, 5) for k, share in enumerate(shares, start=1)},
    }


if __name__ == "__main__":
    path = FOLDER / "gradients.csv"
    rows: list[Row] = list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []
    for seed in range(int(sys.argv[1]) if sys.argv[1:] else 20):
        if not any(int(row["seed"]) == seed for row in rows):
            rows.append(examine_painter(seed))
            write("gradients", sorted(rows, key=lambda row: int(row["seed"])))
