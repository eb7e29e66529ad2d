"""Put the fast block into a network in the place of its gates, and take it out again."""

import copy
import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from seblock.fast import FastSELayer, Layer, has_hooks, is_linear
from seblock.gates import cuda_devices, evaluating, is_gate
from seblock.others import OTHERS


class Conversion:
    """What `to_fast` did to a model, and the way back."""

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


def to_fast(model: nn.Module) -> Conversion:
    """Put a FastSELayer in the place of every gate of `model` that it reproduces; say why of the others.

    It reproduces mean, linear layer or 1×1 convolution, ReLU, a second such layer, sigmoid, product.
    Whether a module is one is tried: given random weights, outputs and all gradients have to agree, in
    training and in evaluation. The new module computes with the very same two layers, so optimisers go on;
    names in the state dict become FastSELayer's, until `undo`. Other gates are known as in `gates.find`,
    their number of channels read from `WIDTHS` or guessed from their first parameter; those of
    `seblock.others` are named even where they are no channel gates. The model is changed in place, and its
    modules are called to try them, hooks and observers with them. The new module takes (N, C, H, W) alone.
    Raises ValueError for what is no model.
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
            layers = _find_two_layers(module)
            if layers and _agree(module, fast := FastSELayer.around(*layers)):
                names.append(name)
                if not name:
                    done.left[name] = "it is the model itself"
                elif any(has_hooks(m) or _has_state_hooks(m) for m in module.modules()):
                    done.left[name] = "it has hooks, which would not be called"
                elif len(inspect.signature(module.forward).parameters) > 1:
                    done.left[name] = "it can be called with more than maps"
                else:
                    done.replaced[name] = module
                    done._put[name] = (fast_of.setdefault(module, fast), layers)
            elif isinstance(module, OTHERS) or any(is_gate(module, like) for like in _guess_maps(module)):
                names.append(name)
                done.left[name] = (
                    "it is no mean, linear, ReLU, linear, sigmoid and product, or can't be tried"
                )
            elif isinstance(module, GraphModule):
                done.left[name] = "torch.fx has traced it, and its gates are no modules any more"
    for name, module in done.replaced.items():
        model.set_submodule(name, fast_of[module].train(module.training))
    return done


def _find_two_layers(module: nn.Module) -> tuple[Layer, Layer] | None:
    """The two layers C -> C/r -> C of a module that holds no other parameter or buffer."""
    layers = [m for m in module.modules() if [*m.parameters(recurse=False), *m.buffers(recurse=False)]]
    if len(layers) != 2:
        return None
    first, second = layers
    if not (is_linear(first) and is_linear(second)) or first.weight.shape[:2] != second.weight.shape[1::-1]:
        return None
    return first, second


def _has_state_hooks(module: nn.Module) -> bool:
    """Whether something is to be called when the module's state dict is made or loaded."""
    return bool(
        module._state_dict_hooks
        or module._state_dict_pre_hooks
        or module._load_state_dict_pre_hooks
        or module._load_state_dict_post_hooks
    )


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


WIDTHS = ("channel", "channels", "n_features", "in_channels", "in_features")
"""What modules call their number of channels."""


def _guess_maps(module: nn.Module) -> list[Tensor]:
    """Empty maps of the sizes that the first width in it and its first array of real numbers suggest."""
    weights = list(module.parameters())
    if any(map(nn.parameter.is_lazy, weights)):  # to call it would decide its widths
        return []
    named = [getattr(part, name, None) for part in module.modules() for name in WIDTHS]
    widths = {*[width for width in named if isinstance(width, int)][:1]}
    like = next((w for w in weights if w.is_floating_point() and w.ndim), None)
    if like is not None:
        widths |= {like.shape[1] if like.ndim > 1 else 1, len(like), 8}
    maps = torch.empty(0, device="cpu", dtype=torch.float32) if like is None else like
    return [maps.new_empty(0, width, 5, 5) for width in sorted(widths - {0, 1})]
