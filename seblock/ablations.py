"""The paper's ablations, small: what a variant of SE gains or loses against SE, beside the paper's numbers.

The runs are in seblock/trained/ablations.csv, made by tools/ablations.py; the paper's numbers in `paper`.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from seblock import paper, trained

SE_NAMES = ("SE", "standard", "end of the branch")
"""What SE as the paper has it is called in a task; the others are compared with it."""

SOLVED = 0.9
"""A painter that paints more than this right has solved the puzzle; the others are near a half."""

VARIANTS: dict[str, dict[str, float | None]] = {
    "without SE": {"plain": paper.TABLE_14["standard"] - paper.ABLATION_BASELINE, "constant": None},
    "Table 10": {
        "r = 2": paper.TABLE_10[16][0] - paper.TABLE_10[8][0],
        "r = 8": paper.TABLE_10[16][0] - paper.TABLE_10[32][0],
        "r = 16": None,
    },
    "Tables 11 and 16": {
        "max": paper.TABLE_11["mean"] - paper.TABLE_11["max"],
        "no squeeze": paper.TABLE_16["SE"] - paper.TABLE_16["NoSqueeze"],
    },
    "Table 12": {
        "tanh": paper.TABLE_12["sigmoid"] - paper.TABLE_12["tanh"],
        "ReLU": paper.TABLE_12["sigmoid"] - paper.TABLE_12["ReLU"],
        "hard sigmoid": None,
    },
    "Table 13": {
        f"place {place}": paper.TABLE_13["all"] - paper.TABLE_13[f"stage {place + 1}"] for place in (1, 2, 3)
    },
    "Table 14": {
        placement: paper.TABLE_14["standard"] - paper.TABLE_14[placement]
        for placement in ("PRE", "POST", "Identity")
    },
    "Table 15": {
        "after the 3×3": paper.TABLE_15["end of the branch"][0] - paper.TABLE_15["after the 3×3"][0]
    },
}
"""What each table of the paper changes: by how many points the variant is better than SE there, on ImageNet.

Our SE has r = 4, the paper's r = 16: half and twice of the usual are r = 2 and 8 here, 8 and 32 there.
"""

ALIKE = 0.1
"""Points; the paper calls variants that are nearer to each other too close to rank."""


class Difference(NamedTuple):
    """A variant of a task less SE, in points: positive where the variant is better."""

    task: str
    variant: str
    mean: float
    low: float
    """The lower end of the 95 % confidence interval."""
    high: float
    runs: int
    """Of each of the two."""
    paper: float | None
    """The paper's difference on ImageNet, of a single run each; None where it has none."""

    @property
    def verdict(self) -> str:
        """What follows from the interval: agrees, disagrees, can't tell, or finds what the paper does not."""
        if self.low <= 0 <= self.high:
            return "can't tell"
        if self.paper is None or abs(self.paper) < ALIKE:
            return "finds a difference"
        return "agrees" if (self.paper > 0) == (self.mean > 0) else "disagrees"

    def __str__(self) -> str:
        """A line: "ReLU, digits: −3.0 points, −4.1 to −1.9 (10 runs each); the paper −1.19: agrees"."""
        mean, low, high = (signed(value, 1) for value in (self.mean, self.low, self.high))
        published = "" if self.paper is None else f"; the paper {signed(self.paper)}"
        return (
            f"{self.variant}, {self.task}: {mean} points, {low} to {high} "
            f"({self.runs} runs each){published}: {self.verdict}"
        )


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, a real minus: "+0.42", "−0.11", "0.00"."""
    text = f"{abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'−' if value < 0 else '+'}{text}"


def results(task: str, variant: str) -> dict[int, float]:
    """The share of test images that each run got right, by seed; empty if there are none."""
    rows = trained.select("ablations", task=task, variant=variant)
    return {int(row["seed"]): float(row["right"]) for row in rows}


def tasks() -> list[str]:
    """The tasks of the table, in its order."""
    return list(trained.group(trained.select("ablations"), "task"))


def compare(task: str, variant: str) -> Difference | None:
    """A variant less SE over the seeds that both have; None where the table has not two of them.

    Accuracy: the mean of the paired differences, with Student's t. Of a puzzle the share of runs that solve
    it: runs solve it or do not, so the interval is Newcombe's, from two of Wilson's (Statistics in Medicine
    17, 1998, method 10), which has a width where all runs end alike too.
    """
    by_variant = {name: results(task, name) for name in (*SE_NAMES, variant)}
    base = next((by_variant[name] for name in SE_NAMES if by_variant[name]), {})
    seeds = sorted(base.keys() & by_variant[variant].keys())
    if len(seeds) < 2:
        return None
    ours = np.array([by_variant[variant][seed] for seed in seeds])
    theirs = np.array([base[seed] for seed in seeds])
    if task.startswith("puzzle"):
        mean, low, high = newcombe(int((ours > SOLVED).sum()), int((theirs > SOLVED).sum()), len(seeds))
    else:
        from scipy import stats

        mean = float((ours - theirs).mean())
        low, high = stats.ttest_rel(ours, theirs).confidence_interval()
    published = next((row[variant] for row in VARIANTS.values() if variant in row), None)
    return Difference(task, variant, 100 * mean, 100 * float(low), 100 * float(high), len(seeds), published)


def newcombe(one: int, other: int, runs: int) -> tuple[float, float, float]:
    """The difference of two shares, one / runs − other / runs, and the ends of its 95 % interval."""
    from scipy import stats

    p, q = one / runs, other / runs
    (l1, u1), (l2, u2) = (
        stats.binomtest(count, runs).proportion_ci(method="wilson") for count in (one, other)
    )
    low = p - q - math.hypot(p - l1, u2 - q)
    high = p - q + math.hypot(u1 - p, q - l2)
    return p - q, low, high


def compare_all(table: str) -> list[Difference]:
    """All differences of a key of `VARIANTS`, variant by variant, task by task."""
    found: list[Any] = [compare(task, variant) for variant in VARIANTS[table] for task in tasks()]
    return [difference for difference in found if difference]
