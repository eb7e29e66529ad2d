"""Make what stands in seblock/trained.

python tools/trained.py puzzles            more than six hundred small networks, some two hours on two cores
python tools/trained.py gates DATA RUNS    what the gates of the fleet's networks in RUNS do
"""

import argparse
import copy
import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seblock import blocks, cifar10, cost, functional, gates, networks, others, puzzles, train
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
LEARNED, JUDGED = 2000, 1000
"""Images that a network of a puzzle learns from, and those that it is asked afterwards."""


def put_before_relu() -> nn.Sequential:
    """The painter with SE, each gate between its BatchNorm and its ReLU."""
    layers = list(puzzles.painter(SE))
    for relu in (2, 6, 10):
        layers[relu], layers[relu + 1] = layers[relu + 1], layers[relu]
    return nn.Sequential(*layers)


class HardGate(blocks.SqEx):
    """The same block, its gates cut off straight at 0 and 1, as MobileNetV3's are."""

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features, reduction=4)
        self.nonlin2 = nn.Hardsigmoid()


class AddedGate(blocks.SqEx):
    """x + SE(x): the same block with a shortcut of its own, so that its factors lie between 1 and 2."""

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features, reduction=4)

    def forward(self, x: Tensor) -> Tensor:
        return x + super().forward(x)


class TwoSigmoids(blocks.SqEx):
    """The same block with a second sigmoid behind the first."""

    def __init__(self, n_features: int) -> None:
        super().__init__(n_features, reduction=4)
        self.nonlin2 = nn.Sequential(nn.Sigmoid(), nn.Sigmoid())


ASKED = {
    name + suffix: Candidate(build, peak=peak)
    for name, build in {
        "before the ReLU": put_before_relu,
        "hard sigmoid": partial(puzzles.painter, HardGate),
        "x + SE(x)": partial(puzzles.painter, AddedGate),
        "two sigmoids": partial(puzzles.painter, TwoSigmoids),
    }.items()
    for suffix, peak in {"": 2e-2, ", lower rate": 5e-3}.items()
}
"""Painters that answer what people ask, in notebook 15."""


def shuffled_eca(channels: int) -> nn.Module:
    """An ECA gate whose neighbours were drawn at random, once, by the seed of the run."""
    draw = torch.Generator().manual_seed(torch.initial_seed())  # the weights' random numbers stay as they are
    return others.Reordered(others.ECA(channels), torch.randperm(channels, generator=draw))


AFTER = {
    name: Candidate(partial(puzzles.painter, gate))
    for name, gate in {
        "ECA": others.ECA,
        "ECA, neighbours drawn": shuffled_eca,
        "effective SE": others.EffectiveSE,
        "CBAM": partial(others.CBAM, reduction=4),
        "scSE": partial(others.SCSE, reduction=4),
        "gather-excite": others.GatherExcite,
        "global context": partial(others.GlobalContext, reduction=4),
    }.items()
}
"""Painters with what came after SE, trained as the first of each of `CONTENDERS` is."""
SHIPPED = {
    "ECA": "painter_eca",
    "plain": "painter_plain",
    "SE": "painter_se",
    "wider field, longer": "painter_wider",
}
"""Painters whose weights of seed 0 are kept."""


@torch.no_grad()
def paint(name: str, seed: int) -> Row:
    """Train one painter; what share of 1,000 test images it paints right, with its own gates and others."""
    torch.manual_seed(seed)
    candidate = (PAINTERS | PATHS | SIDES | ASKED | AFTER)[name]
    network = candidate.build()
    network.to(memory_format=FAST)  # type: ignore[call-overload]
    puzzle = puzzles.painting_puzzle(LEARNED, seed, side=candidate.side)
    with torch.enable_grad():
        x = puzzle.x.contiguous(memory_format=FAST)
        learn(network, x, puzzle.target, F.mse_loss, seed, candidate.epochs, candidate.peak)
    test = puzzles.painting_puzzle(JUDGED, seed=0, part="test", side=candidate.side)

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
    if name in AFTER:
        grey = F.mse_loss((test.target + test.other) / 2, test.target)
        row["error"] = round((F.mse_loss(network(test.x), test.target) / grey).item(), 4)
    if name == "ECA":
        row["channels shuffled afterwards"] = shuffle_gates(network, right)
    if name not in SIDES:
        del row["side"]
    if seed == 0 and name in SHIPPED:
        keep(network, SHIPPED[name])
    return row


def keep(network: nn.Module, name: str) -> None:
    """Write the weights of a network into seblock/trained, in the usual order in memory."""
    weights = {key: value.contiguous() for key, value in network.state_dict().items()}
    save_file(weights, FOLDER / f"{name}.safetensors")


def shuffle_gates(network: nn.Sequential, right: Callable[[], float], orders: int = 4) -> float:
    """The mean of what is right when the gates of a trained network meet the channels in other orders."""
    shares = []
    for seed in range(orders):
        draw = torch.Generator().manual_seed(seed)
        own = {gate: network.get_submodule(gate) for gate in GATES}
        for gate, module in own.items():
            order = torch.randperm(len(network[int(gate) - 2].weight), generator=draw)
            network.set_submodule(gate, others.Reordered(module, order))
        shares.append(right())
        for gate, module in own.items():
            network.set_submodule(gate, module)
    return round(sum(shares) / orders, 4)


GATES = ("3", "7", "11")
"""Where the painter's gates stand."""
FAST = torch.channels_last
"""The same numbers in an order that a CPU is faster with."""


@torch.no_grad()
def read(name: str, seed: int) -> Row:
    """Train one reader; what share of 1,000 test images it takes for the named digit, or for the other."""
    torch.manual_seed(seed)
    network, puzzle = READERS[name].build(), puzzles.painting_puzzle(LEARNED, seed)
    network.to(memory_format=FAST)  # type: ignore[call-overload]
    x = puzzle.x.contiguous(memory_format=FAST)
    with torch.enable_grad():
        learn(network, x, puzzle.named, F.cross_entropy, seed, READERS[name].epochs, READERS[name].peak)
    test = puzzles.painting_puzzle(JUDGED, seed=0, part="test")
    answers = network(test.x).argmax(1)
    return {
        "network": name,
        "parameters": cost.parameters(network),
        "epochs": READERS[name].epochs,
        "seed": seed,
        "right": round((answers == test.named).float().mean().item(), 4),
        "the other digit": round((answers == test.unnamed).float().mean().item(), 4),
    }


SMALL = 12
"""The width of the *where* puzzle's networks."""


def where_painter(
    gate: networks.Gate = nn.Identity,
    width: int = SMALL,
    dilations: Sequence[int] = (1, 1, 1),
    coordinates: bool = False,
) -> nn.Sequential:
    """A painter of the *where* puzzle, which may be told each pixel's place."""
    painter = puzzles.painter(gate, width, dilations, inputs=4 if coordinates else 2)
    return nn.Sequential(puzzles.Coordinates(), *painter) if coordinates else painter


BLIND_TO_BARS: dict[str, Callable[[], nn.Module]] = {
    "plain": where_painter,
    "SE, 24 wide": partial(where_painter, SE, width=24),
    "sSE": partial(where_painter, others.SSE),
    "scSE": partial(where_painter, partial(others.SCSE, reduction=4)),
}
"""They paint the same at both places, however they are trained. SE does too, and gets its chances below."""
FINDERS: dict[str, Callable[[], nn.Module]] = {
    "SE": partial(where_painter, SE),
    "SE, coordinates": partial(where_painter, SE, coordinates=True),
    "CBAM's spatial part": partial(where_painter, others.CBAMSpatial),
    "added map": partial(where_painter, puzzles.AddedMap),
    "wider field": partial(where_painter, dilations=(1, 3, 4)),
}
"""All are trained in the same three ways."""
WHERE = {name: Candidate(build, epochs=8) for name, build in BLIND_TO_BARS.items()} | {
    name + suffix: Candidate(build, epochs, peak)
    for name, build in FINDERS.items()
    for suffix, epochs, peak in (("", 8, 2e-2), (", lower rate", 8, 5e-3), (", longer", 24, 5e-3))
}


def of_run(name: str, network: nn.Module, candidate: Candidate, seed: int) -> Row:
    """What a row says of how its network was trained."""
    return {
        "network": name,
        "parameters": cost.parameters(network),
        "epochs": candidate.epochs,
        "peak": candidate.peak,
        "seed": seed,
    }


@torch.no_grad()
def find_place(name: str, seed: int) -> Row:
    """Train one painter of the *where* puzzle; what it paints right of 1,000 test images, and its error."""
    torch.manual_seed(seed)
    candidate = WHERE[name]
    network = candidate.build()
    network.to(memory_format=FAST)  # type: ignore[call-overload]
    puzzle = puzzles.where_puzzle(1000, seed)
    with torch.enable_grad():
        x = puzzle.x.contiguous(memory_format=FAST)
        learn(network, x, puzzle.target, F.mse_loss, seed, candidate.epochs, candidate.peak)
    test = puzzles.where_puzzle(1000, seed=0, part="test")
    output = network(test.x)
    grey = F.mse_loss((test.target + test.other) / 2, test.target)
    left, right = test.boxes(output).unbind(1)
    if seed == 0 and name in ("SE", "CBAM's spatial part"):
        keep(network, WHERE_SHIPPED[name])
    return {
        **of_run(name, network, candidate, seed),
        "right": round(test.painted(output).float().mean().item(), 4),
        "error": round((F.mse_loss(output, test.target) / grey).item(), 4),
        "apart": f"{(left - right).abs().max().item():.1g}",
    }


WHERE_SHIPPED = {"SE": "where_se", "CBAM's spatial part": "where_spatial"}
"""Painters whose weights of seed 0 are kept."""


UNETS = {
    place + suffix: Candidate(partial(puzzles.UNet, SE, among, width), epochs=8, peak=peak)
    for place, among, width in (
        ("none", (), 8),
        ("none, wider", (), 9),
        ("encoder", ("encoder",), 8),
        ("decoder", ("decoder",), 8),
        ("encoder and decoder", ("encoder", "decoder"), 8),
        ("skips", ("skips",), 8),
    )
    for suffix, peak in {"": 2e-2, ", lower rate": 5e-3}.items()
}
"""Small U-Nets, by where their gates stand."""


@torch.no_grad()
def segment(name: str, seed: int) -> Row:
    """Train one U-Net on 1,000 scenes; the intersection over union of its ink on 1,000 others."""
    torch.manual_seed(seed)
    candidate = UNETS[name]
    network, learned = candidate.build(), puzzles.scenes(1000, seed)
    network.to(memory_format=FAST)  # type: ignore[call-overload]
    with torch.enable_grad():
        x, loss = learned.x.contiguous(memory_format=FAST), F.binary_cross_entropy_with_logits
        learn(network, x, learned.ink, loss, seed, candidate.epochs, candidate.peak)
    test = puzzles.scenes(1000, seed=0, part="test")
    return {
        **of_run(name, network, candidate, seed),
        "overlap": round(test.overlap(network(test.x)).item(), 4),
    }


def train_puzzles(jobs: Sequence[str], seeds: int, processes: int | None) -> None:
    """Every painter and reader, or one kind of them, with every seed: those that its table does not have yet.

    A row is written as soon as it is there, so that what was trained is kept if this is stopped.
    """
    kinds = {"painting": (paint, PAINTERS), "reading": (read, READERS), "paths": (paint, PATHS)}
    kinds |= {"sides": (paint, SIDES), "asked": (paint, ASKED)}
    kinds |= {"after": (paint, AFTER), "where": (find_place, WHERE), "unet": (segment, UNETS)}
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


# What the fleet's trained gates do


BLOCKS = [f"{stage}.{block}" for stage in (1, 2, 3) for block in (1, 2, 3)]
"""A ResNet-20's residual blocks: stage, and block in it."""

SHOWN = (24, 6)
"""The epochs of the two networks, of seed 0, of which means of 2,000 test images are shipped."""

IMAGES = 2000
"""So many test images are asked, and so many others serve to measure, to fit a read-out, to count anew."""


class Given(nn.Module):
    """x̃_c = s_c · u_c with s given: (C,), or a row an image, (N, C)."""

    def __init__(self, s: Tensor) -> None:
        super().__init__()
        self.s = s

    def forward(self, x: Tensor) -> Tensor:
        return x * self.s[..., None, None].to(x)


@contextmanager
def given(network: nn.Module, s: Mapping[int, Tensor]) -> Iterator[None]:
    """While it lasts, the blocks of these numbers have these gates: as `gates.replaced`, and faster."""
    places = {number: residual_blocks(network)[number].gates for number in s}
    own = {number: place["standard"] for number, place in places.items()}
    try:
        for number, place in places.items():
            place["standard"] = Given(s[number])
        yield
    finally:
        for number, place in places.items():
            place["standard"] = own[number]


def residual_blocks(network: nn.Module) -> list[Any]:
    """All residual blocks, in order."""
    return [module for module in network.modules() if isinstance(module, networks.ResidualBlock)]


def fuse(network: Any) -> nn.Module:
    """The network in evaluation mode with each BatchNorm in the convolution before it: the same answers."""
    for sequence in list(network.modules()):
        if isinstance(sequence, nn.Sequential):
            for number, (conv, norm) in enumerate(pairwise(list(sequence))):
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    sequence[number] = fuse_conv_bn_eval(conv.eval(), norm.eval())
                    sequence[number + 1] = nn.Identity()
    fused: nn.Module = network.to(memory_format=torch.channels_last).eval()
    return fused


def squeeze_all(network: Any, x: Tensor) -> tuple[list[Tensor], Tensor]:
    """z of every block, (images, C) each, and the answers, (images,): x as bytes."""
    z: list[list[Tensor]] = [[] for _ in BLOCKS]
    answers = []
    for batch in x.split(100):
        h = network.stem(cifar10.normalise(batch).contiguous(memory_format=torch.channels_last))
        for number, block in enumerate(residual_blocks(network)):
            u = block.branch(h)
            z[number].append(functional.squeeze(u))
            h = F.relu(block.gates["standard"](u) + block.shortcut(h))
        answers.append(network.classify(h.mean((2, 3))).argmax(1))
    return [torch.cat(parts) for parts in z], torch.cat(answers)


def excite_all(network: nn.Module, z: Sequence[Tensor]) -> list[Tensor]:
    """s of every block, from its z."""
    return [block.gates["standard"].fc(of) for block, of in zip(residual_blocks(network), z, strict=True)]


class Change(NamedTuple):
    """What some blocks' gates are set to, and where."""

    what: str
    within: str
    s: dict[int, Tensor]


def changes(s: list[Tensor], s_train: list[Tensor], y: Tensor, y_train: Tensor) -> list[Change]:
    """All interventions: means and components from training images, shuffles over the test images."""
    every = range(len(BLOCKS))
    parts = {"all": every, **{f"stage {stage + 1}": range(3 * stage, 3 * stage + 3) for stage in range(3)}}
    singles = {f"block {name}": range(number, number + 1) for number, name in enumerate(BLOCKS)}
    mean = [of.mean(0) for of in s_train]
    found = [
        Change("channel's mean", name, {b: mean[b] for b in part}) for name, part in (parts | singles).items()
    ]

    def other(seed: int) -> list[Tensor]:
        order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
        return [of[order] for of in s]

    found += [Change("another image's", name, {b: other(0)[b] for b in part}) for name, part in parts.items()]
    found += [Change("another image's", "all", dict(enumerate(other(seed)))) for seed in (1, 2)]
    of_class = [gates.by_class(of, y_train).mean[y].float() for of in s_train]
    found.append(Change("class's mean", "all", dict(enumerate(of_class))))
    for kept in (1, 2):
        few = []
        for of, middle, of_train in zip(s, mean, s_train, strict=True):
            axes = torch.linalg.svd(of_train - middle, full_matrices=False).Vh[:kept]
            few.append(middle + (of - middle) @ axes.T @ axes)
        found.append(Change(f"{kept} component" + "s" * (kept > 1), "all", dict(enumerate(few))))
        if kept == 1:
            rest = [of - one + middle for of, one, middle in zip(s, few, mean, strict=True)]
            found.append(Change("without component 1", "all", dict(enumerate(rest))))
    found.append(Change("block's mean", "all", {b: mean[b].mean().expand_as(mean[b]) for b in every}))
    found += [
        Change(name, "all", {b: torch.full_like(mean[b], value) for b in every})
        for name, value in (("one half", 0.5), ("one", 1.0))
    ]
    return found


def answer_all(network: Any, x: Tensor, wanted: Sequence[Change]) -> list[Tensor]:
    """The answers with each change of the gates; what lies before a change is computed once."""
    answers: list[list[Tensor]] = [[] for _ in wanted]
    stack = residual_blocks(network)
    for start in range(0, len(x), 100):
        rows = slice(start, start + 100)
        h = network.stem(cifar10.normalise(x[rows]).contiguous(memory_format=torch.channels_last))
        before = []
        for block in stack:
            before.append(h)
            h = block(h)
        for number, change in enumerate(wanted):
            first = min(change.s)
            h = before[first]
            with given(network, {b: s[rows] if s.ndim == 2 else s for b, s in change.s.items()}):
                for block in stack[first:]:
                    h = block(h)
            answers[number].append(network.classify(h.mean((2, 3))).argmax(1))
    return [torch.cat(parts) for parts in answers]


def measure_batch_norms(network: nn.Module, x: Tensor) -> None:
    """Measure the means and spreads of every BatchNorm anew, on these images in batches of 250."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain mean over all batches
    network.train()
    for batch in x.split(250):
        network(cifar10.normalise(batch))
    network.eval()


def describe(network: nn.Module, z: list[Tensor], s: list[Tensor], images: cifar10.Images) -> list[Row]:
    """A row a block: the first component of its gates, and what goes with it; what moves the gates."""
    pixels = images.x.float() / 255
    light = {
        "brightness": pixels.mean((1, 2, 3)),
        "contrast": pixels.mean(1).flatten(1).std(1),
        "blue less red": (pixels[:, 2] - pixels[:, 0]).mean((1, 2)),
    }
    rows = []
    for name, block, of_z, of_s in zip(BLOCKS, residual_blocks(network), z, s, strict=True):
        norm, fc = block.branch[4], block.gates["standard"].fc
        d = (of_z - norm.bias) / norm.weight
        hidden = fc[1](fc[0](of_z))
        score, axis = first_component(of_s)
        down, through = score.double(), (of_s - of_s.mean(0)).double()
        drawn = []
        for seed in range(20):
            torch.manual_seed(seed)
            drawn.append(share_of_first(blocks.SELayer(of_z.shape[1], of_z.shape[1] // 4).fc(of_z)))
        within = (through * (of_z - of_z.mean(0))).mean(0) / (of_s.std(0) * of_z.std(0))
        row = {
            "block": name,
            "component 1": share_of_first(of_s),
            "component 1 of logits": share_of_first(fc[:3](of_z)),
            "component 1 of z": share_of_first(of_z),
            "component 1, random weights": sum(drawn) / len(drawn),
            "hidden units at work": int(((hidden > 0).float().mean(0) > 0.01).sum()),
            "same sign": max(float((axis > 0).float().mean()), float((axis < 0).float().mean())),
            "between classes": gates.class_specificity(down[:, None], images.y),
            "channels whose gate follows z": float((within > 0).float().mean()),
            "gate with z": float(within.nanmean()),
            "mean of d": float(d.mean(0).abs().mean()),
            "spread of d": float(d.std(0).mean()),
            "spread of z": float(of_z.std(0).mean()),
            "spread of s": float(of_s.std(0).mean()),
        }
        for what, values in light.items():
            row[what] = abs(float(torch.corrcoef(torch.stack([down, values.double()]))[0, 1]))
        gamma, beta = norm.weight, norm.bias
        for what, seen in (
            ("4 beta", 4 * beta + gamma * d),
            ("4 d", beta + 4 * gamma * d),
            ("4 z", 4 * of_z),
        ):
            row[f"spread with {what}"] = float(fc(seen).std(0).mean())
        rows.append({key: round(v, 5) if isinstance(v, float) else v for key, v in row.items()})
    return rows


def first_component(s: Tensor) -> tuple[Tensor, Tensor]:
    """Each image's score on the gates' first principal component, (images,), and its axis, (C,)."""
    centred = (s - s.mean(0)).double()
    axis = torch.linalg.svd(centred, full_matrices=False).Vh[0]
    return centred @ axis, axis


def share_of_first(s: Tensor) -> float:
    """The share of the variance that lies along the first principal component."""
    squares = torch.linalg.svdvals((s - s.mean(0)).double()).square()
    return float(squares[0] / squares.sum())


def read_out(
    network: nn.Module, fit: list[Tensor], fit_y: Tensor, test: list[Tensor], test_y: Tensor
) -> list[Row]:
    """How well a linear read-out tells the class: from z, the hidden units, or the gates of a block.

    It is fitted to test images that it is not tested on. raw: the numbers as they are, which the penalty
    hits harder the smaller they are; scaled: each with mean 0 and spread 1. C is the penalty's inverse.
    """
    rows = []
    for number, (name, block) in enumerate(zip(BLOCKS, residual_blocks(network), strict=True)):
        fc = block.gates["standard"].fc
        kinds = {"z": lambda z: z, "hidden units": fc[:2], "gates": fc}
        for kind, make in kinds.items():
            x, x_test = make(fit[number]).double().numpy(), make(test[number]).double().numpy()
            for scaled in (False, True):
                for decay in (1.0, 100.0, 10_000.0) if name == "3.3" else (1.0,) if scaled else ():
                    model: Any = LogisticRegression(C=decay, max_iter=1000)
                    model = make_pipeline(StandardScaler(), model) if scaled else model
                    right = model.fit(x, fit_y.numpy()).score(x_test, test_y.numpy())
                    how = "scaled" if scaled else "raw"
                    rows.append(
                        {"block": name, "from": kind, "numbers": how, "C": decay, "right": round(right, 4)}
                    )
    return rows


@torch.no_grad()
def examine(directory: Path, weights: Path, network_name: str, closely: bool) -> dict[str, Any]:
    """One network of the fleet: rows for the tables, and z of the test images.

    closely: what other gates cost and what can be read from them, too, which takes ten times as long.
    """
    network = networks.build(network_name)
    network.load_state_dict(load_file(weights))
    network.eval()
    fused = fuse(copy.deepcopy(network))
    train_, test = (cifar10.load(directory, part, 2 * IMAGES) for part in ("train", "test"))
    x, y = test.x[:IMAGES], test.y[:IMAGES]
    z, own = squeeze_all(fused, x)
    s = excite_all(network, z)
    found = {"components": describe(network, z, s, cifar10.Images(x, y)), "z": z, "labels": y, "x": x}
    if not closely:
        return found
    z_train, _ = squeeze_all(fused, train_.x[:IMAGES])
    z_fit, _ = squeeze_all(fused, test.x[IMAGES:])
    s_train = excite_all(network, z_train)
    wanted = changes(s, s_train, y, train_.y[:IMAGES])
    answers = [own, *answer_all(fused, x, wanted)]
    told = [("own", "all"), *((change.what, change.within) for change in wanted)]
    for change in (
        Change("own", "all", {}),
        *(change for change in wanted if change.what in ("one", "channel's mean") and change.within == "all"),
    ):
        anew = copy.deepcopy(network)
        with given(anew, change.s):
            measure_batch_norms(anew, train_.x[:IMAGES])
            answers.append(torch.cat([anew(cifar10.normalise(batch)).argmax(1) for batch in x.split(100)]))
        told.append((f"{change.what}, BatchNorm anew", "all"))
    right = own == y
    worth = [
        {
            "gates": what,
            "within": within,
            "right": int((answer == y).sum()),
            "lost": int((right & (answer != y)).sum()),
            "won": int((~right & (answer == y)).sum()),
        }
        for (what, within), answer in zip(told, answers, strict=True)
    ]
    readouts = read_out(network, z_fit, test.y[IMAGES:], z, y)
    return {**found, "interventions": worth, "readouts": readouts}


def keep_squeezed(name: str, found: Mapping[str, Any]) -> None:
    """z of a shown network's test images, from which its weights give the gates; their classes and light."""
    path = FOLDER / "squeezed.safetensors"
    pixels = found["x"].float() / 255
    held = load_file(path) if path.exists() else {}
    held |= {f"{name}.{block}": z.half().contiguous() for block, z in zip(BLOCKS, found["z"], strict=True)}
    held["labels"] = found["labels"].to(torch.uint8)
    held["colours"] = pixels.mean((2, 3)).half()
    held["contrast"] = pixels.mean(1).flatten(1).std(1).half()
    save_file(held, path)


EXAMINED = [*((24, seed) for seed in range(3)), *((6, seed) for seed in range(8))]
"""Epochs and seeds of the SE networks that are looked at closely."""

DESCRIBED = [*((30, seed) for seed in range(6)), *((6, seed) for seed in range(8, 12))]
"""Those whose gates are only described."""


def examine_gates(directory: Path, runs: Path) -> None:
    """The fleet's SE networks: what their gates do, are worth and tell; those in the tables are left out."""
    for epochs, seed in EXAMINED + DESCRIBED:
        key = {"network": "se_resnet20", "epochs": epochs, "seed": seed}
        weights = runs / f"se_resnet20_{epochs}_{seed}" / "weights.safetensors"
        done = [row for row in rows_of("components") if all(row[k] == str(v) for k, v in key.items())]
        if done or not weights.exists():
            continue
        print(key, flush=True)
        found = examine(directory, weights, "se_resnet20", (epochs, seed) in EXAMINED)
        if seed == 0 and epochs in SHOWN:
            keep_squeezed(f"{epochs}", found)
        for name in ("interventions", "readouts", "components"):
            write(name, [*rows_of(name), *({**key, **row} for row in found.get(name, ()))])


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
    puzzle_options.add_argument("jobs", nargs="*", help="one or more of its tables; all if none is named")
    puzzle_options.add_argument("--seeds", type=int, default=10)
    puzzle_options.add_argument("--processes", type=int, help="at a time; one for each core if not given")
    gate_options = commands.add_parser("gates")
    gate_options.add_argument("data", type=Path)
    gate_options.add_argument("runs", type=Path)
    options = parser.parse_args()
    match options.command:
        case "puzzles":
            train_puzzles(options.jobs, options.seeds, options.processes)
        case "gates":
            examine_gates(options.data, options.runs)
