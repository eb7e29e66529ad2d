"""What a network costs: parameters, multiply-adds counted in the paper's way, and passes over its maps.

One multiplication with its addition counts as one operation, as in the paper's "GFLOPs"
(2 × 10⁹ floating-point operations by the stricter meaning).
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from seblock import others
from seblock.blocks import ResBlockSqEx, SELayer, SqEx
from seblock.fast import FastSELayer
from seblock.networks import ResidualBlock

ADDING = (ResidualBlock, ResBlockSqEx, others.SCSE, others.GlobalContext)
"""What adds two maps, or a term to each element of one."""
RESCALING = (
    SELayer,  # and CSE with it
    SqEx,
    FastSELayer,
    others.ECA,
    others.EffectiveSE,
    others.CBAMChannel,
    others.CBAMSpatial,
    others.SSE,
    others.GatherExcite,
)
"""What rescales each element once. CBAM holds two of them, and so does SCSE."""


@dataclass(frozen=True)
class Cost:
    """Operations of one pass, by what does them; `total` is all of them."""

    layers: int
    """Multiply-adds of the convolutions and linear layers, the gates' own among them."""
    additions: int
    """One operation for each element of each residual addition, and of each sum in what came after SE."""
    rescales: int
    """One multiplication for each element that a gate rescales."""

    @property
    def total(self) -> int:
        return self.layers + self.additions + self.rescales


def parameters(module: nn.Module) -> int:
    """The number of weights and biases."""
    return sum(p.numel() for p in module.parameters())


def operations(network: nn.Module, size: tuple[int, ...]) -> Cost:
    """The cost of one pass over an input of shape `size`, such as (1, 3, 224, 224).

    Additions are counted in whatever is `ADDING`, rescales in whatever is `RESCALING`, and once in every gate
    of a `ResidualBlock` that holds neither. The network itself is left alone: a copy without data
    (PyTorch's meta device) is what runs, so nothing is computed and little memory needed.
    """
    # Weights become shapes before anything is copied; hooks would see maps without data and stay behind.
    memo: dict[int, object] = {id(b): b.detach().to("meta") for b in network.buffers()}
    memo |= {id(p): nn.Parameter(p.detach().to("meta")) for p in network.parameters()}
    hooks = [d for m in network.modules() for name, d in vars(m).items() if name.endswith("_hooks")]
    memo |= {id(d): type(d)() for d in hooks}
    copied = copy.deepcopy(network, memo).eval()
    elements = {"additions": 0, "rescales": 0}

    def count(module: nn.Module, what: str) -> None:
        def add(_module: nn.Module, _inputs: object, output: torch.Tensor) -> None:
            elements[what] += output.numel()

        module.register_forward_hook(add)

    modules = list(copied.modules())
    placed = {gate for m in modules if isinstance(m, ResidualBlock) for gate in m.gates.values()}
    for module in modules:
        if isinstance(module, ADDING):
            count(module, "additions")
        unknown = module in placed and not any(isinstance(m, RESCALING + ADDING) for m in module.modules())
        if isinstance(module, RESCALING) or (unknown and not isinstance(module, nn.Identity)):
            count(module, "rescales")

    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copied(torch.zeros(size, device="meta"))
    return Cost(layers=counter.get_total_flops() // 2, **elements)


def se_parameters(stages: Iterable[tuple[int, int]], reduction: int = 16) -> int:
    """Eq. 5, (2 / r) Σ_s N_s C_s²: what SE adds to a network, biases left out.

    stages: (N_s, C_s), the blocks of a stage and the channels each puts out.
    Raises ValueError if a C_s is not a multiple of r.
    """
    total = 0
    for blocks, channels in stages:
        if channels % reduction:
            raise ValueError(f"{channels} channels are not a multiple of r = {reduction}")
        total += blocks * 2 * channels * channels // reduction
    return total


class Pass(NamedTuple):
    """An operation that goes through whole maps, and how many of them it reads and writes."""

    operation: str
    reads: int
    writes: int


def passes(block: nn.Module, u: Tensor) -> list[Pass]:
    """What a call of the block and its backward pass move, counted in tensors of u's size.

    u: (N, C, H, W) and larger than every other tensor of the block. A view moves nothing, and a number that
    stands for a whole map is no map.
    """
    counter = _Passes(u)
    u = u.detach().clone().requires_grad_()
    g = torch.randn_like(u)
    with counter:
        torch.autograd.grad(block(u), [u, *block.parameters()], g)
    return counter.found


class _Passes(TorchDispatchMode):
    """Looks at every operation that runs within it."""

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.bytes = like.numel() * like.element_size()
        self.found: list[Pass] = []

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        output = operation(*args, **(kwargs or {}))
        if not operation.is_view:
            moved = Pass(operation.__name__.split(".")[0], self.maps(args), self.maps(output))
            if moved.reads or moved.writes:
                self.found.append(moved)
        return output

    def maps(self, tensors: Any) -> int:
        """How many different pieces of memory as large as the map are among them."""
        found = [t for t in tree_leaves(tensors) if isinstance(t, Tensor)]
        return len({t.data_ptr() for t in found if t.untyped_storage().nbytes() >= self.bytes})
