"""Several processes that train one network: which one this is, how they add up, and how they end together."""

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

FAILURES = (OSError, ValueError, ArithmeticError, ImportError)
"""What ends a run with a sentence instead of a traceback."""


def get_rank_and_world() -> tuple[int, int]:
    """Which process this is, from 0, and how many train together: 0 and 1 where there is one alone."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def join_group() -> None:
    """Meet the other processes that PyTorch's launcher started; nothing, where it started one or none."""
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        on_gpus = torch.cuda.is_available() and dist.is_nccl_available()
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpus else "gloo")


def leave_group() -> None:
    """Part from the other processes, where there are any; the last thing that a process does."""
    if get_rank_and_world()[1] > 1:
        dist.destroy_process_group()
        # A thread of Gloo's may just be letting go of a tensor. If Python ends meanwhile, PyTorch aborts
        # the process: "terminate called without an active exception".
        time.sleep(0.5)


@contextmanager
def fail_together() -> Iterator[None]:
    """End all processes if one fails: the first that failed raises its error, the others raise SystemExit."""
    rank, world = get_rank_and_world()
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


def add_up(sums: Tensor) -> Tensor:
    """Add the sums of all processes; the result is a copy, on the CPU."""
    sums = sums.cpu().clone()
    if get_rank_and_world()[1] > 1:
        dist.all_reduce(sums)
    return sums


def choose_device(mixed: bool) -> torch.device:
    """Take the GPU of this process, or the CPU. Raises ValueError for a GPU that cannot do what is asked."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    number, found = int(os.environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
    if number >= found:
        raise ValueError(f"{found} GPUs are too few: each process of a machine takes one")
    torch.cuda.set_device(number)
    if mixed and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError("this GPU has no bfloat16: leave --mixed out")
    return torch.device("cuda", number)


def cpu_has_bfloat16() -> bool:
    """Whether the CPU has instructions for bfloat16; where it has none, PyTorch emulates them, slowly."""
    if not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()):
        return False
    if platform.machine().lower() in ("x86_64", "amd64"):  # where AVX-512 alone is called support too
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return True
