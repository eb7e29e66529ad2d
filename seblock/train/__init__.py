"""Training on CIFAR-10: one loop, and the command around it, python -m seblock.train --help.

processes   several processes: which one this is, how they add up and end together
loop        batches, steps, an epoch, evaluation
recipe      Settings, and what they mean for parameters, learning rate and image size
checkpoint  a run, and its files
trainer     a whole run: `run`
lanes       many runs at once on a GPU, each step a CUDA graph
command     the command line

One process, or several under PyTorch's launcher, with the same options:
torchrun --nproc-per-node 2 -m seblock.train …
Each batch is then shared out and the gradients are averaged. That is the step that one process would make,
but for BatchNorm: in training mode it normalises with the mean and variance of its process' share, not of the
batch. (nn.SyncBatchNorm takes those of all processes, on GPUs only.) The running statistics that are
evaluated and saved are process 0's.
"""

from seblock.moved import hand_on
from seblock.train.checkpoint import CHECKPOINT, WEIGHTS, Run, load_weights
from seblock.train.command import main
from seblock.train.loop import (
    LARGEST_LOSS,
    PADDING,
    Diverged,
    Loss,
    batches,
    crop_and_flip,
    evaluate,
    steps,
    train_epoch,
)
from seblock.train.recipe import SCHEDULES, Settings, group_parameters, make_schedule, set_beta
from seblock.train.trainer import run, start_run

__all__ = [
    "CHECKPOINT",
    "LARGEST_LOSS",
    "PADDING",
    "SCHEDULES",
    "WEIGHTS",
    "Diverged",
    "Loss",
    "Run",
    "Settings",
    "batches",
    "crop_and_flip",
    "evaluate",
    "group_parameters",
    "load_weights",
    "main",
    "make_schedule",
    "run",
    "set_beta",
    "start_run",
    "steps",
    "train_epoch",
]

__getattr__ = hand_on(
    __name__,
    {
        "FAILURES": "seblock.train.processes.FAILURES",
        "together": "seblock.train.processes.fail_together",
        "added_up": "seblock.train.processes.add_up",
        "depart": "seblock.train.processes.leave_group",
        "watched": "seblock.train.train_epoch",
        "side_of": "seblock.train.recipe.choose_side",
        "start_at": "seblock.train.set_beta",
        "grouped": "seblock.train.group_parameters",
        "scheduled": "seblock.train.make_schedule",
        "replace": "seblock.train.checkpoint.write_file",
        "alone": "seblock.train.checkpoint.lock_folder",
        "held": "seblock.train.checkpoint.make_savable",
        "started": "seblock.train.start_run",
    },
)
