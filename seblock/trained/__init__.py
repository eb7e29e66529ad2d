"""What was trained in advance: weights (safetensors) and results over seeds (CSV), by tools/trained.py."""

import csv
import functools
import math
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from seblock.gates import ByClass

FOLDER = Path(__file__).parent
Network = TypeVar("Network", bound=nn.Module)


def tensors(name: str) -> dict[str, Tensor]:
    """The tensors of a shipped safetensors file, by name. Raises FileNotFoundError for an unknown one."""
    from safetensors.torch import load_file

    return load_file(FOLDER / f"{name}.safetensors")


def load(network: Network, name: str) -> Network:
    """The network itself, with shipped weights, in evaluation mode; RuntimeError if they do not fit."""
    network.load_state_dict(tensors(name))
    return network.eval()


def table(name: str) -> list[dict[str, float | str]]:
    """The rows of a shipped CSV file; what reads as a number is one, an empty field is NaN."""
    with open(FOLDER / f"{name}.csv", newline="", encoding="utf-8") as file:
        return [{key: number(value) for key, value in row.items()} for row in csv.DictReader(file)]


Row = dict[str, Any]


def group(
    rows: Iterable[Row], by: str | Callable[[Row], Hashable], column: str | None = None
) -> dict[Any, list[Any]]:
    """Rows of a table by what `by` says of them, a column or a function, each group in the table's order.

    With `column`, lists of what stands there instead of whole rows: `group(rows, "network", "right")`.
    """
    found: dict[Any, list[Any]] = {}
    for row in rows:
        key = row[by] if isinstance(by, str) else by(row)
        found.setdefault(key, []).append(row[column] if column else row)
    return found


@functools.cache
def runs(network: str, epochs: int) -> dict[int, list[Row]]:
    """Rows of the fleet's runs of a network by seed, from 0 up, each in the order of its epochs.

    Only runs with the recipe that all have in common: nothing changed in β or the gates' decay. The last row
    is always that of the last epoch; of a few runs it is the only one that was kept. Kept for the next call.
    """
    found: dict[int, list[Row]] = {}
    for row in _cached("fleet_runs"):
        unchanged = math.isnan(float(row["gate_decay"])) and row["beta"] == 0
        if unchanged and (row["network"], row["epochs"]) == (network, epochs):
            found.setdefault(int(row["seed"]), []).append(row)
    return {seed: sorted(found[seed], key=lambda row: row["epoch"]) for seed in sorted(found)}


def number(text: str) -> float | str:
    """A field of a table as a float where it is one."""
    try:
        return float(text or "nan")
    except ValueError:
        return text


@functools.cache
def _cached(name: str) -> list[dict[str, float | str]]:
    return table(name)


def select(name: str, **wanted: float | str | None) -> list[Row]:
    """The rows of a table whose columns hold what is wanted; None stands for an empty field.

    `select("fleet_runs", network="se_resnet20", epochs=6, epoch=6, gate_decay=None)`. Raises KeyError for a
    column that the table does not have.
    """

    def fits(value: float | str, asked: float | str | None) -> bool:
        return value != value if asked is None else value == asked  # only NaN differs from itself

    return [row for row in _cached(name) if all(fits(row[key], asked) for key, asked in wanted.items())]


def by_block(
    name: str,
    column: str,
    network: str = "se_resnet20",
    epochs: int = 6,
    gate_decay: float | None = None,
    beta: float = 0,
    epoch: int | None = None,
) -> Tensor:
    """A column of a table of gates: (seeds, blocks), seeds from 0 up, blocks in order.

    gate_decay, beta: of the runs in which one of them was changed. epoch: after that one, not after the last,
    which only `fleet_gates` has, for 24 epochs. Raises ValueError if there are no such rows.
    """
    wanted: dict[str, float | str | None] = {"network": network, "epochs": epochs}
    if name.startswith("fleet"):
        wanted |= {"gate_decay": gate_decay, "beta": beta, "epoch": epoch or epochs}
    found = group(select(name, **wanted), "seed", column)
    if not found:
        raise ValueError(f"{name} has no rows of {network} with {epochs} epochs and these settings")
    return torch.tensor([found[seed] for seed in sorted(found)])


def classes(network: str = "se_resnet20", epochs: int = 6) -> list[list[ByClass]]:
    """The gates of each class over all test images: seed by seed and block by block, (classes, C) each.

    Raises ValueError if there are no such networks in the table.
    """
    rows = select("fleet_classes", network=network, epochs=epochs, gate_decay=None, beta=0)
    if not rows:
        raise ValueError(f"fleet_classes has no rows of {network} with {epochs} epochs")

    def numbers(column: str, of_block: list[Row]) -> Tensor:
        return torch.tensor([[float(value) for value in row[column].split()] for row in of_block])

    by_seed = group(rows, "seed")
    return [
        [
            ByClass(numbers("means", of_block), numbers("deviations", of_block))
            for of_block in group(by_seed[seed], "gate").values()
        ]
        for seed in sorted(by_seed)
    ]


def spreads(epoch: int) -> Tensor:
    """How much a block's gates vary between images, after this one of 24 epochs: (seeds, blocks, 2).

    First the root mean square over the block's channels of their standard deviations, then what is left of
    it if the gates vary along their first component alone.
    """
    all_of_it, first = (
        by_block("fleet_gates", column, epochs=24, epoch=epoch) for column in ("between images", "spread 1")
    )
    channels = torch.tensor([16, 32, 64]).repeat_interleave(3)
    return torch.stack([all_of_it, first / channels.sqrt()], dim=-1)
