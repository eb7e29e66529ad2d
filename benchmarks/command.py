"""The options that the benchmarks of blocks share, and the allocator that they run under."""

import argparse
import ctypes.util
import os
import platform
import subprocess
import sys
from pathlib import Path

ALLOCATORS = ["default", "tuned", "jemalloc"]
"""The system's as it is; glibc's told to keep what was freed, not to ask for fresh memory; jemalloc."""
VARIABLES = ["LD_PRELOAD", "MALLOC_MMAP_MAX_", "MALLOC_TRIM_THRESHOLD_"]


def make_parser(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """Make a parser with `--rounds`, `--allocator` and `--device`; `doc` is the help's first part."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=rounds, help=f"calls of each (default: {rounds})")
    parser.add_argument("--allocator", choices=ALLOCATORS, default="default")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    return parser


def environment(allocator: str) -> dict[str, str] | None:
    """The variables that give a process this allocator; None where it can't be had."""
    if allocator == "default":
        return {}
    if allocator == "tuned":
        keep = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
        return keep if platform.libc_ver()[0] == "glibc" else None
    folders = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    found = [
        str(file) for folder in folders if folder for file in sorted(Path(folder).glob("libjemalloc.so*"))
    ]
    library = found[0] if found else ctypes.util.find_library("jemalloc")
    return {"LD_PRELOAD": library} if library and sys.platform == "linux" else None


def read_options(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Read the command's options, in a process that has the allocator they name.

    A process without it runs the command again with it, and leaves; where the allocator can't be had, it
    says so and leaves.
    """
    options = parser.parse_args()
    wanted = environment(options.allocator)
    if wanted is None:
        print(f"Skipped: no {'glibc' if options.allocator == 'tuned' else 'libjemalloc'} was found.")
        raise SystemExit
    if {name: os.environ[name] for name in VARIABLES if name in os.environ} != wanted:
        others = {name: value for name, value in os.environ.items() if name not in VARIABLES}
        command = [sys.executable, *sys.orig_argv[1:]]
        raise SystemExit(subprocess.call(command, env=others | wanted))
    return options


def result_name(name: str, options: argparse.Namespace) -> str:
    """The table's name, with the options that are not the usual ones: "block_tuned", "block_2_neighbours"."""
    chosen = [options.allocator, options.device, getattr(options, "dtype", "float32")]
    unusual = [option for option in chosen if option not in ("default", "cpu", "float32")]
    if getattr(options, "compiled", False):
        unusual.append("compiled")
    if busy := getattr(options, "neighbours", 0):
        unusual.append(f"{busy}_neighbours")
    return "_".join([name, *unusual])
