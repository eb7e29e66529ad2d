"""Two photos, and six filters a person can name: what most notebooks look at."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS = ("bright", "horizontal edges", "vertical edges", "red", "green", "blue")
"""What the six named filters find: channel c of the formulas is CHANNELS[c - 1]."""

BRIGHT, HORIZONTAL, VERTICAL, RED, GREEN, BLUE = range(6)
"""Where a named channel is in code: u[:, RED] is u_4."""


def load() -> Tensor:
    """scikit-learn's `china.jpg` (a temple) and `flower.jpg`, (2, 3, 160, 240), red green blue in 0..1."""
    from sklearn.datasets import load_sample_image

    pixels = [torch.from_numpy(load_sample_image(f).copy()) for f in ("china.jpg", "flower.jpg")]
    images = torch.stack(pixels).permute(0, 3, 1, 2) / 255
    return F.interpolate(images, size=(160, 240), mode="area")


def crops(size: int) -> Tensor:
    """Both photos cut into squares, row by row, the temple's first: (2 · rows · columns, 3, size, size).

    Just as many rows and columns as cover a photo, evenly spaced: neighbours overlap where `size` does not
    divide a side. `crops(32)` has 5 rows of 8 a photo. Raises ValueError unless `size` lies in 1..160.
    """
    photos = load()
    if not 1 <= size <= min(photos.shape[2:]):
        raise ValueError(f"size must lie between 1 and {min(photos.shape[2:])}, got {size}")
    tops, lefts = (
        torch.linspace(0, side - size, math.ceil(side / size)).round().int().tolist()
        for side in photos.shape[2:]
    )
    return torch.stack(
        [photo[:, i : i + size, j : j + size] for photo in photos for i in tops for j in lefts]
    )


def named_filters() -> Tensor:
    """V: six 3×3 filters over red, green, blue, (6, 3, 3, 3), in the order of `CHANNELS`.

    Each is a colour times a pattern. "red" is twice red less green less blue, averaged over 3×3 positions;
    "horizontal edges" is positive where it is dark above and light below, "vertical edges" where it is dark
    on the left and light on the right.
    """
    flat = torch.full((3, 3), 1 / 9)
    level = torch.tensor([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]])
    grey = torch.full((3,), 1 / 3)
    red, green, blue = 3 * torch.eye(3) - 1
    pairs = [(grey, flat), (grey, level), (grey, level.T), (red, flat), (green, flat), (blue, flat)]
    return torch.stack([colour[:, None, None] * pattern for colour, pattern in pairs])


def responses(x: Tensor, v: Tensor | None = None) -> Tensor:
    """v ∗ x at every position, the border pixel repeated: (N, 3, H, W) -> (N, C, H, W).

    v: filters (C, 3, 3, 3), the named ones if not given.
    """
    v = named_filters() if v is None else v
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), v)


def features(x: Tensor, v: Tensor | None = None) -> Tensor:
    """U: what the filters find, `responses` with all below zero cut off: (N, 3, H, W) -> (N, C, H, W)."""
    return responses(x, v).relu()


def tint(x: Tensor, t: float) -> Tensor:
    """Red times 1 - t and blue times 1 + t, cut at 1: colder for t > 0, warmer for t < 0. (N, 3, H, W)."""
    factors = torch.tensor([1 - t, 1, 1 + t])[:, None, None]
    return (x * factors).clamp(0, 1)


def hand_set_gate() -> tuple[Tensor, Tensor]:
    """W₁, (2, 6), and W₂, (6, 2): more blue than red closes "red", more red than blue closes "blue".

    Hidden unit 1 is δ(20 (z_blue - z_red)), unit 2 is δ(20 (z_red - z_blue)); each is wired to the gate it
    closes with weight -4. The other gates stay at σ(0) = 0.5.
    """
    w1, w2 = torch.zeros(2, 6), torch.zeros(6, 2)
    w1[0, BLUE], w1[0, RED] = 20, -20
    w1[1, BLUE], w1[1, RED] = -20, 20
    w2[RED, 0] = w2[BLUE, 1] = -4
    return w1, w2
