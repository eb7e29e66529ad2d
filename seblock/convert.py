"""The SE block with its backward pass written by hand, and the way to put it into a trained network.

With g = ∂L/∂x̃, (N, C, H, W), and ⊙ the product element by element (notebook 08 derives them, without biases):

    ∂L/∂s = Σ_ij g ⊙ u                          (N, C)
    ∂L/∂a₂ = ∂L/∂s ⊙ s ⊙ (1 − s)                (N, C)      a₂ = W₂ h + b₂,  s = σ(a₂)
    ∂L/∂W₂ = (∂L/∂a₂)ᵀ h,  ∂L/∂b₂ = Σ_n ∂L/∂a₂   (C, C/r), (C,)
    ∂L/∂a₁ = (∂L/∂a₂ W₂) ⊙ [h > 0]              (N, C/r)    a₁ = W₁ z + b₁,  h = δ(a₁)
    ∂L/∂W₁ = (∂L/∂a₁)ᵀ z,  ∂L/∂b₁ = Σ_n ∂L/∂a₁   (C/r, C), (C/r,)
    ∂L/∂z = ∂L/∂a₁ W₁                           (N, C)
    ∂L/∂u = s ⊙ g + ∂L/∂z / (H · W)             (N, C, H, W)
"""

import copy
import inspect
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import forward_ad

from seblock.blocks import excitation
from seblock.functional import excite, expect_maps, rescale, squeeze
from seblock.gates import cuda_devices, evaluating, is_gate

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

    def forward(self, x: Tensor) -> Tensor:
        expect_maps(x, self.channel)
        fc: Any = self.fc
        if not _is_as_built(fc):
            z = squeeze(x)
            return rescale(x, fc(z[:, :, None, None] if isinstance(fc[0], nn.Conv2d) else z).flatten(1))
        first, _, second, _ = fc
        # Flattened, as a 1×1 convolution holds (C/r, C, 1, 1).
        weights: Any = (first.weight.flatten(1), first.bias, second.weight.flatten(1), second.bias)
        if not _is_ordinary(x, *weights):
            w1, b1, w2, b2 = weights
            return rescale(x, excite(squeeze(x), w1, w2, b1, b2))
        if _autocast(x):
            kind = torch.get_autocast_dtype(x.device.type)
            weights = tuple(None if w is None else w.to(kind) for w in weights)
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
        and _is_linear(parts[0])
        and _is_linear(parts[2])
        and not any(map(_hooks, (fc, *parts)))
    )


def _hooks(module: nn.Module) -> bool:
    """Whether something is to be called when the module is, forward or backward."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def _autocast(x: Tensor) -> bool:
    """Whether autocast holds for tensors such as x; a device may have none, meta for one."""
    kind = x.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def _is_ordinary(x: Tensor, *weights: Tensor | None) -> bool:
    """Whether nothing but a plain call, and perhaps a plain backward pass, is asked for."""
    tensors = [t for t in (x, *weights) if t is not None]
    types = {t.dtype for t in tensors}
    if _autocast(x):
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
        of_u, of_w1, of_b1, of_w2, of_b2 = ctx.needs_input_grad
        size = u.shape[2] * u.shape[3]
        # False where this gradient will be differentiated again, or many are taken at once.
        plain = not (torch.is_grad_enabled() or _is_batched(g))
        if not plain:
            z, h, s = _gates(u, w1, b1, w2, b2)  # again, as functions of u and the weights
        grad_u = grad_w1 = grad_b1 = grad_w2 = grad_b2 = None

        rows = plain and _maps_are_rows(u) and _maps_are_rows(g)
        product = None
        if rows:
            (grad_s,) = _sums_of_products([(g.flatten(0, 1)[None], u.flatten(0, 1)[None])])
            grad_s = grad_s.view(s.shape)
        elif plain and _images_are_columns(u) and _images_are_columns(g):
            grad_s = _sums_by_bands(g, u)
        else:
            product = u * g
            if plain and product.dtype is not torch.float16:  # whose smallest numbers hold sums, but no means
                grad_s = _mean(product) * size
            else:
                grad_s = product.sum((2, 3))
        grad_s = grad_s.to(s.dtype)
        grad_a2 = grad_s * (1 - s) * s
        if of_w2:
            grad_w2 = grad_a2.T @ h
        if of_b2:
            grad_b2 = grad_a2.sum(0)
        if of_u or of_w1 or of_b1:
            grad_a1 = (grad_a2 @ w2).masked_fill(h <= 0, 0)
        if of_w1:
            grad_w1 = grad_a1.T @ z
        if of_b1:
            grad_b1 = grad_a1.sum(0)
        if of_u:
            grad_z = (grad_a1 @ w1 / size).to(u.dtype)
            if rows:
                grad_u = _scaled_and_shifted(g, s.to(u.dtype), grad_z)
            elif plain:  # in the product's memory if there is one, as fresh memory costs more than arithmetic
                out = product if type(product) is Tensor else None
                grad_u = torch.addcmul(grad_z[:, :, None, None], g, s[:, :, None, None], out=out)
            else:
                grad_u = rescale(g, s) + grad_z[:, :, None, None]
        return grad_u, grad_w1, grad_b1, grad_w2, grad_b2


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
# Its CPU kernels are the sums and products needed here, in one pass over memory. In NCHW every map is taken
# for a channel; in channels_last, where an image's channels lie side by side, each image goes alone.


LONG = 4096
"""How many numbers of a channel in channels_last are added one by one, at most about: more is not exact."""


def _maps_are_rows(u: Tensor) -> bool:
    """Whether every map lies in one piece."""
    return _suits_batch_norm(u) and u.is_contiguous()


def _images_are_columns(u: Tensor) -> bool:
    """Whether u is in channels_last, and its images are large enough to be worth a call each."""
    return _suits_batch_norm(u) and _channels_last(u) and u[0].numel() >= 150_000


def _suits_batch_norm(u: Tensor) -> bool:
    """Whether BatchNorm's kernels are made for u, and no sum is too long for them to be exact."""
    exact = 0 < u.shape[2] * u.shape[3] <= 512 * 512
    made = type(u) in (Tensor, nn.Parameter) and u.device.type == "cpu"
    return made and u.dtype in (torch.float32, torch.float64) and exact and u.numel() > 0


def _channels_last(u: Tensor) -> bool:
    return u.is_contiguous(memory_format=torch.channels_last) and not u.is_contiguous()


def _sums_of_products(images: list[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Σ_ij g ⊙ u for each channel of each image g, u: (1, C, H, W) twice -> (C,)."""
    channels, kind = images[0][0].shape[1], images[0][0].dtype
    mean, variance = torch.zeros(channels, dtype=kind), torch.ones(channels, dtype=kind)
    wanted = [False, True, False]  # the gradient of w alone
    backward = torch.ops.aten.native_batch_norm_backward
    return [backward(g, u, None, mean, variance, None, None, False, 0.0, wanted)[1] for g, u in images]


def _sums_by_bands(g: Tensor, u: Tensor) -> Tensor:
    """Σ_ij g ⊙ u in channels_last, (N, C, H, W) twice -> (N, C): of a large image some rows at a time."""
    images = list(zip(g.split(1), u.split(1), strict=True))
    rows = -(-LONG // u.shape[3])
    if u.shape[2] <= rows:
        return torch.stack(_sums_of_products(images))
    bands = [list(zip(a.split(rows, 2), b.split(rows, 2), strict=True)) for a, b in images]
    return torch.stack([torch.stack(_sums_of_products(image)).sum(0) for image in bands])


def _scaled_and_shifted(g: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """scale ⊙ g + shift: (N, C, H, W), (N, C), (N, C) -> (N, C, H, W)."""
    mean, variance = torch.zeros_like(scale).flatten(), torch.ones_like(scale).flatten()
    weights = (scale.flatten(), shift.flatten())
    y: Tensor = torch.ops.aten.native_batch_norm(
        g.flatten(0, 1)[None], *weights, mean, variance, training=False, momentum=0.0, eps=0.0
    )[0]
    return y.view_as(g)


def _mean(u: Tensor) -> Tensor:
    """The mean of each map, (N, C, H, W) -> (N, C), the way that was fastest on a CPU."""
    if _channels_last(u) and u.device.type == "cpu" and u.numel() > 0 and u.shape[1] >= 64:
        if u.shape[2] * u.shape[3] <= LONG:
            return F.avg_pool2d(u, u.shape[2:]).flatten(1)
        return F.avg_pool2d(u, (1, u.shape[3])).mean((2, 3))
    return squeeze(u)


class Conversion:
    """What `convert` did to a model, and the way back."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.replaced: dict[str, nn.Module] = {}
        """The modules that stood there before, by name."""
        self.left: dict[str, str] = {}
        """The reason why a gate was left as it is, by name."""
        self._put: dict[str, tuple[FastSELayer, tuple[Layer, Layer]]] = {}

    def undo(self) -> None:
        """Put every module back. What was learned meanwhile stays, as the layers are the same.

        Where the model holds something else by now, or other layers, that stays; `left` tells. Hooks on a
        FastSELayer go with it.
        """
        there = dict(self.model.named_modules(remove_duplicate=False))
        for name, module in self.replaced.items():
            fast, layers = self._put[name]
            if there.get(name) is not fast or tuple(fast.fc._modules.values())[::2] != layers:
                self.left[name] = "it was changed after it had been replaced"
                continue
            module.train(fast.training)
            self.model.set_submodule(name, module)
        self.replaced, self._put = {}, {}


def convert(model: nn.Module) -> Conversion:
    """Put a FastSELayer in the place of every gate of `model` that it reproduces; say why of the others.

    It reproduces mean, linear layer or 1×1 convolution, ReLU, a second such layer, sigmoid, product.
    Whether a module is one is tried: given random weights, outputs and all gradients have to agree, in
    training and in evaluation. The new module computes with the very same two layers, so optimisers go on;
    names in the state dict become FastSELayer's, until `undo`. Other gates are known as in `gates.find`,
    their number of channels guessed from their first parameter. The model is changed in place, and its
    modules are called to try them, hooks and observers with them. The new module takes (N, C, H, W) alone.
    """
    done = Conversion(model)
    fast_of: dict[nn.Module, FastSELayer] = {}
    names: list[str] = []
    with torch.inference_mode(False), evaluating(model), torch.random.fork_rng(cuda_devices(model)):
        for name, module in reversed(list(model.named_modules(remove_duplicate=False))):
            if any(gate.startswith(f"{name}." if name else "") for gate in names):
                continue  # the innermost module is the gate
            if isinstance(module, FastSELayer):
                names.append(name)
                continue
            layers = _two_layers(module)
            if layers and _agree(module, fast := FastSELayer.around(*layers)):
                names.append(name)
                if not name:
                    done.left[name] = "it is the model itself"
                elif any(_hooks(m) or _hooks_of_its_state(m) for m in module.modules()):
                    done.left[name] = "it has hooks, which would not be called"
                elif len(inspect.signature(module.forward).parameters) > 1:
                    done.left[name] = "it can be called with more than maps"
                else:
                    done.replaced[name] = module
                    done._put[name] = (fast_of.setdefault(module, fast), layers)
            elif any(is_gate(module, like) for like in _likely_maps(module)):
                names.append(name)
                done.left[name] = (
                    "it is no mean, linear, ReLU, linear, sigmoid and product, or can't be tried"
                )
    for name, module in done.replaced.items():
        model.set_submodule(name, fast_of[module].train(module.training))
    return done


def _two_layers(module: nn.Module) -> tuple[Layer, Layer] | None:
    """The two layers C -> C/r -> C of a module that holds no other parameter or buffer."""
    layers = [m for m in module.modules() if [*m.parameters(recurse=False), *m.buffers(recurse=False)]]
    if len(layers) != 2:
        return None
    first, second = layers
    if not (_is_linear(first) and _is_linear(second)) or first.weight.shape[:2] != second.weight.shape[1::-1]:
        return None
    return first, second


def _is_linear(layer: nn.Module) -> TypeGuard[Layer]:
    """Whether it is a linear layer, or a convolution that is one at each position."""
    if type(layer) is nn.Conv2d:
        same = layer.kernel_size == layer.stride == (1, 1) and layer.padding in (0, (0, 0), "valid")
        return same and layer.groups == 1
    return type(layer) is nn.Linear


def _hooks_of_its_state(module: nn.Module) -> bool:
    """Whether something is to be called when the module's state dict is made or loaded."""
    kinds = ("_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks")
    return any(getattr(module, kind) for kind in (*kinds, "_load_state_dict_post_hooks"))


def _agree(module: nn.Module, fast: FastSELayer) -> bool:
    """Whether both give the same outputs and gradients, tried on copies with random weights in float32.

    Many images, so that even a single hidden unit is on for some and off for others; small and large ones,
    so that an activation that is cut off is seen; and two sizes of map, so that the mean is.
    """
    try:
        module, fast = copy.deepcopy((module, fast))  # together, so that they go on sharing their layers
        module.float()
        fast.float()
        return all(_agree_on(maps, module, fast) for maps in ((1.0, 4, 5), (30.0, 3, 7)))
    except Exception:  # it can't be copied, takes no maps, or does not use both layers
        return False


def _agree_on(maps: tuple[float, int, int], module: nn.Module, fast: FastSELayer) -> bool:
    """That for maps of one strength, height and width, in training and in evaluation."""
    strength, height, width = maps
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, device="cpu", dtype=torch.float32)

    weights = list(fast.parameters())
    device = weights[0].device
    with torch.no_grad():
        for w in weights:
            w.requires_grad_().copy_(random(*w.shape) * w[0].numel() ** -0.5)
        second: Any = fast.fc[2]
        second.weight.div_(strength)  # so that the gates stay off their ends
    g = random(32, fast.channel, height, width).to(device)
    u = (strength * (2 * random(32, fast.channel, 1, 1) + random(*g.shape))).to(device)
    for training in (True, False):
        answers = []
        for block in (module, fast):
            x = u.clone().requires_grad_()
            with torch.enable_grad(), torch.autocast(device.type, enabled=False):
                y = block.train(training)(x.clone())  # a clone, as the module may overwrite it
                answers.append([y, *torch.autograd.grad(y, [x, *weights], g)])
        for theirs, ours in zip(*answers, strict=True):
            close = 1e-4 * max(1.0, float(ours.abs().max()))
            if theirs.shape != ours.shape or not torch.allclose(theirs, ours, rtol=1e-3, atol=close):
                return False
    return True


def _likely_maps(module: nn.Module) -> list[Tensor]:
    """Empty maps of the sizes that the module's first array of real numbers suggests."""
    for weight in module.parameters():
        if nn.parameter.is_lazy(weight) or not weight.is_floating_point() or weight.ndim == 0:
            continue
        widths = {weight.shape[1] if weight.ndim > 1 else 1, len(weight), 8} - {1}
        return [weight.new_empty(0, width, 5, 5) for width in sorted(widths)]
    return []
