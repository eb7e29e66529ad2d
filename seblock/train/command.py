"""The command line: python -m seblock.train --help."""

import argparse
import sys
from pathlib import Path

import torch

from seblock.train.loop import Diverged
from seblock.train.processes import (
    FAILURES,
    cpu_has_bfloat16,
    get_rank_and_world,
    join_group,
    leave_group,
)
from seblock.train.recipe import SCHEDULES, Settings
from seblock.train.trainer import run


def main(arguments: list[str] | None = None) -> None:
    """Run the command. Ends with one sentence on stderr, and status 1, for what a user can mend."""
    options = vars(make_parser().parse_args(arguments))
    directory, out, resume, download = (options.pop(name) for name in ("data", "out", "resume", "download"))
    try:
        join_group()
        settings = Settings(**options)
        if settings.mixed and get_rank_and_world()[0] == 0:
            if not torch.cuda.is_available() and not cpu_has_bfloat16():
                print("--mixed is slower here: this CPU has no bfloat16, which is emulated", file=sys.stderr)
        run(settings, directory, out, resume, download, bar=sys.stderr.isatty())
    except KeyboardInterrupt:
        if get_rank_and_world()[0] == 0:
            print("stopped; --resume goes on after the last whole epoch", file=sys.stderr)
        sys.exit(130)
    except FAILURES as error:
        # At once, because the launcher ends all processes when one has failed. All diverge: one says so.
        if get_rank_and_world()[0] == 0 or not isinstance(error, Diverged):
            print(f"seblock.train: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    finally:
        leave_group()


def make_parser() -> argparse.ArgumentParser:
    """Describe the options: those of `Settings` by the same names, and where things are."""
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
    add("--gate-decay", type=float, help="weight decay of the gates' own weights, if another")
    add("--beta", type=float, default=defaults.beta, help="where the BatchNorm at a branch's end starts")
    add("--smoothing", type=float, default=defaults.smoothing, help="label smoothing, 0 to 1")
    add("--sizes", type=int, nargs="+", default=defaults.sizes, help="pixels, each for a share of the epochs")
    add("--compiled", action="store_true", help="torch.compile, which wants a C++ compiler on a CPU")
    add("--mixed", action="store_true", help="bfloat16 where it does no harm, for GPUs and CPUs that have it")
    add("--images", type=int, help="train and test on so many images only, for a short try")
    return parser
