"""Make what stands in seblock/trained.

python tools/trained.py puzzles            two hundred small networks, an hour and a half on two cores
python tools/trained.py cifar10 RUNS       from the directories that `python -m seblock.train` left in RUNS
python tools/trained.py gates DATA RUNS    the same, with CIFAR-10's binary version in DATA
"""

import argparse
import csv
import dataclasses
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from seblock import blocks, cifar10, cost, functional, gates, networks, puzzles, train
from seblock.trained import FOLDER

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
    """A network of a puzzle, and how long and how fast it learns."""

    build: Callable[[], nn.Module]
    epochs: int = 12
    peak: float = 2e-2
    side: int = 20


def lengthen(build: Callable[[], nn.Module]) -> Candidate:
    """Three times as many epochs, at a quarter of the learning rate."""
    return Candidate(build, epochs=36, peak=5e-3)


CONTENDERS: dict[str, Callable[[], nn.Module]] = {
    "SE": partial(puzzles.painter, SE),
    "SE, 16 wide": partial(puzzles.painter, SE, width=16),
    "wider field": partial(puzzles.painter, dilations=(3, 6, 9)),
    "added term": partial(puzzles.painter, puzzles.AddedTerm),
}
"""The painters that can see the cue. Each is trained in the same three ways."""
BLIND = {
    "plain": Candidate(puzzles.painter),
    "constant gates": Candidate(partial(puzzles.painter, blocks.ConstantGate)),
}
"""Those that cannot, however they are trained."""
PAINTERS = BLIND | {
    name + suffix: candidate
    for name, build in CONTENDERS.items()
    for suffix, candidate in {
        "": Candidate(build),
        ", lower rate": Candidate(build, peak=5e-3),
        ", longer": lengthen(build),
    }.items()
}
READERS = {
    "plain": lengthen(puzzles.reader),
    "SE": lengthen(partial(puzzles.reader, SE)),
    "plain, larger head": lengthen(partial(puzzles.reader, hidden=32)),
    "SE, larger head": lengthen(partial(puzzles.reader, SE, hidden=32)),
}


class OnePath(blocks.SqEx):
    """The same gates, but no gradient goes back to u through z."""

    def forward(self, x: Tensor) -> Tensor:
        z = self.pool(x.detach())
        return functional.rescale(x, self.nonlin2(self.linear2(self.nonlin1(self.linear1(z)))))


class FourTimes(blocks.SqEx):
    """The same block, z multiplied by 4."""

    def forward(self, x: Tensor) -> Tensor:
        z = 4 * self.pool(x)
        return functional.rescale(x, self.nonlin2(self.linear2(self.nonlin1(self.linear1(z)))))


PATHS = {"SE, one path": Candidate(partial(puzzles.painter, partial(OnePath, reduction=4)))}
SIDES = {
    "SE, side 40": PAINTERS["SE"]._replace(side=40),
    "SE, side 40, four times z": Candidate(
        partial(puzzles.painter, partial(FourTimes, reduction=4)), side=40
    ),
}
"""Painters of larger images, the cue in the far corner."""
SHIPPED = {"plain": "painter_plain", "SE": "painter_se", "wider field, longer": "painter_wider"}
"""Painters whose weights of seed 0 are kept."""


@torch.no_grad()
def paint(name: str, seed: int) -> Row:
    """Train one painter; what share of 1,000 test images it paints right, with its own gates and others."""
    torch.manual_seed(seed)
    candidate = (PAINTERS | PATHS | SIDES)[name]
    network = candidate.build()
    network.to(memory_format=FAST)  # type: ignore[call-overload]
    puzzle = puzzles.painting_puzzle(2000, seed, side=candidate.side)
    with torch.enable_grad():
        x = puzzle.x.contiguous(memory_format=FAST)
        learn(network, x, puzzle.target, F.mse_loss, seed, candidate.epochs, candidate.peak)
    test = puzzles.painting_puzzle(1000, seed=0, part="test", side=candidate.side)

    def right() -> float:
        return round(test.painted(network(test.x)).float().mean().item(), 4)

    row: Row = {
        "network": name,
        "parameters": cost.parameters(network),
        "epochs": candidate.epochs,
        "peak": candidate.peak,
        "side": candidate.side,
        "seed": seed,
        "right": right(),
    }
    if name.startswith("SE") and candidate.side == 20:
        batches = [(test.x, test.cue)]
        recorded = gates.record(network, batches, GATES)
        means = {gate: gates.by_class(s, test.cue).mean for gate, s in recorded.s.items()}
        with gates.replaced(network, {gate: mean[test.cue] for gate, mean in means.items()}):
            row["at its cue's mean"] = right()
        swapped = {gate: mean[1 - test.cue] for gate, mean in means.items()}
        with gates.replaced(network, swapped):
            row["at the other cue's mean"] = right()
        with gates.frozen(network, recorded):
            row["at the mean of all"] = right()
        for block, gate in enumerate(GATES, start=1):
            with gates.replaced(network, {gate: swapped[gate]}):
                row[f"block {block} at the other cue's mean"] = right()
            with gates.frozen(network, recorded, gate):
                row[f"block {block} at the mean of all"] = right()
    if name not in SIDES:
        del row["side"]
    if seed == 0 and name in SHIPPED:
        save_file(network.state_dict(), FOLDER / f"{SHIPPED[name]}.safetensors")
    return row


GATES = ("3", "7", "11")
"""Where the painter's gates stand."""
FAST = torch.channels_last
"""The same numbers in an order that a CPU is faster with."""


@torch.no_grad()
def read(name: str, seed: int) -> Row:
    """Train one reader; what share of 1,000 test images it takes for the named digit, or for the other."""
    torch.manual_seed(seed)
    network, puzzle = READERS[name].build(), puzzles.painting_puzzle(2000, seed)
    network.to(memory_format=FAST)  # type: ignore[call-overload]
    x = puzzle.x.contiguous(memory_format=FAST)
    with torch.enable_grad():
        learn(network, x, puzzle.named, F.cross_entropy, seed, READERS[name].epochs, READERS[name].peak)
    test = puzzles.painting_puzzle(1000, seed=0, part="test")
    answers = network(test.x).argmax(1)
    return {
        "network": name,
        "parameters": cost.parameters(network),
        "epochs": READERS[name].epochs,
        "seed": seed,
        "right": round((answers == test.named).float().mean().item(), 4),
        "the other digit": round((answers == test.unnamed).float().mean().item(), 4),
    }


def train_puzzles(jobs: Sequence[str], seeds: int, processes: int | None) -> None:
    """Every painter and reader, or one kind of them, with every seed: those that its table does not have yet.

    A row is written as soon as it is there, so that what was trained is kept if this is stopped.
    """
    kinds = {"painting": (paint, PAINTERS), "reading": (read, READERS), "paths": (paint, PATHS)}
    kinds["sides"] = (paint, SIDES)
    with ProcessPoolExecutor(processes, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        for file in jobs or kinds:
            job, names = kinds[file]
            rows = rows_of(file)
            pairs = missing(rows, list(names), seeds)
            for row in pool.map(job, *zip(*pairs, strict=True)) if pairs else ():
                print(row, flush=True)
                rows.append(row)
                rows.sort(key=lambda row: (list(names).index(row["network"]), int(row["seed"])))
                write(file, rows)


def missing(rows: Sequence[Row], names: Sequence[str], seeds: int) -> list[tuple[str, int]]:
    """The networks and seeds, seed by seed, that a table does not have yet."""
    done = {(row["network"], int(row["seed"])) for row in rows}
    return [(name, seed) for seed in range(seeds) for name in names if (name, seed) not in done]


def rows_of(name: str) -> list[Row]:
    """The rows of a table in seblock/trained as they are written there; none if there is no such table."""
    path = FOLDER / f"{name}.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def runs_in(directory: Path) -> dict[Path, dict[str, Any]]:
    """What the checkpoints below a directory say of their runs: settings and log."""
    found = {}
    for path in sorted(directory.glob("*/checkpoint.safetensors")):
        with safe_open(path, "pt") as file:
            found[path.parent] = json.loads(file.metadata()["run"])
    return found


def keep_cifar10(runs: Path) -> None:
    """The weights of each network's median seed."""
    ends = defaultdict(list)
    for place, run in runs_in(runs).items():
        settings = dataclasses.asdict(train.Settings(**run["settings"]))
        if len(run["log"]) < settings["epochs"]:
            sys.exit(f"{place} is not finished")
        if settings["gate_decay"] is None and not settings["beta"]:
            ends[settings["network"], settings["epochs"]].append((run["log"][-1]["test_accuracy"], place))
    for (network, epochs), finished in ends.items():
        _, place = sorted(finished)[(len(finished) - 1) // 2]
        weights = load_file(place / "weights.safetensors")
        save_file(weights, FOLDER / f"{network}_{epochs}.safetensors")


def measure_batch_norms(network: nn.Module, images: cifar10.Images) -> None:
    """Measure the means and spreads of every BatchNorm anew, on 100 batches as they come."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over all batches
    network.train()
    for x in images.x[:12_800].split(128):
        network(cifar10.normalise(x))
    network.eval()


@torch.no_grad()
def examine(place: Path, directory: Path, closely: bool) -> tuple[list[Row], list[Row], gates.Record]:
    """One run's network: its accuracy with other gates, its gates' spreads, and the gates themselves.

    closely: with more kinds of other gates, and stage by stage.
    """
    run = runs_in(place.parent)[place]
    settings = train.Settings(**run["settings"])
    kept = {key: getattr(settings, key) for key in ("network", "epochs", "seed", "gate_decay", "beta")}
    network = networks.build(settings.network).eval()
    network.load_state_dict(load_file(place / "weights.safetensors"))
    test = cifar10.load(directory, "test")
    batches = zip(cifar10.normalise(test.x).split(500), test.y.split(500), strict=True)
    recorded = gates.record(network, batches, squeezed=True)

    rows: list[Row] = []

    def note(what: str, within: str, context: AbstractContextManager[None]) -> None:
        with context:
            rows.append(
                {**kept, "gates": what, "within": within, "accuracy": train.evaluate(network, test)[1]}
            )

    note("own", "", nullcontext())
    for within in ("", "stages.0", "stages.1", "stages.2") if closely else ("",):
        note("channel's mean", within, gates.frozen(network, recorded, within))
        note("another image's", within, gates.shuffled(network, recorded, 0, within))
        note("one", within, gates.clamped(network, recorded, 1.0, within))
    if closely:
        note("one half", "", gates.clamped(network, recorded, 0.5))
        for seed in (1, 2):
            note("another image's", "", gates.shuffled(network, recorded, seed))
        of_class = {name: gates.by_class(s, test.y).mean[test.y] for name, s in recorded.s.items()}
        note("class's mean", "", gates.replaced(network, of_class))
        of_block = {name: float(s.float().mean()) for name, s in recorded.s.items()}
        note("block's mean", "", gates.replaced(network, of_block))
        with gates.clamped(network, recorded, 1.0):
            measure_batch_norms(network, cifar10.load(directory, "train"))
            note("one, BatchNorm anew", "", nullcontext())

    summaries: list[Row] = []
    for name, s in recorded.s.items():
        split = gates.variance_split(s, test.y)
        summaries.append(
            {
                **kept,
                "gate": name,
                "mean": round(float(s.float().mean()), 4),
                "between images": round(float((split.between + split.within).mean().sqrt()), 5),
                "between channels": round(float(s.double().mean(0).std()), 5),
                "between classes": round(gates.class_specificity(s, test.y), 4),
            }
        )
    return rows, summaries, recorded


def examine_gates(directory: Path, runs: Path) -> None:
    """Every SE run's gates and what they are worth; of the longest run the gates themselves, 2,000 images."""
    accuracies, summaries = [], []
    found = {
        place: run for place, run in runs_in(runs).items() if run["settings"]["network"].startswith("se_")
    }
    longest = max(found, key=lambda place: found[place]["settings"]["epochs"])
    for place in found:
        print(place, flush=True)
        rows, summary, recorded = examine(place, directory, closely=place == longest)
        accuracies += rows
        summaries += summary
        if place == longest:
            assert recorded.labels is not None
            held = {f"s.{name}": s[:2000] for name, s in recorded.s.items()}
            held |= {f"z.{name}": z[:2000] for name, z in recorded.z.items()}
            held["labels"] = recorded.labels[:2000].to(torch.uint8)
            save_file({name: t.contiguous() for name, t in held.items()}, FOLDER / "gates.safetensors")
    write("interventions", accuracies)
    write("gates", summaries)


def write(name: str, rows: Sequence[Row]) -> None:
    """A CSV file in seblock/trained."""
    with open(FOLDER / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
        longest = max(rows, key=len)  # its order of columns
        fields = dict.fromkeys(key for row in [longest, *rows] for key in row)
        table = csv.DictWriter(file, fieldnames=list(fields), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    puzzle_options = commands.add_parser("puzzles")
    puzzle_options.add_argument("jobs", nargs="*", help="painting, reading, paths; all if none is named")
    puzzle_options.add_argument("--seeds", type=int, default=10)
    puzzle_options.add_argument("--processes", type=int, help="at a time; one for each core if not given")
    commands.add_parser("cifar10").add_argument("runs", type=Path)
    gate_options = commands.add_parser("gates")
    gate_options.add_argument("data", type=Path)
    gate_options.add_argument("runs", type=Path)
    options = parser.parse_args()
    match options.command:
        case "puzzles":
            train_puzzles(options.jobs, options.seeds, options.processes)
        case "cifar10":
            keep_cifar10(options.runs)
        case "gates":
            examine_gates(options.data, options.runs)
