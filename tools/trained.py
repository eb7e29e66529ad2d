"""Make what stands in seblock/trained: each command writes its files anew.

python tools/trained.py puzzles             some hundred small networks, an hour on two cores
python tools/trained.py cifar10 RUNS        from the directories that `python -m seblock.train` left in RUNS
python tools/trained.py gates DATA          with CIFAR-10's binary version in DATA, after cifar10
"""

import argparse
import csv
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from seblock import blocks, cost, data, gates, networks, train
from seblock.trained import FOLDER

SEEDS = range(10)
Row = dict[str, Any]
SE = partial(blocks.SqEx, reduction=4)


def learn(
    network: nn.Module, x: Tensor, y: Tensor, loss: train.Loss, seed: int, epochs: int, peak: float
) -> None:
    """AdamW, one cycle up to `peak`, batches of 64; the network is in evaluation mode afterwards."""
    draw = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(len(x), generator=draw).split(64)[: len(x) // 64] for _ in range(epochs)]
    chosen = [rows for order in orders for rows in order]
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=len(chosen))
    for _ in train.steps(network, ((x[i], y[i]) for i in chosen), loss, optimizer, schedule):
        pass
    network.eval()


class Candidate(NamedTuple):
    """A network of a puzzle and how long and fast it learns."""

    build: Callable[[], nn.Module]
    epochs: int = 12
    peak: float = 2e-2


WIDER = partial(networks.painter, dilations=(3, 6, 9))
PAINTERS = {
    "plain": Candidate(networks.painter),
    "SE": Candidate(partial(networks.painter, SE)),
    "SE, 16 wide": Candidate(partial(networks.painter, SE, width=16)),
    "wider field": Candidate(WIDER),
    "wider field, longer": Candidate(WIDER, epochs=36, peak=5e-3),
    "added term": Candidate(partial(networks.painter, networks.AddedTerm)),
}
READERS = {
    "plain": Candidate(networks.reader),
    "SE": Candidate(partial(networks.reader, SE)),
    "plain, larger head": Candidate(partial(networks.reader, hidden=32)),
    "SE, larger head": Candidate(partial(networks.reader, SE, hidden=32)),
}
SHIPPED = {"plain": "painter_plain", "SE": "painter_se", "wider field, longer": "painter_wider"}
"""Painters whose weights of seed 0 are kept."""


@torch.no_grad()
def paint(name: str, seed: int) -> Row:
    """Train one painter; what share of 1,000 test images it paints right, with its own gates and others."""
    torch.manual_seed(seed)
    network, puzzle = PAINTERS[name].build(), data.painting_puzzle(2000, seed)
    with torch.enable_grad():
        learn(network, puzzle.x, puzzle.target, F.mse_loss, seed, *PAINTERS[name][1:])
    test = data.painting_puzzle(1000, seed=0, part="test")

    def right() -> float:
        return test.painted(network(test.x)).float().mean().item()

    row: Row = {
        "network": name,
        "parameters": cost.parameters(network),
        "epochs": PAINTERS[name].epochs,
        "seed": seed,
        "right": right(),
    }
    if name.startswith("SE"):
        batches = [(test.x, test.cue)]
        recorded = gates.record(network, batches, GATES)
        means = {gate: gates.by_class(s, test.cue).mean for gate, s in recorded.s.items()}
        with gates.replaced(network, {gate: mean[test.cue] for gate, mean in means.items()}):
            row["at its cue's mean"] = right()
        with gates.replaced(network, {gate: mean[1 - test.cue] for gate, mean in means.items()}):
            row["at the other cue's mean"] = right()
        with gates.frozen(network, recorded):
            row["at the mean of all"] = right()
    if seed == 0 and name in SHIPPED:
        save_file(network.state_dict(), FOLDER / f"{SHIPPED[name]}.safetensors")
    return row


GATES = ("3", "7", "11")
"""Where the painter's gates stand."""


@torch.no_grad()
def read(name: str, seed: int) -> Row:
    """Train one reader; what share of 1,000 test images it puts into the named digit's class, or the other's."""
    torch.manual_seed(seed)
    network, puzzle = READERS[name].build(), data.painting_puzzle(2000, seed)
    with torch.enable_grad():
        learn(network, puzzle.x, puzzle.named, F.cross_entropy, seed, *READERS[name][1:])
    test = data.painting_puzzle(1000, seed=0, part="test")
    answers = network(test.x).argmax(1)
    return {
        "network": name,
        "parameters": cost.parameters(network),
        "epochs": READERS[name].epochs,
        "seed": seed,
        "right": (answers == test.named).float().mean().item(),
        "the other digit": (answers == test.unnamed).float().mean().item(),
    }


def puzzles() -> None:
    """Every painter and reader with every seed."""
    with ProcessPoolExecutor(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for file, job, names in (("painting", paint, PAINTERS), ("reading", read, READERS)):
            seeds = [seed for seed in SEEDS for _ in names]
            rows = []
            for row in pool.map(job, [name for _ in SEEDS for name in names], seeds):
                print(row, flush=True)
                rows.append(row)
            write(file, sorted(rows, key=lambda row: (list(names).index(row["network"]), row["seed"])))


def write(name: str, rows: Sequence[Row]) -> None:
    """A CSV file in seblock/trained."""
    with open(FOLDER / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        fields = dict.fromkeys(key for row in rows for key in row)
        table = csv.DictWriter(file, fieldnames=list(fields), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    puzzles()
