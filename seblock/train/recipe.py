"""The recipe: what a run can be set to, and what follows for parameters, learning rate and image size."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from seblock import blocks, networks

SCHEDULES = ("one-cycle", "cosine")


@dataclass(frozen=True)
class Settings:
    """What a run is: the same settings give the same weights, on a CPU and with as many threads.

    Raises ValueError for a number that no run can have.
    """

    network: str = "se_resnet20"
    epochs: int = 20
    seed: int = 0
    batch: int = 128
    peak: float = 0.2
    schedule: str = "one-cycle"
    weight_decay: float = 5e-4
    gate_decay: float | None = None
    beta: float = 0.0
    smoothing: float = 0.0
    sizes: tuple[int, ...] = ()
    mixed: bool = False
    compiled: bool = False
    images: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "sizes", tuple(self.sizes))  # JSON has lists
        for name in ("epochs", "batch", "images"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("peak", "weight_decay", "gate_decay"):
            if (value := getattr(self, name)) is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number and not negative, got {value}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be at least 0 and less than 1, got {self.smoothing}")
        if any(not 8 <= size <= 32 for size in self.sizes):
            raise ValueError(f"sizes must lie between 8 and 32 pixels, got {self.sizes}")
        if not math.isfinite(self.beta):
            raise ValueError(f"beta must be a finite number, got {self.beta}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must lie between 0 and 2³¹ - 1, got {self.seed}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")


def choose_side(settings: Settings, epoch: int) -> int | None:
    """Choose the images' side in pixels in an epoch, from 0: each of `sizes` for an equal share of them."""
    return settings.sizes[epoch * len(settings.sizes) // settings.epochs] if settings.sizes else None


def set_beta(network: nn.Module, beta: float) -> None:
    """Set β of each BatchNorm that ends a residual branch, and so z's mean where a gate follows it."""
    for block in network.modules():
        if isinstance(block, networks.ResidualBlock) and isinstance(block.branch, nn.Sequential):
            nn.init.constant_(block.branch[-1].get_parameter("bias"), beta)


def group_parameters(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """Group parameters by their weight decay: none for BatchNorm's and for biases, gates have their own.

    The parameter of a `ConstantGate` has one dimension, as a bias has, but decays as the gates' weights do.
    """
    decay = settings.weight_decay
    of_gates = decay if settings.gate_decay is None else settings.gate_decay
    constants = {m.weight for m in network.modules() if isinstance(m, blocks.ConstantGate)}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        spared = parameter.ndim < 2 and parameter not in constants
        value = 0.0 if spared else of_gates if ".gates." in name else decay
        groups.setdefault(value, []).append(parameter)
    return [{"params": parameters, "weight_decay": value} for value, parameters in groups.items()]


def make_schedule(optimizer: torch.optim.Optimizer, settings: Settings, total: int) -> LRScheduler:
    """Plan the learning rate over `total` steps: up to the peak and down to zero, or down from the peak."""
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total)
    rise = 0.25 if total != 4 else 0.3  # a quarter of 4 steps ends at step 0, and PyTorch divides by it
    return OneCycleLR(optimizer, settings.peak, total_steps=total, pct_start=rise, cycle_momentum=False)
