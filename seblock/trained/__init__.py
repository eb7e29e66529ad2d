"""What was trained in advance: weights (safetensors) and results over seeds (CSV), by tools/trained.py."""

import csv
import functools
import math
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

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


def number(text: str) -> float | str:
    """A field of a table as a float where it is one."""
    try:
        return float(text or "nan")
    except ValueError:
        return text


@functools.cache
def _cached(name: str) -> list[dict[str, float | str]]:
    return table(name)


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
    unchanged = {"gate_decay": math.nan, "beta": 0.0}
    wanted = (network, epochs, -1 if gate_decay is None else gate_decay, beta)
    found: dict[int, list[float]] = {}
    for row in _cached(name):
        row = {**unchanged, **row}
        decay = float(row["gate_decay"])
        of = (row["network"], row["epochs"], -1 if math.isnan(decay) else decay, row["beta"])
        if of == wanted and row.get("epoch", epochs) == (epoch or epochs):
            found.setdefault(int(float(row["seed"])), []).append(float(row[column]))
    if not found:
        raise ValueError(f"{name} has no rows of {network} with {epochs} epochs and these settings")
    return torch.tensor([found[seed] for seed in sorted(found)])


def class_means(network: str = "se_resnet20", epochs: int = 6) -> list[list[Tensor]]:
    """Each class's mean gates over all test images: seed by seed and block by block, (classes, C) each."""
    found: dict[int, dict[str, list[list[float]]]] = {}
    for row in _cached("fleet_classes"):
        unchanged = math.isnan(float(row["gate_decay"])) and row["beta"] == 0
        if unchanged and (row["network"], row["epochs"]) == (network, epochs):
            of_block = found.setdefault(int(float(row["seed"])), {}).setdefault(str(row["gate"]), [])
            of_block.append([float(value) for value in str(row["means"]).split()])
    return [[torch.tensor(rows) for rows in found[seed].values()] for seed in sorted(found)]
