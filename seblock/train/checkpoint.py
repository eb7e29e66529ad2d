"""One training loop, and the command that runs it on CIFAR-10: python -m seblock.train --help.

One process, or several under PyTorch's launcher, with the same options:
torchrun --nproc-per-node 2 -m seblock.train …
Each batch is then shared out and the gradients are averaged, which gives the step that one process would
make, but for BatchNorm: in training mode it normalises with the mean and variance of its process' share, not
of the batch. (nn.SyncBatchNorm takes those of all processes, on GPUs only.) The running statistics that are
evaluated and saved are process 0's.
tqdm, matplotlib and safetensors are imported where they are used; a machine without them trains as well.
"""

import argparse
import csv
import io
import json
import math
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler, OneCycleLR

from seblock import blocks, cifar10, networks

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
    images: cifar10.Images, size: int, seed: int, rank: int = 0, world: int = 1, side: int | None = None
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of augmented batches, in an order that `seed` draws; the last, incomplete one is dropped.

    side: shrink the images to side × side pixels after shifting them. Of each batch of `size` images, process
    `rank` of `world` gets every world-th. All processes draw the same numbers for all images, so together
    they see what a single process would.
    """
    device = images.x.device
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images.y), generator=draw)
    for chosen in order.split(size)[: len(order) // size]:
        shifts = torch.randint(2 * PADDING + 1, (2, size), generator=draw)
        mirrored = torch.randint(2, (1, size), generator=draw)
        mine = torch.cat([chosen[None], shifts, mirrored])[:, rank::world].to(device)
        x = cifar10.normalise(crop_and_flip(images.x[mine[0]], mine[1], mine[2], mine[3].bool()))
        if side and side != x.shape[2]:
            x = F.interpolate(x, size=(side, side), mode="area")
        yield x.contiguous(memory_format=torch.channels_last), images.y[mine[0]]


class Diverged(ArithmeticError):
    """The loss is no number any more, or beyond `LARGEST_LOSS`."""


LARGEST_LOSS = 1000.0
"""Guessing among ten classes costs ln 10 = 2.3."""


def processes() -> tuple[int, int]:
    """Which process this is, and how many train together."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


FAILURES = (OSError, ValueError, ArithmeticError, ImportError)
"""What ends a run with a sentence instead of a traceback."""


@contextmanager
def together() -> Iterator[None]:
    """What fails in one process ends all: the first that failed raises its error, the others SystemExit."""
    rank, world = processes()
    problem: Exception | None = None
    try:
        yield
    except FAILURES as error:
        problem = error
    if world > 1:
        first = torch.tensor(rank if problem else world)
        dist.all_reduce(first, dist.ReduceOp.MIN)
        if first.item() not in (rank, world):
            raise SystemExit(1)
    if problem:
        raise problem


def watched(
    learning: Iterable[tuple[Tensor, Tensor, Tensor]], total: int, label: str, shown: bool = True
) -> tuple[float, float]:
    """Go through an epoch of `steps`, with a progress bar: mean cross-entropy and accuracy in 0..1.

    Several processes add up what they count, so all have to go through it. Raises `Diverged`, within 20
    steps, when the mean cross-entropy is no number or beyond `LARGEST_LOSS`.
    """
    bar = None
    if shown and available("tqdm"):
        from tqdm.auto import tqdm

        bar = tqdm(total=total, desc=label, leave=False, dynamic_ncols=True)
    sums = torch.zeros(2, dtype=torch.float64)
    means = (0.0, 0.0)
    world = processes()[1]
    try:
        for count, (loss, output, y) in enumerate(learning, start=1):
            sums = sums.to(loss.device) + torch.stack([loss, (output.argmax(1) == y).float().mean()])
            if bar:
                bar.update()
            if count % 20 == 0 or count == total:
                means = tuple((added_up(sums) / (count * world)).tolist())
                if not means[0] < LARGEST_LOSS:  # nor is nan
                    raise Diverged(
                        f"the loss is {means[0]:.3g} at step {count} of {label}: try a lower --peak"
                    )
                if bar:
                    bar.set_postfix(loss=f"{means[0]:.3f}", accuracy=f"{means[1]:.1%}")
    finally:
        if bar:
            bar.close()
    return means


def added_up(sums: Tensor) -> Tensor:
    """The sums of all processes, added; a copy, on the CPU."""
    sums = sums.cpu().clone()
    if processes()[1] > 1:
        dist.all_reduce(sums)
    return sums


@torch.no_grad()
def evaluate(network: nn.Module, images: cifar10.Images, size: int = 500) -> tuple[float, float]:
    """Mean cross-entropy and accuracy in 0..1, in evaluation mode and float32; the mode is put back.

    Several processes look at every world-th image each and add up what they counted; before, all take
    process 0's running statistics, which are the ones that are saved.
    """
    rank, world = processes()
    if world > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, src=0)
    training = network.training
    network.eval()
    sums = torch.zeros(2, dtype=torch.float64)
    for x, y in zip(images.x[rank::world].split(size), images.y[rank::world].split(size), strict=True):
        output = network(cifar10.normalise(x).contiguous(memory_format=torch.channels_last))
        sums[0] += F.cross_entropy(output, y, reduction="sum").cpu()
        sums[1] += (output.argmax(1) == y).sum().cpu()
    network.train(training)
    loss, right = (added_up(sums) / len(images.y)).tolist()
    return loss, right


@dataclass(frozen=True)
class Settings:
    """What a run is: the same settings give, on a CPU and with as many threads, the same weights.

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
        for name in ("epochs", "batch", "images"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name in ("peak", "weight_decay", "gate_decay"):
            if (value := getattr(self, name)) is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name} must be a finite number and not negative, got {value}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must lie between 0 and 1, got {self.smoothing}")
        if any(not 8 <= size <= 32 for size in self.sizes):
            raise ValueError(f"sizes must lie between 8 and 32 pixels, got {self.sizes}")
        if not math.isfinite(self.beta):
            raise ValueError(f"beta must be a finite number, got {self.beta}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must lie between 0 and 2³¹ - 1, got {self.seed}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")


def side_of(settings: Settings, epoch: int) -> int | None:
    """The images' side in pixels in an epoch, counted from 0: each of `sizes` for an equal share of them."""
    return settings.sizes[epoch * len(settings.sizes) // settings.epochs] if settings.sizes else None


def start_at(network: nn.Module, beta: float) -> None:
    """Set β of each BatchNorm that ends a residual branch, and so z's mean where a gate stands behind it."""
    for block in network.modules():
        if isinstance(block, networks.ResidualBlock) and isinstance(block.branch, nn.Sequential):
            nn.init.constant_(block.branch[-1].get_parameter("bias"), beta)


def grouped(network: nn.Module, settings: Settings) -> list[dict[str, Any]]:
    """Parameters by their weight decay: none for what BatchNorm learns and for biases, gates on their own.

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


SCHEDULES = ("one-cycle", "cosine")


def scheduled(optimizer: torch.optim.Optimizer, settings: Settings, total: int) -> LRScheduler:
    """The learning rate over `total` steps: up to the peak and down to zero, or down from it."""
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total)
    rise = 0.25 if total != 4 else 0.3  # a quarter of 4 steps ends at step 0, and PyTorch divides by it
    return OneCycleLR(optimizer, settings.peak, total_steps=total, pct_start=rise, cycle_momentum=False)


def available(module: str) -> bool:
    """Whether a package that a bare PyTorch machine may lack can be imported."""
    from importlib.util import find_spec

    return find_spec(module) is not None


def replace(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there: whoever reads finds the old one or the new one."""
    beside = path.with_name(path.name + ".part")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def npz_of(tensors: dict[str, Tensor]) -> bytes:
    """What numpy.savez would write; a bare machine may lack NumPy too. float32 and int64 alone."""
    kinds = {torch.float32: "<f4", torch.int64: "<i8"}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, t in tensors.items():
            header = str({"descr": kinds[t.dtype], "fortran_order": False, "shape": tuple(t.shape)})
            header += " " * (-(len(header) + 11) % 64) + "\n"
            start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
            archive.writestr(f"{name}.npy", start + bytes(t.reshape(-1).view(torch.uint8).tolist()))
    return file.getvalue()


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Keep other runs out of a directory until this one ends, be it killed. Raises BlockingIOError.

    On Windows, and where the file system has no locks, nobody is kept out.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    folder = os.open(out, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BlockingIOError(f"another process is training into {out}") from None
        except OSError:
            pass
        yield
    finally:
        os.close(folder)


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
        from safetensors.torch import save

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
        replace(path, save(held(tensors), {"run": json.dumps(rest)}))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises ValueError for a damaged one or one of another run."""
        from safetensors import SafetensorError, safe_open

        weights: dict[str, Tensor] = {}
        state: dict[int, dict[str, Tensor]] = {}
        try:
            with safe_open(path, "pt") as file:
                rest = json.loads(file.metadata()["run"])
                theirs, groups, schedule, log = (rest[k] for k in ("settings", "groups", "schedule", "log"))
                for name in file.keys():
                    tensor = file.get_tensor(name).clone()  # or it stays mapped to a file that is replaced
                    part, _, name = name.partition(".")
                    if part == "network":
                        weights[name] = tensor
                    else:
                        number, _, name = name.partition(".")
                        state.setdefault(int(number), {})[name] = tensor
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no checkpoint of this command, or a damaged one") from error
        now = json.loads(json.dumps(asdict(self.settings)))  # a tuple is a list there
        theirs = (
            json.loads(json.dumps(asdict(Settings()))) | theirs
        )  # one of before a setting came has that setting's default
        if other := [f"{k} {v}, not {now.get(k)}" for k, v in theirs.items() if v != now.get(k)]:
            raise ValueError(f"{path} belongs to another run: {'; '.join(other)}")
        load_weights(self.network, weights, path)
        parameters = (p for group in self.optimizer.param_groups for p in group["params"])
        if {number: {"momentum_buffer": p.shape} for number, p in enumerate(parameters)} != {
            number: {name: t.shape for name, t in tensors.items()} for number, tensors in state.items()
        }:
            raise ValueError(f"{path} holds the optimiser state of another network")
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.schedule.load_state_dict(schedule)
        self.log = log

    def leave(self, out: Path, last: bool) -> None:
        """After an epoch: log.csv and curve.png, after the last one the weights alone, then the checkpoint.

        The checkpoint comes at the end, so that what it says is done is there.
        """
        replace(out / "log.csv", self.table())
        if available("matplotlib"):
            from seblock.plots import training

            replace(out / "curve.png", training.png_of(self.log))
        weights = held(self.network.state_dict())
        if not available("safetensors"):
            if last:
                replace(out / "weights.npz", npz_of(weights))
            return
        if last:
            from safetensors.torch import save

            replace(out / "weights.safetensors", save(weights))
        self.save(out / CHECKPOINT)

    def table(self) -> bytes:
        """The log as CSV, one line an epoch, as a spreadsheet reads it."""
        file = io.StringIO(newline="")
        table = csv.DictWriter(file, fieldnames=list(self.log[0]))
        table.writeheader()
        table.writerows(self.log)
        return file.getvalue().encode()


CHECKPOINT, WEIGHTS = "checkpoint.safetensors", ("weights.safetensors", "weights.npz")


def held(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as safetensors takes them: on the CPU and contiguous."""
    return {name: t.detach().cpu().contiguous() for name, t in tensors.items()}


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


def device_here(settings: Settings) -> torch.device:
    """The GPU of this process, or the CPU. Raises ValueError for a GPU that cannot do what is asked."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number, found = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if number >= found:
        raise ValueError(f"{found} GPUs are too few: each process of a machine takes one")
    torch.cuda.set_device(number)
    if settings.mixed and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError("this GPU has no bfloat16: leave --mixed out")
    return torch.device("cuda", number)


def started(settings: Settings, out: Path, resume: bool, device: torch.device, each_epoch: int) -> Run:
    """A run at its beginning or, with `resume` and a checkpoint, where that was left."""
    checkpoint = out / CHECKPOINT
    for path in (checkpoint, *(out / name for name in WEIGHTS)):
        if path.exists() and not resume:
            raise FileExistsError(f"{path} exists: go on with --resume, or name another --out")
    if checkpoint.exists() and not available("safetensors"):
        raise ValueError(f"{checkpoint} needs safetensors to be read: install it, or name another --out")
    torch.manual_seed(settings.seed)
    network: nn.Module = networks.build(settings.network)
    start_at(network, settings.beta)
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(grouped(network, settings), lr=settings.peak, momentum=0.9, nesterov=True)
    schedule = scheduled(optimizer, settings, settings.epochs * each_epoch)
    here = Run(settings, network, optimizer, schedule, [])
    if checkpoint.exists():
        here.load(checkpoint)
    return here


LEFT_OUT = {
    "tqdm": "no progress bar",
    "matplotlib": "no curve.png",
    "safetensors": "no checkpoint to resume from, and the weights in weights.npz",
}


def run(
    settings: Settings,
    directory: str | Path,
    out: str | Path,
    resume: bool = False,
    download: bool = False,
    bar: bool = True,
    after_epoch: Callable[["Run", cifar10.Images], None] | None = None,
) -> Run:
    """Train on CIFAR-10 in `directory`; leaves checkpoint, log, curve and weights in `out`.

    resume: from the checkpoint in `out`, if there is one. download: fetch the images first, if missing.
    after_epoch: called in process 0 with the run and the test images before the epoch's checkpoint is
    written, so that what it leaves in `out` is there for every epoch that the checkpoint counts.
    Raises OSError, ValueError, `Diverged`, or ImportError for `download` without pooch, each in a sentence.
    """
    out, (rank, world) = Path(out), processes()
    with ExitStack() as until_the_end:
        with together():
            if download and int(os.environ.get("LOCAL_RANK", rank)) == 0:
                cifar10.download(directory)
        with together():
            if settings.batch % world:
                raise ValueError(f"a batch of {settings.batch} cannot be shared evenly by {world} processes")
            device = device_here(settings)
            train = cifar10.load(directory, "train", settings.images)
            test = cifar10.load(directory, "test", settings.images and min(settings.images, 10_000))
            train, test = (
                cifar10.Images(images.x.to(device), images.y.to(device)) for images in (train, test)
            )
            each_epoch = len(train.y) // settings.batch
            if not each_epoch:
                raise ValueError(f"{len(train.y)} images do not fill a batch of {settings.batch}")
            if rank == 0:
                out.mkdir(parents=True, exist_ok=True)
                until_the_end.enter_context(alone(out))
                tempfile.TemporaryFile(dir=out).close()  # better now than after an epoch
            here = started(settings, out, resume, device, each_epoch)
        with together():
            if int(added_up(torch.tensor(len(here.log)))) != world * len(here.log):
                raise ValueError(f"not all processes see the same checkpoint: all must share {out}")
        if rank == 0:
            if missing := [f"{name} ({what})" for name, what in LEFT_OUT.items() if not available(name)]:
                print(f"not installed: {'; '.join(missing)}", flush=True)
            if len(here.log) == settings.epochs:
                print(f"the run in {out} is finished: nothing to do", flush=True)
        learner = nn.parallel.DistributedDataParallel(here.network) if world > 1 else here.network
        if settings.compiled:
            learner = torch.compile(learner)  # type: ignore[assignment]
        loss_of = partial(F.cross_entropy, label_smoothing=settings.smoothing)
        for epoch in range(len(here.log), settings.epochs):
            began = time.perf_counter()
            seed = settings.seed * 100_000 + epoch
            torch.manual_seed(seed)
            seen = batches(train, settings.batch, seed, rank, world, side_of(settings, epoch))
            learning = steps(learner, seen, loss_of, here.optimizer, here.schedule, settings.mixed)
            label = f"epoch {epoch + 1} of {settings.epochs}"
            loss, accuracy = watched(learning, each_epoch, label, shown=bar and rank == 0)
            test_loss, test_accuracy = evaluate(here.network, test)
            if not math.isfinite(test_loss):
                raise Diverged(f"the test loss is {test_loss} after {label}: try a lower --peak")
            row = {
                "epoch": epoch + 1,
                "loss": loss,
                "accuracy": accuracy,
                "test_loss": test_loss,
                "test_accuracy": test_accuracy,
                "seconds": time.perf_counter() - began,
            }
            here.log.append(row)
            with together():
                if rank == 0:
                    if after_epoch:
                        after_epoch(here, test)
                    here.leave(out, last=epoch + 1 == settings.epochs)
                    said = ", ".join(f"{name} {row[name]:.4g}" for name in list(row)[1:])
                    print(f"{label}: {said}", flush=True)
    return here


def depart() -> None:
    """Part from the other processes, where there are any; the last thing that a process does."""
    if processes()[1] > 1:
        dist.destroy_process_group()
        # A thread of Gloo's may just be letting go of a tensor. If Python ends meanwhile, PyTorch aborts
        # the process: "terminate called without an active exception".
        time.sleep(0.5)


def main(arguments: list[str] | None = None) -> None:
    """The command line. Ends with one sentence on stderr, and status 1, for what a user can mend."""
    defaults = Settings()
    parser = argparse.ArgumentParser(prog="python -m seblock.train", description="Train on CIFAR-10.")
    add = parser.add_argument
    add("--data", required=True, help="directory of CIFAR-10's binary version")
    add("--download", action="store_true", help="fetch it into --data (170 MB), if it is not there")
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
    add("--beta", type=float, default=defaults.beta, help="where the BatchNorm at a branch's end starts")
    add("--smoothing", type=float, default=defaults.smoothing, help="label smoothing, 0 to 1")
    add("--sizes", type=int, nargs="+", default=defaults.sizes, help="pixels: each for a share of the epochs")
    add("--compiled", action="store_true", help="torch.compile, which wants a C++ compiler on a CPU")
    add("--mixed", action="store_true", help="bfloat16 where it does no harm, for GPUs and CPUs that have it")
    add("--images", type=int, help="train and test on so many images only, for a short try")
    options = vars(parser.parse_args(arguments))
    directory, out, resume, download = (options.pop(name) for name in ("data", "out", "resume", "download"))
    try:
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
            dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")
        run(
            Settings(**{**options, "sizes": tuple(options["sizes"])}),
            directory,
            out,
            resume,
            download,
            bar=sys.stderr.isatty(),
        )
    except KeyboardInterrupt:
        if processes()[0] == 0:
            print("stopped; --resume goes on after the last whole epoch", file=sys.stderr)
        sys.exit(130)
    except FAILURES as error:
        # At once, because the launcher ends all processes when one has failed. All diverge: one says so.
        if processes()[0] == 0 or not isinstance(error, Diverged):
            print(f"seblock.train: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    finally:
        depart()


if __name__ == "__main__":
    main()
