"""Make what stands in seblock/trained of the text scanner's network.

python tools/scanner.py weights MODEL    from ch_ppocr_mobile_v2.0_cls_infer.onnx; wants `pip install onnx`
python tools/scanner.py constants        factors that never look at the line: about ten minutes on a core
python tools/scanner.py table            what share is right with other gates: about ten minutes on a core

MODEL is in the package rapidocr-onnxruntime 1.4.4: `pip download --no-deps rapidocr-onnxruntime==1.4.4`,
then unzip the wheel.
"""

import argparse
import csv
import dataclasses
import math
import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from seblock import blocks, gates, lines, scanner, trained
from seblock.trained import FOLDER

Gates = Mapping[str, float | Tensor]


def read_onnx(path: Path) -> dict[str, Tensor]:
    """All constants of an ONNX file, by name."""
    import onnx
    import onnx.numpy_helper

    model = onnx.load(str(path))
    held = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            held[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    return {name: torch.from_numpy(array.copy()) for name, array in held.items() if array.dtype == "float32"}


def convert(held: dict[str, Tensor]) -> dict[str, Tensor]:
    """PaddleOCR's tensors by the names of `TextDirection`."""
    state = {}

    def convolution(name: str, theirs: str) -> None:
        state[f"{name}.0.weight"] = held[f"{theirs}_weights"]
        parts = {"weight": "scale", "bias": "offset", "running_mean": "mean", "running_var": "variance"}
        for part, their_part in parts.items():
            state[f"{name}.1.{part}"] = held[f"{theirs}_bn_{their_part}"]
        state[f"{name}.1.num_batches_tracked"] = torch.tensor(0)

    convolution("stem", "conv1")
    convolution("last", "conv_last")
    for i, (*_, gated) in enumerate(scanner.BLOCKS):
        for part, theirs in (("expand", "expand"), ("depthwise", "depthwise"), ("project", "linear")):
            convolution(f"blocks.{i}.{part}", f"conv{i + 2}_{theirs}")
        for layer in (1, 2) if gated else ():
            name, theirs = f"blocks.{i}.gate.linear{layer}", f"conv{i + 2}_se_{layer}"
            state[f"{name}.weight"] = held[f"{theirs}_weights"].flatten(1)  # a 1×1 convolution as a matrix
            state[f"{name}.bias"] = held[f"{theirs}_offset"]
    state["classify.weight"] = held["fc_0.w_0"].T
    state["classify.bias"] = held["fc_0.b_0"]
    return {name: tensor.contiguous() for name, tensor in state.items()}


ORDINARY: dict[str, Any] = {}
GREY: dict[str, Any] = {"colour": 0, "noise": 0}
ALL = scanner.gate_names()
FIRST = ALL[:2]
COUNT, SEED, OTHERS = 1000, 0, 10_000
"""Lines of each row of the table, both ways; their seed; where the seeds of other lines begin."""


class Compact(nn.Module):
    """The scanner's network with each BatchNorm folded into its convolution: the same, faster."""

    def __init__(self) -> None:
        super().__init__()
        self.network = scanner.load()
        for part in self.network.modules():
            if isinstance(part, nn.Sequential) and len(part) == 3 and isinstance(part[1], nn.BatchNorm2d):
                part[0] = fuse_conv_bn_eval(part[0], part[1])
                part[1] = nn.Identity()
        self.network.to(memory_format=torch.channels_last)


def packed(chosen: list[lines.Line]) -> Tensor:
    """Lines both ways, as the network takes them."""
    return scanner.pack(lines.both_ways(chosen))


def mixed_lines(count: int, seed: int) -> list[lines.Line]:
    """Half ordinary lines, half grey ones of every contrast down to 0.04."""
    draw = random.Random(seed)
    grey = [
        dataclasses.replace(line, contrast=math.exp(draw.uniform(math.log(0.04), math.log(0.95))))
        for line in lines.random_lines(count // 2, seed + 1, **GREY)
    ]
    return lines.random_lines(count - count // 2, seed) + grey


def train_constants(choose: Callable[[int, int], list[lines.Line]], steps: int = 160) -> dict[str, Tensor]:
    """A factor for each of the 808 gated channels that never looks at the line, all else left as it is.

    From the gates' means over ordinary lines, by Adam, on 32 new lines a step, both ways.
    """
    network = Compact().network
    held = gates.record(network, packed(lines.random_lines(400, OTHERS)).split(25), ALL)
    for name in ALL:
        constant = blocks.ConstantGate(held.s[name].shape[1])
        mean = held.s[name].float().mean(0).clamp(0.02, 0.98)
        constant.weight.data = mean.logit()
        place, _, last = name.rpartition(".")
        setattr(network.get_submodule(place), last, constant)
    constants = [network.get_submodule(name).weight for name in ALL]
    optimizer = torch.optim.Adam(constants, lr=0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    y = torch.tensor([0] * 32 + [1] * 32)
    for step in range(steps):
        x = packed(choose(32, 2 * OTHERS + 2 * step))
        optimizer.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimizer.step()
        schedule.step()
    return {name: weight.detach().sigmoid() for name, weight in zip(ALL, constants, strict=True)}


def write_constants() -> None:
    """Train constants on ordinary lines, and on mixed ones."""
    made = {"ordinary": train_constants(lines.random_lines), "mixed": train_constants(mixed_lines)}
    save_file(
        {f"{name}.{gate}": s for name, held in made.items() for gate, s in held.items()},
        FOLDER / "scanner_constants.safetensors",
    )


class Table:
    """Rows of what share of the lines is right with which gates, beside the network's own gates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self.network = Compact().network

    def record(self, x: Tensor) -> dict[str, Tensor]:
        return gates.record(self.network, x.split(25), ALL).s

    def means(self, chosen: list[lines.Line]) -> dict[str, Tensor]:
        return {name: s.double().mean(0) for name, s in self.record(packed(chosen)).items()}

    def add(self, kind: str, x: Tensor, tried: dict[str, Gates], again: bool = False, **columns: Any) -> None:
        """A row for the own gates, unless `again`, and one for each of `tried`.

        What is no key there keeps its own gate.
        """
        own = None
        for name, s in {"own": {}, **tried}.items():
            with gates.replaced(self.network, s):
                right = scanner.is_right(self.network, x)
            own = right if own is None else own
            if not (again and name == "own"):
                self.write({"lines": kind, **columns, "gates": name}, right, own)

    def write(self, told: dict[str, Any], right: Tensor, own: Tensor) -> None:
        """A row: the share that is right and its difference from `own`, with half their 95 % intervals."""
        values = {"right": right.mean(0), "difference": (right - own).mean(0)}
        for column, value in values.items():
            told[column] = round(100 * float(value.mean()), 2)
            told[f"half of {column}"] = round(196 * float(value.std()) / len(value) ** 0.5, 2)
        self.rows.append({**told, "count": right.shape[1]})
        print(self.rows[-1], flush=True)
        with open(self.path, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self.rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)


class MaskedSqueeze(nn.Module):
    """The mean over the columns of a map that hold something of the line: (N, C, H, W) -> (N, C).

    mask: (N, 1, 1, W), 1 where they do and 0 where the page is empty.
    """

    mask: Tensor

    def forward(self, u: Tensor) -> Tensor:
        return (u * self.mask).sum((2, 3)) / (self.mask.sum((2, 3)) * u.shape[2])


def write_padding(table: Table) -> None:
    """Short lines on a page as wide as in training, and on one three times as wide; a masked squeeze."""
    images = [
        draw for draw in map(lines.draw, lines.random_lines(2000, SEED, words=1)) if draw.shape[2] < 150
    ]
    images = images[:500]
    images += [lines.turn(image) for image in images]
    own = None
    for width in (192, 576):
        filled = torch.tensor([math.ceil(image.shape[2] / 2) for image in images])
        mask = (torch.arange(width // 2) < filled[:, None]).float()[:, None, None]
        x = scanner.pack(images, width)
        for squeeze, whole in (("mean", blocks.Squeeze()), ("masked", MaskedSqueeze())):
            for name in ALL:
                table.network.get_submodule(name).pool = whole
            answers = []
            for part, of in zip(x.split(50), mask.split(50), strict=True):
                whole.mask = of
                answers.append(scanner.answer(table.network, part))
            turned = (torch.cat(answers) > 0.5).view(2, -1)
            right = torch.stack([~turned[0], turned[1]]).double()
            own = right if own is None else own
            table.write({"lines": f"short, {width} wide", "contrast": "", "gates": squeeze}, right, own)
    for name in ALL:
        table.network.get_submodule(name).pool = blocks.Squeeze()


def write_table() -> None:
    """A thousand lines both ways for every row; the intervals are paired by line."""
    table = Table(FOLDER / "scanner.csv")
    ordinary = table.means(lines.random_lines(400, OTHERS))
    mixed = table.means(mixed_lines(400, OTHERS + 1))
    first = {name: ordinary[name] for name in FIRST}

    chosen = lines.random_lines(COUNT, SEED)
    x = packed(chosen)
    s = table.record(x)
    other = [dataclasses.replace(line, light_on_dark=not line.light_on_dark) for line in chosen]
    draw = torch.Generator().manual_seed(0)
    anyone = torch.randperm(2 * COUNT, generator=draw)
    alike = torch.cat([k * COUNT + torch.randperm(COUNT, generator=draw) for k in (0, 1)])
    twin = torch.arange(2 * COUNT).roll(COUNT)

    def of(order: Tensor, names: list[str] = ALL) -> Gates:
        return {name: s[name][order] for name in names}

    tried: dict[str, Gates] = {
        "light on dark and back": table.record(packed(other)),
        "means": ordinary,
        "means, 1 and 2": first,
        "another line's, same direction": of(alike),
        "its twin's": of(twin),
        "another line's": of(anyone),
        "one number a block": {name: float(mean.mean()) for name, mean in ordinary.items()},
        "one": dict.fromkeys(ALL, 1.0),
        "one half": dict.fromkeys(ALL, 0.5),
        "means of mixed lines": mixed,
    }
    tried |= {f"its twin's, {k + 1}": of(twin, [name]) for k, name in enumerate(ALL)}
    tried |= {"its twin's, 1 to 8": of(twin, ALL[:8])}
    table.add("ordinary", x, tried, contrast="")

    for contrast in (0.7, 0.35, 0.2, 0.12, 0.08, 0.05):
        x = packed(lines.random_lines(COUNT, SEED, **GREY, contrast=contrast))
        tried = {"means, 1 and 2": first}
        if contrast == 0.08:
            pale = table.means(lines.random_lines(400, OTHERS, **GREY, contrast=contrast))
            s = table.record(x)
            tried |= {
                f"means, {k + 1} and {k + 2}": {name: ordinary[name] for name in ALL[k : k + 2]}
                for k in (2, 4, 6, 7)
            }
            tried |= {"means, 1": {FIRST[0]: first[FIRST[0]]}, "means, 2": {FIRST[1]: first[FIRST[1]]}}
            tried |= {"means, 3 to 9": {name: ordinary[name] for name in ALL[2:]}}
            tried |= {"means of pale lines, 1 and 2": {name: pale[name] for name in FIRST}}
            tried |= {"another pale line's, 1 and 2": of(anyone, FIRST)}
            tried |= {"one number a block, 1 and 2": {name: float(pale[name].mean()) for name in FIRST}}
            tried |= {"means": ordinary, "means of mixed lines": mixed}
            tried |= {"means of mixed lines, 1 and 2": {name: mixed[name] for name in FIRST}}
        table.add("grey", x, tried, contrast=contrast)
    for kind, look in (
        ("grey, some noise", {"colour": 0, "noise": 0.015}),
        ("coloured", {"colour": 0.6, "noise": 0}),
        ("grey, white paper", {**GREY, "light_on_dark": False, "brightness": 0.96}),
    ):
        x = packed(lines.random_lines(COUNT, SEED, **look, contrast=0.08))
        table.add(kind, x, {"means, 1 and 2": first}, contrast=0.08)
    write_padding(table)

    held = trained.tensors("scanner_constants")
    tried = {
        f"constants, {kind}": {name: held[f"{kind}.{name}"] for name in ALL} for kind in ("ordinary", "mixed")
    }
    table.add("ordinary", packed(chosen), tried, contrast="", again=True)
    x = packed(lines.random_lines(COUNT, SEED, **GREY, contrast=0.08))
    table.add("grey", x, tried, contrast=0.08, again=True)

    images = lines.both_ways(lines.random_lines(COUNT, SEED, **GREY, contrast=0.08))
    x = scanner.pack([lines.stretch(image) for image in images])
    table.add("grey, stretched", x, {"means, 1 and 2": first, "means": ordinary}, contrast=0.08)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("weights", help="convert PaddleOCR's weights").add_argument("model", type=Path)
    commands.add_parser("constants", help="train constants in the place of the gates")
    commands.add_parser("table", help="ask the network with other gates than its own")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if given.command == "weights":
        state = convert(read_onnx(given.model))
        scanner.TextDirection().load_state_dict(state)
        save_file(state, FOLDER / "scanner.safetensors")
    elif given.command == "constants":
        write_constants()
    else:
        write_table()


if __name__ == "__main__":
    main()
