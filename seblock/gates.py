"""The channel gates of any network: find them, record them, summarise them, intervene on them.

A channel gate is a module x̃_c = s_c · u_c, the same factor at every position, whose s depends on the input.
It is known by what it does, not by its name. Out of reach: a gate computed without a module of its own (such
as ResNeSt's split attention), one for maps that are not (N, C, H, W), and one whose s is constant.

A compiled model is looked at and changed as the eager one that it was made from: while that lasts, nothing
compiled runs. The names of `torch.compile(model)` are those of `model`, and so are those within a part that
was compiled alone.

Source of the summaries and interventions: Hu et al., arXiv 1709.01507, Sections 7.1 and 7.2.
"""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.jit._script import RecursiveScriptModule

from seblock.functional import expect_maps, rescale, squeeze

STRENGTHS = (1.0, 1.0, 1.0, 30.0, 1000.0)
"""Of the maps that `find` shows to each module. Many gates react to weak ones, a few to strong ones alone."""
_finding: set[int] = set()
"""The threads in which `find` looks at a model: what goes image by image pauses there, as none are data."""


class Record(NamedTuple):
    """What `record` returns; `s` and `z` by the gate's name, their rows in the loader's order."""

    s: dict[str, Tensor]
    """The gates: (images, C), float16, NaN where u_c is zero everywhere."""
    z: dict[str, Tensor]
    """The mean of each u_c: (images, C), float16. Empty unless asked for."""
    labels: Tensor | None
    """(images,), the second item of each batch where that is one number an image."""


class ByClass(NamedTuple):
    """Mean and population standard deviation of a gate: (classes, C) each."""

    mean: Tensor
    spread: Tensor


class VarianceSplit(NamedTuple):
    """Population variance of a gate, (C,) each: the two add up to the variance over all images."""

    between: Tensor
    within: Tensor


# Finding


def find(model: nn.Module, images: Tensor) -> list[str]:
    """The names of the modules that are channel gates, in the order of `model.named_modules()`.

    images: a batch that the model takes; it shows which shapes each module receives. Each module that keeps
    the shape of a lone (N, C, H, W) input is then called alone, in eval mode, on random maps. A gate's output
    is proportional to them, channel by channel, by an s that differs between maps. A normalisation's s does
    so too, but it cannot tell u from −u, and it stays or halves as u doubles (GRN, an RMS norm): no gate. Of
    modules within one another the innermost is the gate. The model is left as it was, and so are PyTorch's
    random numbers.
    """
    model = _uncompiled(model)
    received: dict[nn.Module, Tensor] = {}

    def look(module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        inputs = (*arguments, *named.values())
        u = inputs[0] if len(inputs) == 1 else None
        if isinstance(u, Tensor) and u.ndim == 4 and u.is_floating_point():
            if isinstance(output, Tensor) and output.shape == u.shape:
                received[module] = u.new_empty(0, *u.shape[1:])

    with evaluating(model), torch.random.fork_rng(cuda_devices(model)), _uncounted():
        with ExitStack() as hooks:
            hooks.enter_context(_eager())
            for module in model.modules():
                if not isinstance(module, RecursiveScriptModule):  # which takes no hooks
                    hooks.callback(module.register_forward_hook(look, with_kwargs=True).remove)
            model(_to_its_device(images[:2], model))
        gates = {m: name for name, m in _named(model) if m in received and is_gate(m, received[m])}
    return [
        name for gate, name in gates.items() if not any(m in gates for m in gate.modules() if m is not gate)
    ]


def is_gate(module: nn.Module, like: Tensor) -> bool:
    """Whether the module, called alone on random maps of a size, type and place like those, is a gate.

    like: (N, C, H, W), looked at for its shape, type and device alone. Call it within `evaluating`.
    """
    channels, height, width = like.shape[1:]
    size = (1, channels, max(height, 3), max(width, 3))  # at a single position any function is a factor
    limits = torch.finfo(like.dtype)
    generator = torch.Generator().manual_seed(0)
    for strength in STRENGTHS:
        if 1000 * strength**2 > limits.max:  # half precision could not hold a norm's squares
            break
        means, noise = (
            torch.randn(shape, generator=generator, device="cpu") for shape in ((1, channels, 1, 1), size)
        )
        u = (strength * (means + noise)).to(like)
        u = torch.cat([u, u, -u, 2 * u])
        try:
            s = _factors(u, module(u.clone()))  # a clone, as the module may overwrite it
        except Exception:  # it needs more than maps, or other ones
            return False
        if s is None:
            return False
        once, again, negative, double = s.abs().chunk(4)
        equal = partial(torch.allclose, rtol=0, atol=max(1e-3, 8 * limits.eps) * float(s.abs().max()))
        if not equal(once, again):  # random, as dropout is
            return False
        if not equal(once, negative) or not (equal(once, double) or equal(once, 2 * double)):
            return True
    return False


def _factors(u: Tensor, x: Tensor) -> Tensor | None:
    """s with x̃_c = s_c · u_c up to rounding, or None: (N, C, H, W) twice -> (N, C).

    s_c is read where |u_c| is largest, and is NaN where u_c is zero everywhere.
    """
    if x.shape != u.shape:
        return None
    largest = u.flatten(2).abs().argmax(dim=2, keepdim=True)
    s = (x.flatten(2).gather(2, largest) / u.flatten(2).gather(2, largest)).squeeze(2)
    limits = torch.finfo(x.dtype)
    error = (x - rescale(u, s.nan_to_num())).abs().amax(dim=(2, 3))
    return s if (error <= 8 * (limits.eps * x.abs().amax(dim=(2, 3)) + limits.tiny)).all() else None


def _uncompiled(model: nn.Module) -> nn.Module:
    """The model that `torch.compile(model)` was made from; any other is given back as it is.

    Raises ValueError for what is no module, a function that was compiled for one; for TorchScript, which
    calls no hooks; and for a model that is spread over GPUs: hooks would meet copies of its gates, in any
    order.
    """
    expect_model(model)
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError(
            "the model is TorchScript, in which gates cannot be reached: give what it was made from"
        )
    if any(isinstance(m, nn.DataParallel) and len(m.device_ids) > 1 for m in model.modules()):
        raise ValueError("the model runs on several GPUs at once: give its `module`, which runs on one")
    original = getattr(model, "_orig_mod", model)
    return original if isinstance(original, nn.Module) else model


def expect_model(model: object) -> None:
    """Raise ValueError unless it is a model, an nn.Module."""
    if not isinstance(model, nn.Module):
        kind = model.__name__ if isinstance(model, type) else f"a {type(model).__name__}"
        raise ValueError(f"expected a model, an nn.Module, got {kind}; of a compiled function give its model")


def _named(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The names of all modules and the modules; where a part was compiled, the names that it had before."""
    for name, module in model.named_modules():
        yield _plain(name), module


def _plain(name: str) -> str:
    """The name that a module had before something around it was compiled."""
    return ".".join(part for part in name.split(".") if part != "_orig_mod")


@contextmanager
def _uncounted() -> Iterator[None]:
    """While it lasts, this thread's calls are not counted as images."""
    thread = threading.get_ident()
    outermost = thread not in _finding
    _finding.add(thread)
    try:
        yield
    finally:
        if outermost:
            _finding.discard(thread)


@contextmanager
def _eager() -> Iterator[None]:
    """While it lasts, compiled models run uncompiled: compiled code does not call hooks that came later."""
    if "torch._dynamo" in sys.modules:
        with torch.compiler.set_stance("force_eager"):
            yield
        return
    try:  # nothing has been compiled yet, and to load the compiler only to hold it off takes seconds
        yield
    finally:
        if "torch._dynamo" in sys.modules:  # what was compiled meanwhile has our hooks in it
            torch.compiler.reset()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in eval mode and no gradients; afterwards each module is in its own mode again.

    Raises ValueError for what is no model.
    """
    expect_model(model)
    modes = {module: module.training for module in model.modules()}
    try:
        for module in modes:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def cuda_devices(model: nn.Module) -> set[torch.device]:
    """The GPUs that hold its weights, whose random numbers `fork_rng` is to keep."""
    return {p.device for p in model.parameters() if p.device.type == "cuda"}


def _to_its_device(images: Tensor, model: nn.Module) -> Tensor:
    """Raises ValueError for what is no tensor, or a model without numbers."""
    if not isinstance(images, Tensor):
        raise ValueError(f"expected batches x or (x, y) of tensors, got a {type(images).__name__} for x")
    device = next(model.parameters(), images).device
    if device.type == "meta":
        raise ValueError("the model's weights are on the meta device, where they have no values")
    return images.to(device)


@contextmanager
def _after_each(
    model: nn.Module, names: Iterable[str], act: Callable[[str, Tensor, Tensor], Tensor | None]
) -> Iterator[None]:
    """Call act(name, u, x̃) after each named module; a tensor that it returns takes the place of x̃.

    Raises ValueError for an unknown name, and at the end for a module that was not called while the model
    was. Copies of the model that were made meanwhile keep nothing of it afterwards.
    """
    original = _uncompiled(model)
    modules = dict(_named(original))
    inputs: dict[tuple[str, int], Tensor] = {}  # by thread
    called: set[nn.Module] = set()
    lasts = True

    def note(module: nn.Module, _arguments: object, _output: object) -> None:
        called.add(module)

    with ExitStack() as hooks:
        hooks.enter_context(_eager())
        hooks.callback(original.register_forward_hook(note).remove)
        named = {name: modules.get(_plain(name)) for name in names}
        for name, module in named.items():
            if module is None:
                raise ValueError(f"the model has no module named {name!r}")
            if isinstance(module, RecursiveScriptModule):
                raise ValueError(f"{name!r} is TorchScript, which calls no hooks: give what it was made from")

            def before(
                module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], name: str = name
            ) -> None:
                if lasts:
                    u: Tensor = (*arguments, *named.values())[0]
                    if isinstance(u, Tensor):
                        u = u.clone()  # some gates overwrite their input
                    inputs[name, threading.get_ident()] = u
                    called.add(module)

            def after(_module: nn.Module, _: object, x: Tensor, name: str = name) -> Tensor | None:
                u = inputs.pop((name, threading.get_ident()), None)
                return None if u is None else act(name, u, x)

            hooks.callback(module.register_forward_pre_hook(before, with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(after).remove)
        try:
            yield
        finally:
            lasts = False
    for name, module in named.items():
        if original in called and module not in called:
            raise ValueError(
                f"{name!r} was not called when the model was: the model goes around it, as one that was "
                "traced or exported does, and nothing was read or changed there"
            )


# Recording


def record(
    model: nn.Module,
    loader: Iterable[Tensor | Sequence[Tensor]],
    names: Iterable[str] = (),
    squeezed: bool = False,
) -> Record:
    """s of every gate for every image of the loader, in eval mode: (images, C) each, float16.

    loader: batches x or (x, y); x goes to where the model's weights are. names: the gates; if none are named,
    those that `find` finds with the first batch. squeezed: record z too. Memory: 2 bytes for each gate,
    channel and image. Raises ValueError if there is no image or no gate, if a named module is none, if one is
    not called once for each image, as one that two blocks share, if the batches are others, and for a model
    spread over GPUs or without values (meta).
    """
    s: dict[str, list[Tensor]] = {}
    z: dict[str, list[Tensor]] = {}
    labels: list[Tensor] = []
    gates, images = [names] if isinstance(names, str) else list(dict.fromkeys(names)), 0

    def keep(name: str, u: Tensor, x: Tensor) -> None:
        if threading.get_ident() in _finding:
            return
        maps = isinstance(u, Tensor) and isinstance(x, Tensor) and u.ndim == 4
        if maps:
            _expect_rows_in_order(u)
        factors = _factors(u, x) if maps else None
        if factors is None:
            if maps and not u.isfinite().all():
                raise ValueError(f"what {name!r} receives is not finite: look at the images and the weights")
            raise ValueError(f"{name!r} is no channel gate: what it puts out is not s · u")
        s.setdefault(name, []).append(factors.half().cpu())
        if squeezed:
            z.setdefault(name, []).append(squeeze(u).half().cpu())

    with evaluating(model), ExitStack() as hooks:
        for batch in loader:
            x, *rest = [batch] if isinstance(batch, Tensor) else batch
            x = _to_its_device(x, model)
            if not len(x):
                continue
            if not images:
                gates = gates or find(model, x)
                if not gates:
                    raise ValueError("the model has no channel gate that is a module of its own")
                hooks.enter_context(_after_each(model, gates, keep))
            model(x)
            images += len(x)
            labels += [y.cpu() for y in rest[:1] if isinstance(y, Tensor) and y.ndim == 1]
    if not images:
        raise ValueError("there are no images to record")
    for name in gates:
        if (rows := sum(map(len, s.get(name, [])))) != images:
            raise ValueError(f"{name!r} was called for {rows} maps with {images} images, not once for each")
    with torch.autocast("cpu", enabled=False):  # which would not join float16
        return Record(
            {name: torch.cat(s.pop(name)) for name in gates},
            {name: torch.cat(z.pop(name)) for name in list(z)},
            torch.cat(labels) if labels else None,
        )


# Summaries


def by_class(s: Tensor, labels: Tensor) -> ByClass:
    """Mean and spread of each class's gates: (images, C), (images,) -> twice (classes, C), float64.

    NaNs are left out; a class without a number in a channel has NaN there. Raises ValueError unless
    labels are one integer an image, counted from 0.
    """
    _, mean, squares = _moments(s, labels)
    return ByClass(mean, squares.sqrt())


def variance_split(s: Tensor, labels: Tensor) -> VarianceSplit:
    """The variance of each gate between the classes' means and within the classes: (images, C) -> twice (C,).

    between_c = Σ_k n_k (m_kc − m_c)² / n, within_c = Σ_k n_k var_kc / n: population variances, adding up
    to the variance over all images. NaNs are left out. Raises ValueError as `by_class` does.
    """
    count, mean, variance = _moments(s, labels)
    share = count / count.sum(dim=0)
    overall = (share * mean.nan_to_num()).sum(dim=0)
    between = (share * (mean - overall).square().nan_to_num()).sum(dim=0)
    return VarianceSplit(between, (share * variance.nan_to_num()).sum(dim=0))


def class_specificity(s: Tensor, labels: Tensor) -> float:
    """The share of the gates' variance that lies between classes, Σ_c between_c / Σ_c (between_c + within_c).

    Labels without a meaning score (K − 1) / (n − 1) on average, not 0: `specificity_by_chance`. Few images a
    class flatter a gate. NaN if no gate varies.
    """
    between, within = (part.nansum().item() for part in variance_split(s, labels))
    return between / (between + within) if between + within else float("nan")


def specificity_by_chance(labels: Tensor) -> float:
    """(K − 1) / (n − 1), the mean specificity of n images if their labels of K classes are shuffled."""
    return (len(labels.unique()) - 1) / (len(labels) - 1)


def _moments(s: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How many numbers, their mean and their variance, by class and channel: (classes, C) each."""
    for given in (s, labels):
        if not isinstance(given, Tensor):
            raise ValueError(
                "expected the gates of one name, (images, C), and one integer label an image, each a tensor, "
                f"got a {type(given).__name__}"
            )
    if s.ndim != 2 or labels.shape != s.shape[:1] or labels.is_floating_point() or not labels.numel():
        raise ValueError(
            "expected gates (images, C) and one integer label an image, "
            f"got {tuple(s.shape)} and {tuple(labels.shape)} of {labels.dtype}"
        )
    if labels.min() < 0:
        raise ValueError(f"expected labels counted from 0, got {int(labels.min())}")
    s, labels = s.double(), labels.long()

    def add(values: Tensor) -> Tensor:
        return values.new_zeros(int(labels.max()) + 1, s.shape[1]).index_add_(0, labels, values.nan_to_num())

    count = add((~s.isnan()).double())
    mean = add(s) / count
    return count, mean, add((s - mean[labels]).square()) / count


# Interventions


@contextmanager
def replaced(model: nn.Module, s: Mapping[str, float | Tensor]) -> Iterator[None]:
    """While it lasts, the named gates rescale by the given s, not by their own.

    s: by the gate's name a number, a value a channel, (C,), or a row an image, (images, C), in the order in
    which the images come; NaN leaves a gate its own value. With rows, a `with` holds one pass over the data:
    an image more than rows raises ValueError, a new `with` starts at the first row. Raises ValueError too
    for an unknown name, another number of channels, a gate that is not called when the model is, and for rows
    where calls do not tell images apart: in vmap and when gradient checkpointing calls a gate again, for
    which the backward pass has to lie in the `with`. The model is left as it was, after an error too.

    Each image at the mean of its class: `replaced(model, {name: by_class(s, labels).mean[labels]})`.
    """
    seen = dict.fromkeys(s, 0)

    def act(name: str, u: Tensor, x: Tensor) -> Tensor | None:
        expect_maps(u)
        expect_maps(x)
        given = s[name]
        if not isinstance(given, Tensor):
            given = torch.as_tensor(given, device="cpu")
        if given.ndim == 2:
            if threading.get_ident() in _finding:
                return None
            _expect_rows_in_order(u)
            rows, seen[name] = len(given), seen[name] + len(u)
            if seen[name] > rows:
                raise ValueError(f"{name!r} has s for {rows} images, and more have come: a second pass?")
            given = given[seen[name] - len(u) : seen[name]]
        if given.ndim > 2:
            raise ValueError(f"{name!r} takes s of (C,) or (images, C), got {tuple(given.shape)}")
        if given.ndim and given.shape[-1] != u.shape[1]:
            raise ValueError(f"{name!r} has {u.shape[1]} channels, its new s has {given.shape[-1]}")
        given = given.to(u).expand(u.shape[:2])
        return torch.where(given.isnan()[:, :, None, None], x, rescale(u, given.nan_to_num()))

    with _after_each(model, s, act):
        yield


def _expect_rows_in_order(u: Tensor) -> None:
    """Raise ValueError where a call does not say which images it is for."""
    if torch._C._functorch.is_batchedtensor(u):
        raise ValueError("within vmap images cannot be told apart: call the model with the whole batch")
    if torch._C._current_graph_task_id() != -1:
        raise ValueError(
            "gradient checkpointing calls the gates again: switch it off where each image has its s"
        )


def frozen(
    model: nn.Module, recorded: Record, within: str | Iterable[str] = ""
) -> AbstractContextManager[None]:
    """`replaced` by its channel's mean over the recorded images, every gate that `chosen` gives."""
    return replaced(model, {name: recorded.s[name].double().nanmean(0) for name in chosen(recorded, within)})


def shuffled(
    model: nn.Module, recorded: Record, seed: int = 0, within: str | Iterable[str] = ""
) -> AbstractContextManager[None]:
    """`replaced` by another image's: image i gets the gates of image π(i), every gate that `chosen` gives.

    π, the same for all gates, permutes all recorded images; the seed alone decides it. The images must come
    in the recorded order, in batches of any size, once in a `with`.
    """
    images = len(next(iter(recorded.s.values())))
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed), device="cpu")
    return replaced(model, {name: recorded.s[name][order] for name in chosen(recorded, within)})


def clamped(
    model: nn.Module,
    recorded: Record,
    value: float = 1.0,
    within: str | Iterable[str] = "",
    channels: Sequence[int] | None = None,
) -> AbstractContextManager[None]:
    """`replaced` by `value`, every gate that `chosen` gives: in all channels or in those given (from 0)."""
    s = {
        name: recorded.s[name].new_full(recorded.s[name].shape[1:], torch.nan, dtype=torch.float32)
        for name in chosen(recorded, within)
    }
    for row in s.values():
        row[slice(None) if channels is None else torch.as_tensor(channels, device="cpu").tolist()] = value
    return replaced(model, s)


def chosen(recorded: Record, within: str | Iterable[str] = "") -> list[str]:
    """The recorded gates that are, or lie in, a module of the given name or names; "" is the model.

    The gates of a network's last stage: `within="stages.2"`. Raises ValueError for a name without a gate.
    """
    names: list[str] = []
    for place in [within] if isinstance(within, str) else within:
        inside = [name for name in recorded.s if not place or f"{name}.".startswith(f"{place}.")]
        if not inside:
            raise ValueError(f"no recorded gate is in {place!r}, only {', '.join(recorded.s)}")
        names += inside
    return names
