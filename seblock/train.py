"""One training loop, and the command that runs it on CIFAR-10: python -m seblock.train --help.

One process, or several under PyTorch's launcher, with the same options:
torchrun --nproc-per-node 2 -m seblock.train …
tqdm, matplotlib and safetensors are imported where they are used; a machine without them trains as well.
"""

import argparse
import csv
import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from seblock import data, networks

Loss = Callable[[Tensor, Tensor], Tensor]


def steps(
    network: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    loss: Loss,
    optimizer: torch.optim.Optimizer,
    schedule: LRScheduler,
    mixed: bool = False,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Learn from each batch (x, y) in turn: yields loss, output and y, loss and output from before the step.

    mixed: convolutions and products in bfloat16 (torch.autocast), all else in float32.
    """
    network.train()
    for x, y in batches:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=mixed):
            output = network(x)
        value = loss(output.float(), y)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        yield value.detach(), output.detach(), y


PADDING = 4
"""Pixels by which a training image is shifted at most."""


def crop_and_flip(x: Tensor, top: Tensor, left: Tensor, mirrored: Tensor) -> Tensor:
    """Each image shifted, and mirrored where asked: (N, C, H, W) -> (N, C, H, W), zeros coming in.

    top, left: (N,) in 0..2 PADDING, where the cut begins in the padded image (PADDING: not shifted).
    mirrored: (N,), left and right exchanged.
    """
    n, _, height, width = x.shape
    columns = torch.arange(width, device=x.device).expand(n, width)
    columns = left[:, None] + torch.where(mirrored[:, None], columns.flip(1), columns)
    rows = top[:, None] + torch.arange(height, device=x.device)
    padded = F.pad(x, (PADDING,) * 4).permute(0, 2, 3, 1)
    image = torch.arange(n, device=x.device)
    return padded[image[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def batches(
    images: data.Images, size: int, seed: int, rank: int = 0, world: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented batches, in an order that `seed` draws; what fills no batch is left out.

    Of each batch of `size` images, process `rank` of `world` gets every world-th. All processes draw the
    same numbers for all images, so together they see what a single process would.
    """
    device = images.x.device
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images.y), generator=draw)
    for chosen in order.split(size)[: len(order) // size]:
        shifts = torch.randint(2 * PADDING + 1, (2, size), generator=draw)
        mirrored = torch.randint(2, (1, size), generator=draw)
        mine = torch.cat([chosen[None], shifts, mirrored])[:, rank::world].to(device)
        x = crop_and_flip(images.x[mine[0]], mine[1], mine[2], mine[3].bool())
        yield data.normalised(x).contiguous(memory_format=torch.channels_last), images.y[mine[0]]


class Diverged(ArithmeticError):
    """The loss is no longer a finite number."""


def watched(
    learning: Iterable[tuple[Tensor, Tensor, Tensor]], total: int, label: str, shown: bool = True
) -> tuple[float, float]:
    """Go through an epoch of `steps`, with a progress bar: mean cross-entropy and accuracy in 0..1.

    Raises `Diverged` within 20 steps of the first loss that is not finite.
    """
    bar = None
    if shown and available("tqdm"):
        from tqdm.auto import tqdm

        bar = tqdm(total=total, desc=label, leave=False, dynamic_ncols=True)
    sums = torch.zeros(2, dtype=torch.float64)
    means = (0.0, 0.0)
    for count, (loss, output, y) in enumerate(learning, start=1):
        sums = sums.to(loss.device) + torch.stack([loss, (output.argmax(1) == y).float().mean()])
        if count % 20 == 0 or count == total:
            means = tuple((sums / count).tolist())
            if not math.isfinite(means[0]):
                raise Diverged(f"the loss is {means[0]} after {count} steps of {label}: try a lower --peak")
            if bar:
                bar.update(count - bar.n)
                bar.set_postfix(loss=f"{means[0]:.3f}", accuracy=f"{means[1]:.1%}")
    if bar:
        bar.close()
    return means


@torch.no_grad()
def evaluate(
    network: nn.Module, images: data.Images, size: int = 500, rank: int = 0, world: int = 1
) -> tuple[float, float]:
    """Mean cross-entropy and accuracy in 0..1, in evaluation mode and float32; the mode is put back.

    Several processes look at every world-th image each and add up what they counted.
    """
    training = network.training
    network.eval()
    sums = torch.zeros(2, dtype=torch.float64)
    for x, y in zip(images.x[rank::world].split(size), images.y[rank::world].split(size), strict=True):
        output = network(data.normalised(x).contiguous(memory_format=torch.channels_last))
        sums[0] += F.cross_entropy(output, y, reduction="sum").cpu()
        sums[1] += (output.argmax(1) == y).sum().cpu()
    network.train(training)
    if world > 1:
        sums = sums.to(images.x.device)
        dist.all_reduce(sums)
    loss, right = (sums / len(images.y)).tolist()
    return loss, right


@dataclass(frozen=True)
class Settings:
    """What a run is: the same settings give, on a CPU and with as many threads, the same weights."""

    network: str = "se_resnet20"
    epochs: int = 20
    seed: int = 0
    batch: int = 128
    peak: float = 0.2
    schedule: str = "one-cycle"
    weight_decay: float = 5e-4
    gate_decay: float | None = None
    mixed: bool = False
    images: int | None = None


def grouped(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """Parameters by their weight decay: none for what BatchNorm learns and for biases, gates on their own."""
    decay = settings.weight_decay
    of_gates = decay if settings.gate_decay is None else settings.gate_decay
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        value = 0.0 if parameter.ndim < 2 else of_gates if ".gates." in name else decay
        groups.setdefault(value, []).append(parameter)
    return [{"params": parameters, "weight_decay": value} for value, parameters in groups.items()]


SCHEDULES = ("one-cycle", "cosine")


def scheduled(optimizer: torch.optim.Optimizer, settings: Settings, total: int) -> LRScheduler:
    """The learning rate over `total` steps: up to the peak and down to zero, or down from it."""
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total)
    return OneCycleLR(optimizer, settings.peak, total_steps=total, pct_start=0.25, cycle_momentum=False)


def available(module: str) -> bool:
    """Whether a package that a bare PyTorch machine may lack can be imported."""
    from importlib.util import find_spec

    return find_spec(module) is not None


def replace(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its place and move it there: whoever reads finds the old one or the new one."""
    beside = path.with_name(path.name + ".part")
    write(beside)
    with open(beside, "rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)


@dataclass
class Run:
    """A training run and all that its next step depends on."""

    settings: Settings
    network: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: LRScheduler
    log: list[dict[str, float]]

    def save(self, path: Path) -> None:
        """Weights and optimiser state as safetensors, the rest as JSON in the file's own header."""
        from safetensors.torch import save_file

        optimizer = self.optimizer.state_dict()
        tensors = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        for number, state in optimizer["state"].items():
            tensors |= {f"optimizer.{number}.{name}": t for name, t in state.items()}
        rest = {
            "settings": asdict(self.settings),
            "groups": optimizer["param_groups"],
            "schedule": {k: v for k, v in self.schedule.state_dict().items() if not callable(v)},
            "log": self.log,
        }
        held = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
        replace(path, lambda part: save_file(held, part, {"run": json.dumps(rest)}))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises ValueError for a damaged one or one of other settings."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "pt") as file:
                rest = json.loads(file.metadata()["run"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no checkpoint of this command, or a damaged one") from error
        now = asdict(self.settings)
        if other := [f"{k} {v}, not {now.get(k)}" for k, v in rest["settings"].items() if v != now.get(k)]:
            raise ValueError(f"{path} belongs to another run: {'; '.join(other)}")
        weights: dict[str, Tensor] = {}
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            part, _, name = name.partition(".")
            if part == "network":
                weights[name] = tensor
            else:
                number, _, name = name.partition(".")
                state.setdefault(int(number), {})[name] = tensor
        load_weights(self.network, weights, path)
        self.optimizer.load_state_dict({"state": state, "param_groups": rest["groups"]})
        self.schedule.load_state_dict(rest["schedule"])
        self.log = rest["log"]

    def leave(self, out: Path, last: bool) -> None:
        """After an epoch: checkpoint, then log.csv and curve.png; after the last one the weights alone."""
        if available("safetensors"):
            self.save(out / "checkpoint.safetensors")
        replace(out / "log.csv", self.write_log)
        if available("matplotlib"):
            from seblock.plots import training

            replace(out / "curve.png", lambda part: part.write_bytes(training.png_of(self.log)))
        if last:
            weights = {name: t.detach().cpu().contiguous() for name, t in self.network.state_dict().items()}
            if available("safetensors"):
                from safetensors.torch import save_file

                replace(out / "weights.safetensors", lambda part: save_file(weights, part))
            else:
                import numpy as np

                arrays = {name: t.numpy() for name, t in weights.items()}
                with open(out / "weights.npz", "wb") as file:
                    np.savez(file, **arrays)

    def write_log(self, path: Path) -> None:
        """One line an epoch, as a spreadsheet reads it."""
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, fieldnames=list(self.log[0]))
            table.writeheader()
            table.writerows(self.log)


def load_weights(network: nn.Module, weights: dict[str, Tensor], source: object) -> None:
    """Strictly: raises ValueError, with what does not fit in one sentence."""
    own = network.state_dict()
    if missing := sorted(own.keys() ^ weights.keys()):
        raise ValueError(f"{source} holds another network: {missing[0]} stands in only one of them")
    for name, tensor in weights.items():
        if tensor.shape != own[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(own[name].shape)}"
            raise ValueError(f"{source} holds another network: {name} is {shapes}")
    network.load_state_dict(weights)


def run(settings: Settings, directory: str | Path, out: Path, resume: bool = False) -> Run:
    """Train on CIFAR-10 in `directory`; leaves checkpoint, log, curve and weights in `out`.

    Raises FileNotFoundError, FileExistsError, ValueError or `Diverged`, each with one sentence.
    """
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    if settings.batch % world:
        raise ValueError(f"a batch of {settings.batch} cannot be shared evenly by {world} processes")
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
    checkpoint = out / "checkpoint.safetensors"
    if checkpoint.exists() and not resume:
        raise FileExistsError(f"{checkpoint} exists: go on with --resume, or name another --out")

    torch.manual_seed(settings.seed)
    network: nn.Module = networks.named(settings.network)
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    train = data.cifar10(directory, "train", settings.images)
    test = data.cifar10(directory, "test", settings.images and min(settings.images, 10_000))
    train, test = (data.Images(images.x.to(device), images.y.to(device)) for images in (train, test))
    each_epoch = len(train.y) // settings.batch
    if not each_epoch:
        raise ValueError(f"{len(train.y)} images do not fill a batch of {settings.batch}")
    optimizer = torch.optim.SGD(grouped(network, settings), lr=settings.peak, momentum=0.9, nesterov=True)
    schedule = scheduled(optimizer, settings, settings.epochs * each_epoch)
    here = Run(settings, network, optimizer, schedule, [])
    if resume and checkpoint.exists():
        here.load(checkpoint)
    learner = nn.parallel.DistributedDataParallel(network) if world > 1 else network
    if rank == 0:
        out.mkdir(parents=True, exist_ok=True)
        if not available("safetensors"):
            print(
                "safetensors is not installed: no checkpoints, and the weights go into an npz file at the end"
            )

    for epoch in range(len(here.log), settings.epochs):
        began = time.perf_counter()
        seed = settings.seed * 100_000 + epoch
        torch.manual_seed(seed)
        seen = batches(train, settings.batch, seed, rank, world)
        learning = steps(learner, seen, F.cross_entropy, optimizer, schedule, settings.mixed)
        label = f"epoch {epoch + 1} of {settings.epochs}"
        loss, accuracy = watched(learning, each_epoch, label, shown=rank == 0)
        test_loss, test_accuracy = evaluate(network, test, rank=rank, world=world)
        row = {
            "epoch": epoch + 1,
            "loss": loss,
            "accuracy": accuracy,
            "test_loss": test_loss,
            "test_accuracy": test_accuracy,
            "seconds": time.perf_counter() - began,
        }
        here.log.append(row)
        if rank == 0:
            here.leave(out, last=epoch + 1 == settings.epochs)
            print(f"{label}: " + ", ".join(f"{name} {row[name]:.4g}" for name in list(row)[1:]), flush=True)
    return here


def main(arguments: list[str] | None = None) -> None:
    """The command line. Ends with one sentence on stderr, and status 1, for what a user can mend."""
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="python -m seblock.train", description="Train on CIFAR-10.")
    add = parser.add_argument
    add("--data", required=True, help="directory of CIFAR-10's binary version")
    add("--out", required=True, type=Path, help="directory for checkpoint, log, curve and weights")
    add("--resume", action="store_true", help="go on from the checkpoint in --out, if there is one")
    add("--network", default=defaults.network, help="resnet20, se_resnet20, se_resnet56, se_resnet20_r2, …")
    add("--epochs", type=int, default=defaults.epochs)
    add("--seed", type=int, default=defaults.seed)
    add("--batch", type=int, default=defaults.batch, help="images a step, over all processes")
    add("--peak", type=float, default=defaults.peak, help="highest learning rate")
    add("--schedule", choices=SCHEDULES, default=defaults.schedule)
    add("--weight-decay", type=float, default=defaults.weight_decay)
    add("--gate-decay", type=float, help="weight decay of the gates' two layers, if another")
    add("--mixed", action="store_true", help="bfloat16 where it does no harm, for GPUs and CPUs that have it")
    add("--images", type=int, help="train and test on so many images only, for a short try")
    options = vars(parser.parse_args(arguments))
    directory, out, resume = (options.pop(name) for name in ("data", "out", "resume"))
    several = int(os.environ.get("WORLD_SIZE", 1)) > 1
    if several:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        run(Settings(**options), directory, out, resume)
    except KeyboardInterrupt:
        sys.exit("stopped; the same command with --resume goes on after the last whole epoch")
    except (OSError, ValueError, ArithmeticError) as error:
        sys.exit(f"seblock.train: {error}")
    finally:
        if several:
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
