"""A training step of SE-ResNet-20 (128 images of 32×32) and SE-ResNet-50 (8 of 224×224), by gate.

A step is forward, backward and SGD with momentum. "to none": the time as a multiple of the network's without
gates; "from", "up to": where the noise of this run leaves it.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.block import LAYOUTS
from benchmarks.blocks import Build, ours, peers
from benchmarks.command import make_parser, read_options, result_name
from benchmarks.measure import Row, compare, interleave, peak_memory, report, seconds
from seblock.networks import Gate, cifar_resnet, imagenet_resnet, small_reduction

NETWORKS: dict[str, tuple[Callable[[Gate], nn.Module], tuple[int, ...], int]] = {
    "ResNet-20": (partial(cifar_resnet, 20), (128, 3, 32, 32), 3),
    "ResNet-50": (partial(imagenet_resnet, 50), (8, 3, 224, 224), 1),
}
"""By name: what builds it from a gate, the images' shape, and how many times `--rounds` it is measured."""


def gate(build: Build) -> Gate:
    """The block with `small_reduction`."""
    return lambda channels: build(channels, small_reduction(channels))


def step(network: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor) -> None:
    """One step of training; leaves no gradients behind."""
    F.cross_entropy(network(images), labels).backward()
    optimizer.step()
    optimizer.zero_grad()


def table(name: str, layout: str, rounds: int, device: str) -> list[Row]:
    """The rows of one network in one layout."""
    torch.manual_seed(0)
    build, shape, more = NETWORKS[name]
    images = torch.randn(shape, device=device).to(memory_format=LAYOUTS[layout])
    labels = torch.randint(10, shape[:1], device=device)
    gates: dict[str, Gate] = {"none": nn.Identity, **{k: gate(b) for k, b in (ours() | peers()).items()}}
    steps = {}
    for label, built in gates.items():
        network = build(built).to(device, memory_format=LAYOUTS[layout])
        optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
        steps[label] = partial(step, network, optimizer, images, labels)
    timed = {label: partial(seconds, call, device) for label, call in steps.items()}
    interleave(timed, rounds=1)
    measured = interleave(timed, more * rounds)
    fastest = min(median(measured[peer]) for peer in peers())
    return [
        {"network": name, "layout": layout, "gate": label, "rounds": len(times)}
        | {"ms": 1e3 * median(times), "MB": peak_memory(steps[label], device) / 1e6}
        | compare(times, measured["none"], to="none")
        | {"to fastest peer": median(times) / fastest}
        for label, times in measured.items()
    ]


def main() -> None:
    options = read_options(make_parser(__doc__, rounds=5))
    rows = []
    for name, layout in product(NETWORKS, LAYOUTS):
        rows += table(name, layout, options.rounds, options.device)
    report(result_name("network", options), rows, allocator=options.allocator)


if __name__ == "__main__":
    main()
