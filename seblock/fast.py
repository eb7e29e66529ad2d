"""The SE block with its backward pass written by hand; `seblock.convert` puts it into a trained network.

With g = ∂L/∂x̃, (N, C, H, W), and ⊙ the product element by element (notebook 08 derives them, without biases):

    ∂L/∂s = Σ_ij g ⊙ u                          (N, C)
    ∂L/∂a₂ = ∂L/∂s ⊙ s ⊙ (1 − s)                (N, C)      a₂ = W₂ h + b₂,  s = σ(a₂)
    ∂L/∂W₂ = (∂L/∂a₂)ᵀ h,  ∂L/∂b₂ = Σ_n ∂L/∂a₂   (C, C/r), (C,)
    ∂L/∂a₁ = (∂L/∂a₂ W₂) ⊙ [h > 0]              (N, C/r)    a₁ = W₁ z + b₁,  h = δ(a₁)
    ∂L/∂W₁ = (∂L/∂a₁)ᵀ z,  ∂L/∂b₁ = Σ_n ∂L/∂a₁   (C/r, C), (C/r,)
    ∂L/∂z = ∂L/∂a₁ W₁                           (N, C)
    ∂L/∂u = s ⊙ g + ∂L/∂z / (H · W)             (N, C, H, W)
"""

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.fx import Proxy

from seblock.blocks import excitation
from seblock.functional import excite, expect_maps, rescale, squeeze
from seblock.moved import hand_on

Layer = nn.Linear | nn.Conv2d
"""The convolution being 1×1."""


class FastSELayer(nn.Module):
    """x̃ = s · u with s = σ(W₂ δ(W₁ z + b₁) + b₂): (N, C, H, W) -> (N, C, H, W), in few passes over memory.

    channel: C. reduction: r; the hidden layer has ⌊C / r⌋ units. bias: whether there are b₁ and b₂.
    State dict: `SELayer`'s, `fc.0.weight` and `fc.2.weight`, and with biases `fc.0.bias` and `fc.2.bias`.
    Results and gradients are `SELayer`'s up to rounding; second derivatives are autograd's, taken of the
    formulas above. torch.compile, export, torch.func and forward-mode derivatives get the readable
    functions instead, and a part of `fc` that has hooks, or that something else was put in the place of, is
    called as it is. Raises ValueError as `SELayer` does.
    """

    def __init__(self, channel: int, reduction: int = 16, bias: bool = False) -> None:
        super().__init__()
        self.channel = channel
        self.fc = excitation(channel, reduction, bias)

    @classmethod
    def around(cls, first: Layer, second: Layer) -> "FastSELayer":
        """The block that computes with two layers that exist already, C -> C/r -> C."""
        with torch.device("meta"):  # no memory for weights that are replaced at once
            layer = cls(first.weight.shape[1], reduction=1)
        layer.fc[0], layer.fc[2] = first, second
        return layer

    def __call__(self, *maps: Tensor, **named: Tensor) -> Tensor:
        """Take the maps by any name: the gate that stood here may have called them otherwise."""
        output: Tensor = super().__call__(*maps, *named.values())
        return output

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channel)
        if torch.jit.is_scripting():  # type: ignore[attr-defined]
            z = squeeze(x)
            if self.fc[0].weight.dim() == 4:  # type: ignore[operator]
                z = z[:, :, None, None]
            return rescale(x, self.fc(z).flatten(1))
        return self._compute(x)

    @torch.jit.unused
    def _compute(self, x: Tensor) -> Tensor:
        """What TorchScript does not read."""
        fc: Any = self.fc
        if not _is_as_built(fc) or isinstance(x, Proxy):  # torch.fx traces what can be read
            z = squeeze(x)
            return rescale(x, fc(z[:, :, None, None] if isinstance(fc[0], nn.Conv2d) else z).flatten(1))
        first, _, second, _ = fc
        # Flattened, as a 1×1 convolution holds (C/r, C, 1, 1).
        weights: Any = (first.weight.flatten(1), first.bias, second.weight.flatten(1), second.bias)
        if not _is_ordinary(x, *weights):
            w1, b1, w2, b2 = weights
            return rescale(x, excite(squeeze(x), w1, w2, b1, b2))
        if _is_autocast_on(x):
            dtype = torch.get_autocast_dtype(x.device.type)
            weights = tuple(None if w is None else w.to(dtype) for w in weights)
        if not torch.is_grad_enabled():
            return rescale(x, _gates(x, *weights)[2])
        output: Tensor = _Block.apply(x, *weights)
        return output


def _is_as_built(fc: nn.Sequential) -> bool:
    """Whether it is layer, ReLU, layer, sigmoid, plain and without hooks: then the weights tell all."""
    parts = (*fc._modules.values(),)
    return (
        len(parts) == 4
        and type(parts[1]) is nn.ReLU
        and type(parts[3]) is nn.Sigmoid
        and is_linear(parts[0])
        and is_linear(parts[2])
        and not any(map(has_hooks, (fc, *parts)))
    )


def is_linear(layer: nn.Module) -> TypeGuard[Layer]:
    """Whether it is a linear layer, or a convolution that is one at each position."""
    if type(layer) is nn.Conv2d:
        same = layer.kernel_size == layer.stride == (1, 1) and layer.padding in (0, (0, 0), "valid")
        return same and layer.groups == 1
    return type(layer) is nn.Linear


def has_hooks(module: nn.Module) -> bool:
    """Whether something is to be called when the module is, forward or backward."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def _is_autocast_on(x: Tensor) -> bool:
    """Whether autocast holds for tensors such as x; a device may have none, meta for one."""
    device = x.device.type
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _is_ordinary(x: Tensor, *weights: Tensor | None) -> bool:
    """Whether nothing but a plain call, and perhaps a plain backward pass, is asked for."""
    tensors = [t for t in (x, *weights) if t is not None]
    types = {t.dtype for t in tensors}
    if _is_autocast_on(x):
        types_fit = torch.float64 not in types  # which autocast leaves alone
    else:
        types_fit = len(types) == 1  # if not, PyTorch has an error to raise
    return types_fit and not (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()  # type: ignore[attr-defined]
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
    )


class _Block(torch.autograd.Function):
    """(N, C, H, W), W₁ (C/r, C), b₁ (C/r,) or None, W₂ (C, C/r), b₂ (C,) or None -> (N, C, H, W)."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None) -> Tensor:
        z, h, s = _gates(u, w1, b1, w2, b2)
        ctx.save_for_backward(u, w1, b1, w2, b2, z, h, s)
        return rescale(u, s)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        u, w1, b1, w2, b2, z, h, s = ctx.saved_tensors
        if torch.is_grad_enabled() or _is_batched(g):  # differentiated again, or many gradients at once
            z, h, s = _gates(u, w1, b1, w2, b2)  # again, as functions of u and the weights
            go_over_maps = _over_any_maps
        elif _maps_are_rows(u) and _maps_are_rows(g):
            go_over_maps = _over_rows
        else:
            go_over_maps = _over_product
        grad_s, finish = go_over_maps(g, u)
        grad_z, *grads = _excite_backward(grad_s.to(s.dtype), w1, w2, z, h, s, ctx.needs_input_grad)
        grad_u = None
        if grad_z is not None:
            grad_u = finish(s, (grad_z / (u.shape[2] * u.shape[3])).to(u.dtype))
        return grad_u, *grads


def _excite_backward(
    grad_s: Tensor, w1: Tensor, w2: Tensor, z: Tensor, h: Tensor, s: Tensor, wanted: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    """∂L/∂z, ∂L/∂W₁, ∂L/∂b₁, ∂L/∂W₂ and ∂L/∂b₂ from ∂L/∂s, (N, C): each that is wanted, None for others."""
    for_z, for_w1, for_b1, for_w2, for_b2 = wanted
    grad_a2 = grad_s * (1 - s) * s
    grad_w2 = grad_a2.T @ h if for_w2 else None
    grad_b2 = grad_a2.sum(0) if for_b2 else None
    if not (for_z or for_w1 or for_b1):
        return None, None, None, grad_w2, grad_b2
    grad_a1 = (grad_a2 @ w2).masked_fill(h <= 0, 0)
    grad_w1 = grad_a1.T @ z if for_w1 else None
    grad_b1 = grad_a1.sum(0) if for_b1 else None
    return grad_a1 @ w1 if for_z else None, grad_w1, grad_b1, grad_w2, grad_b2


# The two passes over the maps, one function for each way in which they may lie in memory: g and u,
# (N, C, H, W), give ∂L/∂s = Σ_ij g ⊙ u, (N, C), and a function that makes ∂L/∂u of s and ∂L/∂z / (H · W).

Finish = Callable[[Tensor, Tensor], Tensor]


def _over_any_maps(g: Tensor, u: Tensor) -> tuple[Tensor, Finish]:
    """The formulas as they stand, which autograd can differentiate again."""
    return (u * g).sum((2, 3)), lambda s, shift: rescale(g, s) + shift[:, :, None, None]


def _over_rows(g: Tensor, u: Tensor) -> tuple[Tensor, Finish]:
    """Every map in one piece: all maps at once."""
    return _sum_product(g, u), lambda s, shift: _scale_and_shift(g, s.to(u.dtype), shift)


def _over_product(g: Tensor, u: Tensor) -> tuple[Tensor, Finish]:
    """Any other maps: g ⊙ u is stored, and ∂L/∂u takes its memory, as fresh memory costs more than sums.

    In channels_last BatchNorm's kernels could add up each image without storing it. But between two calls
    all threads wait for the last of them, and where other programs keep the cores busy that takes longer
    than a pass over memory does: few calls on the whole batch are what a shared machine needs.
    """
    product = u * g
    if product.dtype is torch.float16:  # whose smallest numbers hold sums, but no means
        sums = product.sum((2, 3))
    else:
        sums = _mean(product) * (u.shape[2] * u.shape[3])
    out = product if type(product) is Tensor else None
    return sums, lambda s, shift: torch.addcmul(shift[:, :, None, None], g, s[:, :, None, None], out=out)


def _is_batched(g: Tensor) -> bool:
    """Whether g stands for many gradients at once, as in torch.vmap and with `is_grads_batched`."""
    return torch._C._functorch.is_batchedtensor(g) or torch._C._functorch.is_legacy_batchedtensor(g)


def _gates(
    u: Tensor, w1: Tensor, b1: Tensor | None, w2: Tensor, b2: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """z (N, C), h (N, C/r) and s (N, C), in the type of the weights."""
    z = _mean(u).to(w1.dtype)
    h = F.relu(F.linear(z, w1, b1))
    return z, h, torch.sigmoid(F.linear(h, w2, b2))


# A BatchNorm in evaluation, with mean 0 and variance 1, is y = w x + b for each channel, and ∂L/∂w = Σ g x.
# Its CPU kernels are the sums and products needed here, in one pass over memory: every map in NCHW is taken
# for a channel.


def _maps_are_rows(u: Tensor) -> bool:
    """Whether every map lies in one piece, BatchNorm's kernels are made for u, and sum it exactly."""
    exact = 0 < u.shape[2] * u.shape[3] <= 512 * 512
    made = type(u) in (Tensor, nn.Parameter) and u.device.type == "cpu" and u.is_contiguous()
    return made and u.dtype in (torch.float32, torch.float64) and exact and u.numel() > 0


def _sum_product(g: Tensor, u: Tensor) -> Tensor:
    """Σ_ij g ⊙ u: (N, C, H, W) twice -> (N, C)."""
    channels = len(u) * u.shape[1]
    mean, variance = torch.zeros(channels, dtype=u.dtype), torch.ones(channels, dtype=u.dtype)
    wanted = [False, True, False]  # the gradient of w alone
    sums: Tensor = torch.ops.aten.native_batch_norm_backward(
        g.flatten(0, 1)[None], u.flatten(0, 1)[None], None, mean, variance, None, None, False, 0.0, wanted
    )[1]
    return sums.view(u.shape[:2])


def _scale_and_shift(g: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """scale ⊙ g + shift: (N, C, H, W), (N, C), (N, C) -> (N, C, H, W)."""
    mean, variance = torch.zeros_like(scale).flatten(), torch.ones_like(scale).flatten()
    weights = (scale.flatten(), shift.flatten())
    y: Tensor = torch.ops.aten.native_batch_norm(
        g.flatten(0, 1)[None], *weights, mean, variance, training=False, momentum=0.0, eps=0.0
    )[0]
    return y.view_as(g)


LONG = 4096
"""How many numbers of a channel in channels_last are added one by one, at most about: more is not exact."""


def _mean(u: Tensor) -> Tensor:
    """The mean of each map, (N, C, H, W) -> (N, C), the way that was fastest on a CPU."""
    in_channels_last = u.is_contiguous(memory_format=torch.channels_last) and not u.is_contiguous()
    if in_channels_last and u.device.type == "cpu" and u.numel() > 0 and u.shape[1] >= 64:
        if u.shape[2] * u.shape[3] <= LONG:
            return F.avg_pool2d(u, u.shape[2:]).flatten(1)
        return F.avg_pool2d(u, (1, u.shape[3])).mean((2, 3))
    return squeeze(u)


__getattr__ = hand_on(
    __name__, {"convert": "seblock.convert.to_fast", "Conversion": "seblock.convert.Conversion"}
)
