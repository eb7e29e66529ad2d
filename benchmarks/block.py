"""The SE block beside its peers: time and peak memory, forward (no_grad) and forward + backward.

One table. "to peer": the time as a share of the fastest eager peer's; "from", "up to": where the noise of
this run leaves that share; "to floor": the time as a multiple of what `copy_` takes for the bytes that
must move; "new MB": memory that the system had to clear for a call, on average. "even": the calls after
which the program had as much memory as before them, to 1 MB, with their median and share. A call that takes
memory and leaves it to a later one to give back makes that one pay, whichever block it is. `clone` is a copy
to memory of its own. A line for each of our blocks in each layout sums up. With `--neighbours 2` two other
programs that use PyTorch keep the cores busy while the times are taken.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from statistics import mean, median
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.blocks import ours, peers
from benchmarks.command import make_parser, read_options, result_name
from benchmarks.measure import (
    Row,
    bytes_moved,
    compare,
    fresh_memory,
    interleave,
    peak_memory,
    report,
    resident_memory,
    seconds,
    text,
)
from benchmarks.neighbours import neighbours

JUDGED = [(32, 256, 56, 56), (32, 512, 28, 28), (32, 64, 56, 56), (32, 1024, 14, 14)]
SMALL = [(128, 64, 8, 8), (128, 32, 16, 16), (128, 16, 32, 32), (32, 2048, 7, 7)]
"""(N, C, H, W) behind the stages of SE-ResNet-20 and SE-ResNet-50, and behind the latter's stem."""
MORE_ROUNDS = 4
"""As many times the rounds for the small shapes, whose calls are short and so the noisier."""
FEW = 3
"""With fewer even calls there is no median of them."""
LAYOUTS = {"NCHW": torch.contiguous_format, "channels_last": torch.channels_last}


def forward(block: nn.Module, u: Tensor, _: Tensor) -> Tensor:
    with torch.no_grad():
        return block(u)


def both(block: nn.Module, u: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    """The gradients of u and of all weights, from the gradient g of the block's output."""
    return torch.autograd.grad(block(u), [u, *block.parameters()], g)


PASSES: dict[str, Callable[[nn.Module, Tensor, Tensor], object]]
PASSES = {"forward": forward, "forward + backward": both}


def table(
    shape: tuple[int, ...], layout: str, rounds: int, compiled: bool, busy: int = 0, **to: Any
) -> list[Row]:
    """The rows of one shape and layout, beside `busy` neighbours; `to` is the tensors' device and dtype."""
    torch.manual_seed(0)
    u, g, copy = (torch.randn(shape, **to).to(memory_format=LAYOUTS[layout]) for _ in range(3))
    u.requires_grad_()
    blocks = {name: build(shape[1], 16).to(**to) for name, build in (ours() | peers()).items()}
    if compiled:
        torch.compiler.reset()
        blocks |= {f"{name}, compiled": torch.compile(b, dynamic=False) for name, b in blocks.items()}
    calls: dict[tuple[str, str], Callable[[], object]] = {
        (passes, name): partial(PASSES[passes], blocks[name], u, g)
        for passes, name in product(PASSES, blocks)
    }
    calls["copy", "copy_"] = partial(copy.copy_, u.detach())
    calls["copy", "clone"] = u.detach().clone

    def time(call: Callable[[], object]) -> tuple[float, int, bool]:
        fresh, resident = fresh_memory(), resident_memory()
        took = seconds(call, to["device"])
        return took, fresh_memory() - fresh, abs(resident_memory() - resident) < 1e6

    timed = {name: partial(time, call) for name, call in calls.items()}
    interleave(timed, rounds=3)  # compiles, and lets the allocator settle
    with neighbours(busy):
        returned = interleave(timed, rounds)
    measured = {name: [took for took, _, _ in all_] for name, all_ in returned.items()}
    evenly = {name: [took for took, _, even in all_ if even] for name, all_ in returned.items()}
    copied = median(measured["copy", "copy_"]) / (2 * u.nbytes)  # seconds a byte: u read, the copy written

    rows = []
    for (passes, name), times in measured.items():
        row = {"shape": "×".join(map(str, shape)), "layout": layout, "passes": passes, "block": name}
        row |= {"rounds": rounds, "ms": 1e3 * median(times)}
        row["MB"] = peak_memory(calls[passes, name], to["device"]) / 1e6
        row["new MB"] = mean(new for _, new, _ in returned[passes, name]) / 1e6
        if passes in PASSES:
            fastest = min((measured[passes, peer] for peer in peers()), key=median)
            row |= compare(times, fastest, to="peer")
            row["even"] = len(evenly[passes, name])
            rivals = [evenly[passes, peer] for peer in peers() if len(evenly[passes, peer]) >= FEW]
            if rivals and row["even"] >= FEW:
                row["even ms"] = 1e3 * median(evenly[passes, name])
                row |= compare(evenly[passes, name], min(rivals, key=median), to="peer", of="even ")
            row["to floor"] = median(times) / (copied * bytes_moved(shape, passes, u.itemsize))
        rows.append(row)
    return rows


def summary(rows: list[Row]) -> str:
    """Our blocks' shares of the fastest eager peer's time, forward + backward on the judged shapes.

    Behind each, in brackets, its share in the even calls alone.
    """
    judged = ["×".join(map(str, shape)) for shape in JUDGED]
    kept = [row for row in rows if row["passes"] == "forward + backward" and row["shape"] in judged]
    lines = [f"Of the fastest eager peer's time, forward + backward on {', '.join(judged)}:"]
    for block, layout in product(ours(), LAYOUTS):
        found = [row for row in kept if (row["block"], row["layout"]) == (block, layout)]
        shares = [f"{row['to peer']:.2f} ({text(row.get('even to peer'))})" for row in found]
        lines.append(f"{block}, {layout}: " + ", ".join(shares))
    return "\n".join(lines)


def main() -> None:
    parser = make_parser(__doc__, rounds=50)
    parser.add_argument("--judged", action="store_true", help="the four large shapes alone")
    parser.add_argument("--compiled", action="store_true", help="each block compiled, too")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--neighbours", type=int, default=0, help="other programs at work (default: 0)")
    options = read_options(parser)
    to = {"device": options.device, "dtype": getattr(torch, options.dtype)}
    rows = []
    for shape, layout in product(JUDGED if options.judged else SMALL + JUDGED, LAYOUTS):
        rounds = options.rounds * (MORE_ROUNDS if shape in SMALL else 1)
        rows += table(shape, layout, rounds, options.compiled, options.neighbours, **to)
    settings = {"allocator": options.allocator, "dtype": options.dtype, "neighbours": options.neighbours}
    report(result_name("block", options), rows, **settings)
    print("\n" + summary(rows))


if __name__ == "__main__":
    main()
