"""The training loop: batches, steps, an epoch, and what a network is worth."""

from collections.abc import Callable, Iterable, Iterator

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from tqdm.auto import tqdm

from seblock import cifar10
from seblock.train.processes import add_up, get_rank_and_world

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
    """Shift each image, and mirror it where asked: (N, C, H, W) -> (N, C, H, W), zeros coming in.

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
    """Yield one epoch of augmented batches in an order that `seed` draws.

    The last, incomplete batch is dropped. side: shrink the images to side × side pixels after shifting them.
    Of each batch of `size` images, process `rank` of `world` gets every world-th. All processes draw the same
    numbers for all images, so together they see what a single process would.
    """
    for drawn in draw_epoch(len(images.y), size, seed):
        yield take_batch(images, drawn[:, rank::world].to(images.x.device), side)


def draw_epoch(total: int, size: int, seed: int) -> Iterator[Tensor]:
    """Draw one epoch of `total` images: for each batch (4, size), image, shifts down and right, mirrored."""
    draw = torch.Generator().manual_seed(seed)
    order = torch.randperm(total, generator=draw)
    for chosen in order.split(size)[: total // size]:
        shifts = torch.randint(2 * PADDING + 1, (2, size), generator=draw)
        mirrored = torch.randint(2, (1, size), generator=draw)
        yield torch.cat([chosen[None], shifts, mirrored])


def take_batch(images: cifar10.Images, drawn: Tensor, side: int | None = None) -> tuple[Tensor, Tensor]:
    """Cut, mirror and normalise what was drawn, (4, n): images (n, 3, H, W), channels last, and classes."""
    x = cifar10.normalise(crop_and_flip(images.x[drawn[0]], drawn[1], drawn[2], drawn[3].bool()))
    if side and side != x.shape[2]:
        x = F.interpolate(x, size=(side, side), mode="area")
    return x.contiguous(memory_format=torch.channels_last), images.y[drawn[0]]


class Diverged(ArithmeticError):
    """The loss is not a number any more, or above `LARGEST_LOSS`."""


LARGEST_LOSS = 1000.0
"""Guessing among ten classes costs ln 10 = 2.3."""


def train_epoch(
    learning: Iterable[tuple[Tensor, Tensor, Tensor]], total: int, label: str, bar: bool = True
) -> tuple[float, float]:
    """Go through an epoch of `steps`: mean cross-entropy and accuracy in 0..1.

    bar: show a progress bar. Several processes add up what they count, so all have to call it. Raises
    `Diverged`, within 20 steps, when the mean cross-entropy is not a number or above `LARGEST_LOSS`.
    """
    sums = torch.zeros(2, dtype=torch.float64)
    means = (0.0, 0.0)
    world = get_rank_and_world()[1]
    with tqdm(total=total, desc=label, leave=False, dynamic_ncols=True, disable=not bar) as progress:
        for count, (loss, output, y) in enumerate(learning, start=1):
            sums = sums.to(loss.device) + torch.stack([loss, (output.argmax(1) == y).float().mean()])
            progress.update()
            if count % 20 == 0 or count == total:
                means = tuple((add_up(sums) / (count * world)).tolist())
                if not means[0] < LARGEST_LOSS:  # nor is nan
                    raise Diverged(
                        f"the loss is {means[0]:.3g} at step {count} of {label}: try a lower --peak"
                    )
                progress.set_postfix(loss=f"{means[0]:.3f}", accuracy=f"{means[1]:.1%}")
    return means


@torch.no_grad()
def evaluate(network: nn.Module, images: cifar10.Images, size: int = 500) -> tuple[float, float]:
    """Measure mean cross-entropy and accuracy in 0..1, in evaluation mode and float32; the mode is put back.

    Several processes look at every world-th image each and add up what they counted; before that, all take
    process 0's running statistics, which are the ones that are saved.
    """
    rank, world = get_rank_and_world()
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
    loss, right = (add_up(sums) / len(images.y)).tolist()
    return loss, right
