"""The paper's ablations, small: train what seblock/trained/ablations.csv lacks.

python -m tools.ablations                     every variant of the puzzles and the digits, on all cores
python -m tools.ablations --cifar10 DATA      and of small photographs, from CIFAR-10's binary version in DATA
python -m tools.ablations --device cuda       the same on a GPU
python -m tools.ablations --tasks digits --seeds 20 --processes 1

A row is written as soon as its run ends; stopped at any moment, the same command goes on. The rows of
"CIFAR-10" are those of the fleet (tools/fleet.py), copied from its table.
"""

import argparse
import functools
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

from seblock import blocks, cifar10, cost, networks, puzzles, trained
from tools.trained import FAST, Row, learn, rows_of, write

# What is changed


changed = partial(networks.changed_se, reduction=4)

GATES: dict[str, networks.Gate] = {
    "plain": nn.Identity,
    "constant": blocks.ConstantGate,
    "SE": changed,
    "r = 2": partial(changed, reduction=2),
    "r = 8": partial(changed, reduction=8),
    "r = 16": partial(changed, reduction=16),
    "max": partial(changed, squeeze=blocks.MaxSqueeze),
    "no squeeze": partial(blocks.NoSqueeze, reduction=4),
    "tanh": partial(changed, last=nn.Tanh),
    "ReLU": partial(changed, last=nn.ReLU),
    "hard sigmoid": partial(changed, last=nn.Hardsigmoid),
}
"""The paper's Tables 10, 11, 12 and 16, its baseline without SE, and a rival that it lacks. SE has r = 4."""


class Only:
    """Builds a gate at one of three places in a network, nothing at the others: Table 13."""

    def __init__(self, wanted: int) -> None:
        self.wanted, self.built = wanted, 0

    def __call__(self, channels: int) -> nn.Module:
        self.built += 1
        return changed(channels) if self.built == self.wanted else nn.Identity()


def residual_painter(
    gate: networks.Gate = nn.Identity, placement: networks.Placement = "standard", width: int = 16
) -> nn.Sequential:
    """A painter whose second and third convolution are residual blocks: (N, 3, H, W) -> (N, 1, H, W)."""

    def block() -> nn.Module:
        branch = nn.Sequential(networks.convolution(width, width, 3), nn.BatchNorm2d(width))
        return networks.ResidualBlock(branch, nn.Identity(), (width, width), gate, placement)

    stem = [networks.convolution(3, width, 3), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*stem, block(), block(), nn.Conv2d(width, 1, kernel_size=1))


def bottlenecks(outer: networks.Gate = nn.Identity, inner: networks.Gate = nn.Identity) -> networks.ResNet:
    """Three bottlenecks, gated at the end of the branch or after its 3×3: (N, 3, H, W) -> (N, 10)."""

    def block(inputs: int, width: int, stride: int) -> nn.Module:
        outputs = 4 * width
        branch = nn.Sequential(
            networks.convolution(inputs, width, 1),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            networks.convolution(width, width, 3, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            inner(width),
            networks.convolution(width, outputs, 1),
            nn.BatchNorm2d(outputs),
        )
        shortcut = nn.Sequential(networks.convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
        return networks.ResidualBlock(branch, shortcut, (inputs, outputs), outer)

    stem = nn.Sequential(networks.convolution(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU())
    return networks.ResNet(stem, [block(16, 8, 1), block(32, 16, 2), block(64, 32, 2)], 128, 10)


# The tasks


class Task(NamedTuple):
    """Data of a seed, the networks that learn from them by the variant's name, and how."""

    data: Callable[[int], tuple[Tensor, Tensor]]
    networks: dict[str, Callable[[], nn.Module]]
    right: Callable[[nn.Module], float]
    """What share of the test images a trained network gets right."""
    loss: Callable[[Tensor, Tensor], Tensor]
    epochs: int
    peak: float


def puzzle_task(width: int = 16, residual: bool = False) -> Task:
    """The painting puzzle: its gates at three places, or at those of two residual blocks."""

    def data(seed: int) -> tuple[Tensor, Tensor]:
        puzzle = puzzles.painting_puzzle(2000, seed, "train")
        return puzzle.x, puzzle.target

    @torch.no_grad()
    def right(network: nn.Module) -> float:
        test = puzzles.painting_puzzle(1000, 0, "test")
        output = network(test.x.to(next(network.parameters()).device)).cpu()
        return test.painted(output).float().mean().item()

    if residual:
        found: dict[str, Callable[[], nn.Module]] = {"plain": residual_painter}
        for placement in networks.PLACEMENTS:
            found[placement] = partial(residual_painter, changed, placement)
    else:
        found = {name: partial(puzzles.painter, gate, width) for name, gate in GATES.items()}
        for place in (1, 2, 3):
            found[f"place {place}"] = partial(_painter_with_one, place, width)
    return Task(data, found, right, F.mse_loss, epochs=12, peak=2e-2)


def _painter_with_one(place: int, width: int) -> nn.Module:
    return puzzles.painter(Only(place), width)


def digits_of(part: Literal["train", "test"], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Handwritten digits, (N, 3, 8, 8), and their classes: 400 drawn of the first 797, or the other 1,000."""
    digits = load_digits()
    x = torch.from_numpy(digits.images).float()[:, None].expand(-1, 3, -1, -1) / 16
    y = torch.from_numpy(digits.target)
    if part == "test":
        return x[797:].contiguous(), y[797:]
    rows = torch.randperm(797, generator=torch.Generator().manual_seed(seed))[:400]
    return x[rows].contiguous(), y[rows]


@torch.no_grad()
def share_named(test: Callable[[], tuple[Tensor, Tensor]], network: nn.Module) -> float:
    """The share of test images that a network names."""
    x, y = test()
    device = next(network.parameters()).device
    answers = torch.cat([network(batch.to(device)).argmax(1).cpu() for batch in x.split(500)])
    return (answers == y).float().mean().item()


def digits_task(found: dict[str, Callable[[], nn.Module]]) -> Task:
    """Four hundred digits to learn from."""
    named = partial(share_named, partial(digits_of, "test"))
    return Task(partial(digits_of, "train"), found, named, F.cross_entropy, epochs=20, peak=1e-2)


DATA = "SEBLOCK_CIFAR10"
"""The environment variable that tells each process where CIFAR-10 is."""


@functools.cache
def photos_of(part: Literal["train", "test"]) -> tuple[Tensor, Tensor]:
    """CIFAR-10's photographs at half their size, (N, 3, 16, 16), and their classes: 10,000 of each part."""
    x, y = cifar10.load(os.environ[DATA], part, images=10_000)
    return F.avg_pool2d(cifar10.normalise(x.float()), 2).contiguous(memory_format=FAST), y


RESNETS: dict[str, Callable[[], nn.Module]] = {
    **{name: partial(networks.cifar_resnet, 8, gate) for name, gate in GATES.items()},
    **{f"place {place}": lambda place=place: networks.cifar_resnet(8, Only(place)) for place in (1, 2, 3)},
    **{
        placement: partial(networks.cifar_resnet, 8, changed, placement)
        for placement in networks.PLACEMENTS[1:]
    },
}
"""ResNet-8 with each variant."""

SMALL_PHOTOS = "photos at 16 × 16"

TASKS = {
    "puzzle, 24 wide": puzzle_task(width=24),
    "puzzle, 16 wide": puzzle_task(),
    "puzzle, residual": puzzle_task(residual=True),
    "digits": digits_task(RESNETS),
    "digits, bottlenecks": digits_task(
        {
            "plain": bottlenecks,
            "end of the branch": partial(bottlenecks, changed),
            "after the 3×3": partial(bottlenecks, inner=changed),
        }
    ),
    SMALL_PHOTOS: Task(
        lambda seed: photos_of("train"),
        RESNETS,
        partial(share_named, partial(photos_of, "test")),
        F.cross_entropy,
        epochs=4,
        peak=1e-2,
    ),
}
"""By name. A run takes a second on the digits, four on a puzzle, half a minute on photographs."""

CIFAR10 = {
    "plain": "resnet20",
    "constant": "constant_resnet20",
    "SE": "se_resnet20",
    "r = 2": "se_resnet20_r2",
    "r = 4": "se_resnet20_r4",
    "r = 8": "se_resnet20_r8",
    "r = 16": "se_resnet20_r16",
    "max": "se_resnet20_max",
    "no squeeze": "se_resnet20_nosqueeze",
    "tanh": "se_resnet20_tanh",
    "ReLU": "se_resnet20_relu",
    "hard sigmoid": "se_resnet20_hardsigmoid",
    **{f"place {place}": f"se_resnet20_stage{place}" for place in (1, 2, 3)},
    **{placement: f"se_resnet20_{placement.lower()}" for placement in networks.PLACEMENTS[1:]},
}
"""The fleet's names of the same variants. Its SE has r = 4, 8 and 16 in stages 1, 2 and 3."""


def train_one(task: str, variant: str, seed: int, device: str = "cpu") -> Row:
    """Train one network of a task: a row of the table."""
    torch.manual_seed(seed)
    chosen = TASKS[task]
    network = chosen.networks[variant]().to(device, memory_format=FAST)  # type: ignore[call-overload]
    x, y = chosen.data(seed)
    x, y = x.to(device).contiguous(memory_format=FAST), y.to(device)
    learn(network, x, y, chosen.loss, seed, chosen.epochs, chosen.peak)
    return {
        "task": task,
        "variant": variant,
        "parameters": cost.parameters(network),
        "epochs": chosen.epochs,
        "peak": chosen.peak,
        "seed": seed,
        "right": round(chosen.right(network), 4),
    }


def fleet_rows() -> list[Row]:
    """The fleet's runs of six epochs as rows of this table."""
    return [
        {
            "task": "CIFAR-10",
            "variant": variant,
            "parameters": cost.parameters(networks.build(network)),
            "epochs": 6,
            "peak": rows[-1]["recipe"].split(",")[0].removeprefix("peak "),
            "seed": seed,
            "right": rows[-1]["test_accuracy"],
        }
        for variant, network in CIFAR10.items()
        for seed, rows in trained.runs(network, 6).items()
    ]


def missing(rows: Sequence[Row], tasks: Sequence[str], seeds: int) -> list[tuple[str, str, int]]:
    """The runs of these tasks that a table lacks, task by task and seed by seed."""
    done = {(row["task"], row["variant"], int(row["seed"])) for row in rows}
    return [
        (task, variant, seed)
        for task in tasks
        for seed in range(seeds)
        for variant in TASKS[task].networks
        if (task, variant, seed) not in done
    ]


def train_all(tasks: Sequence[str], seeds: int, processes: int | None, device: str) -> None:
    """Every variant of these tasks with every seed that the table lacks, seed by seed."""
    rows = [row for row in rows_of("ablations") if row["task"] != "CIFAR-10"]
    of_the_fleet = fleet_rows()
    order = [(task, variant) for task in TASKS for variant in TASKS[task].networks]
    context = multiprocessing.get_context("spawn")
    one_thread = partial(torch.set_num_threads, 1)
    with ProcessPoolExecutor(processes, mp_context=context, initializer=one_thread) as pool:
        for ended in as_completed(
            [pool.submit(train_one, *job, device) for job in missing(rows, tasks, seeds)]
        ):
            rows.append(ended.result())
            rows.sort(key=lambda row: (order.index((row["task"], row["variant"])), int(row["seed"])))
            write("ablations", [*rows, *of_the_fleet])
            print(ended.result(), flush=True)
    write("ablations", [*rows, *of_the_fleet])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--tasks", nargs="*", choices=TASKS, help="all if not given")
    parser.add_argument("--cifar10", help="the directory of CIFAR-10's binary version")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, help="at a time; one for each core if not given")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.cifar10:
        os.environ[DATA] = options.cifar10
    tasks = options.tasks or [task for task in TASKS if options.cifar10 or task != SMALL_PHOTOS]
    train_all(tasks, options.seeds, options.processes, options.device)
