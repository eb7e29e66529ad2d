"""What was trained in advance: weights (safetensors) and results over seeds (CSV), by tools/trained.py."""

import csv
from pathlib import Path
from typing import TypeVar

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


def number(text: str) -> float | str:
    """A field of a table as a float where it is one."""
    try:
        return float(text or "nan")
    except ValueError:
        return text
