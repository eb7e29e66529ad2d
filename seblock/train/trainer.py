"""A whole run on CIFAR-10, from the images on the disk to the weights."""

import math
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from seblock import cifar10, networks
from seblock.train.checkpoint import CHECKPOINT, WEIGHTS, Run, lock_folder
from seblock.train.loop import Diverged, batches, evaluate, steps, train_epoch
from seblock.train.processes import add_up, choose_device, fail_together, get_rank_and_world
from seblock.train.recipe import Settings, choose_side, group_parameters, make_schedule, set_beta


def start_run(settings: Settings, out: Path, resume: bool, device: torch.device, each_epoch: int) -> Run:
    """Start a run of `each_epoch` steps an epoch, or with `resume` go on where its checkpoint was left."""
    checkpoint = out / CHECKPOINT
    for path in (checkpoint, out / WEIGHTS):
        if path.exists() and not resume:
            raise FileExistsError(f"{path} exists: go on with --resume, or name another --out")
    torch.manual_seed(settings.seed)
    network: nn.Module = networks.build(settings.network)
    set_beta(network, settings.beta)
    network = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = group_parameters(network, settings)
    optimizer = torch.optim.SGD(groups, lr=settings.peak, momentum=0.9, nesterov=True)
    schedule = make_schedule(optimizer, settings, settings.epochs * each_epoch)
    here = Run(settings, network, optimizer, schedule, [])
    if checkpoint.exists():
        here.load(checkpoint)
    return here


def run(
    settings: Settings,
    directory: str | Path,
    out: str | Path,
    resume: bool = False,
    download: bool = False,
    bar: bool = True,
    after_epoch: Callable[[Run, cifar10.Images], None] | None = None,
) -> Run:
    """Train on CIFAR-10 in `directory`; leaves checkpoint, log, curve and weights in `out`.

    resume: from the checkpoint in `out`, if there is one. download: fetch the images first, if missing.
    bar: show a progress bar. after_epoch: called in process 0 with the run and the test images before the
    epoch's checkpoint is written, so that what it leaves in `out` is there for every epoch that the
    checkpoint counts. Raises OSError, ValueError or `Diverged`, each in a sentence.
    """
    out, (rank, world) = Path(out), get_rank_and_world()
    with ExitStack() as until_the_end:
        with fail_together():
            if download and int(os.environ.get("LOCAL_RANK", rank)) == 0:
                cifar10.download(directory)
        with fail_together():
            if settings.batch % world:
                raise ValueError(f"a batch of {settings.batch} cannot be shared evenly by {world} processes")
            device = choose_device(settings.mixed)
            train = cifar10.load(directory, "train", settings.images)
            test = cifar10.load(directory, "test", settings.images and min(settings.images, 10_000))
            train, test = (cifar10.Images(each.x.to(device), each.y.to(device)) for each in (train, test))
            each_epoch = len(train.y) // settings.batch
            if not each_epoch:
                raise ValueError(f"{len(train.y)} images do not fill a batch of {settings.batch}")
            if rank == 0:
                out.mkdir(parents=True, exist_ok=True)
                until_the_end.enter_context(lock_folder(out))
                tempfile.TemporaryFile(dir=out).close()  # better now than after an epoch
            here = start_run(settings, out, resume, device, each_epoch)
        with fail_together():
            if int(add_up(torch.tensor(len(here.log)))) != world * len(here.log):
                raise ValueError(f"not all processes see the same checkpoint: all must share {out}")
        if rank == 0 and len(here.log) == settings.epochs:
            print(f"the run in {out} is finished: nothing to do", flush=True)
        learner = nn.parallel.DistributedDataParallel(here.network) if world > 1 else here.network
        if settings.compiled:
            learner = torch.compile(learner)  # type: ignore[assignment]
        loss_of = partial(F.cross_entropy, label_smoothing=settings.smoothing)
        for epoch in range(len(here.log), settings.epochs):
            began = time.perf_counter()
            seed = settings.seed * 100_000 + epoch
            torch.manual_seed(seed)
            seen = batches(train, settings.batch, seed, rank, world, choose_side(settings, epoch))
            learning = steps(learner, seen, loss_of, here.optimizer, here.schedule, settings.mixed)
            label = f"epoch {epoch + 1} of {settings.epochs}"
            loss, accuracy = train_epoch(learning, each_epoch, label, bar and rank == 0)
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
            with fail_together():
                if rank == 0:
                    if after_epoch:
                        after_epoch(here, test)
                    here.write_results(out, last=epoch + 1 == settings.epochs)
                    said = ", ".join(f"{name} {row[name]:.4g}" for name in list(row)[1:])
                    print(f"{label}: {said}", flush=True)
    return here
