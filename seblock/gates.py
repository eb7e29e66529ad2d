"""The channel gates of any network: find them, record them, summarise them, intervene on them.

A channel gate is a module x̃_c = s_c · u_c, the same factor at every position, whose s depends on the input.
It is known by what it does, not by its name. Out of reach: a gate computed without a module of its own (such
as ResNeSt's split attention), one for maps that are not (N, C, H, W), and one whose s is constant.

Source of the summaries and interventions: Hu et al., arXiv 1709.01507, Sections 7.1 and 7.2.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seblock.functional import rescale

STRENGTHS = (1.0, 1.0, 1.0, 30.0, 1000.0)
"""Of the maps that `find` shows to each module. Many gates react to weak ones, a few to strong ones alone."""


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
    the shape of a single (N, C, H, W) input is then called alone, in eval mode, on random maps. A gate is
    proportional to its input channel by channel, the factor s differs between inputs, and not as that of a
    normalisation, which dividing by a norm makes blind to the sign of the maps, and whose s stays or halves
    if the maps double (an RMS norm, GRN). Of modules within one another the innermost is the gate. The model
    is left as it was, and so are PyTorch's random numbers.
    """
    examples: dict[nn.Module, Tensor] = {}

    def look(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        u = inputs[0] if len(inputs) == 1 else None
        if isinstance(u, Tensor) and u.ndim == 4 and u.is_floating_point():
            if isinstance(output, Tensor) and output.shape == u.shape:
                examples.setdefault(module, u[:0])

    found: dict[nn.Module, str] = {}
    cuda = {p.device for p in model.parameters() if p.device.type == "cuda"}
    with _evaluating(model), torch.random.fork_rng(cuda):
        with ExitStack() as hooks:
            for module in model.modules():
                hooks.callback(module.register_forward_hook(look).remove)
            model(_where_it_is(model, images[:2]))
        for name, module in reversed(list(model.named_modules())):
            if module in examples and not any(inner in found for inner in module.modules()):
                if _is_gate(module, examples[module]):
                    found[module] = name
    return list(found.values())[::-1]


def _is_gate(module: nn.Module, example: Tensor) -> bool:
    """Whether the module, called alone on maps of the example's shape, does what a gate does."""
    _, channels, height, width = example.shape
    size = (2, channels, max(height, 3), max(width, 3))  # of a map with one position all is proportional
    generator = torch.Generator().manual_seed(0)
    rounding = torch.finfo(example.dtype).eps
    for strength in STRENGTHS:
        u = (
            torch.randn(size, generator=generator)
            + torch.randn(size[:2], generator=generator)[..., None, None]
        )
        u = strength * torch.cat([u, u, -u, 2 * u]).to(example)
        try:
            x = module(u.clone())
        except Exception:  # whatever it needs beside a map, a gate for maps does not
            return False
        if not isinstance(x, Tensor) or x.shape != u.shape or not x.isfinite().all():
            return False
        s = _scale(u, x)
        if ((x - rescale(u, s)).abs() > 8 * rounding * x.abs().amax(dim=(2, 3), keepdim=True)).any():
            return False
        once, again, negative, doubled = s.abs().chunk(4)
        tolerance = max(1e-3, 8 * rounding) * s.abs().max()

        def differ(a: Tensor, b: Tensor, tolerance: Tensor = tolerance) -> bool:
            return bool(((a - b).abs() > tolerance).any())

        if differ(once, again):  # random, as dropout
            return False
        if differ(once, negative) or (differ(once, doubled) and differ(once, 2 * doubled)):
            return True
    return False


def _scale(u: Tensor, x: Tensor) -> Tensor:
    """s_c = x̃_c / u_c where |u_c| is largest, 0 / 0 = NaN if it is zero: (N, C, H, W) twice -> (N, C)."""
    largest = u.flatten(2).abs().argmax(dim=2, keepdim=True)
    return (x.flatten(2).gather(2, largest) / u.flatten(2).gather(2, largest))[..., 0]


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in eval mode, nothing kept for gradients; afterwards each module's own mode again."""
    modes = {module: module.training for module in model.modules()}
    try:
        for module in modes:
            module.training = False
        with torch.no_grad():
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _where_it_is(model: nn.Module, images: Tensor) -> Tensor:
    parameter = next(model.parameters(), None)
    return images if parameter is None else images.to(parameter.device)


@contextmanager
def _after_each(
    model: nn.Module, names: Iterable[str], act: Callable[[str, Tensor, Tensor], Tensor | None]
) -> Iterator[None]:
    """Call act(name, u, x̃) after each gate; a tensor that it returns takes the place of x̃.

    Raises ValueError for a name that no module of the model has.
    """
    modules = dict(model.named_modules())
    inputs: dict[str, Tensor] = {}

    def hook(name: str) -> Iterator[Any]:
        def before(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
            inputs[name] = arguments[0].clone()  # some gates overwrite their input

        def after(_module: nn.Module, _arguments: object, x: Tensor) -> Tensor | None:
            return act(name, inputs.pop(name), x)

        yield modules[name].register_forward_pre_hook(before)
        yield modules[name].register_forward_hook(after)

    names = list(names)
    if unknown := [name for name in names if name not in modules]:
        raise ValueError(f"the model has no module named {', '.join(map(repr, unknown))}")
    with ExitStack() as hooks:
        for name in names:
            for handle in hook(name):
                hooks.callback(handle.remove)
        yield


# Recording


def record(
    model: nn.Module,
    loader: Iterable[Tensor | Sequence[Tensor]],
    names: Sequence[str] | None = None,
    squeezed: bool = False,
) -> Record:
    """s of every gate for every image of the loader, in eval mode: (images, C) each, in float16.

    loader: batches x or (x, y); they are moved to where the model's weights are. names: the gates, by default
    what `find` finds with the first batch. squeezed: record z too. Memory: 2 bytes a gate, channel and image.
    Raises ValueError if there is no image or no gate.
    """
    s: dict[str, list[Tensor]] = {}
    z: dict[str, list[Tensor]] = {}
    labels: list[Tensor] = []

    def keep(name: str, u: Tensor, x: Tensor) -> None:
        s[name].append(_scale(u, x).half().cpu())
        if squeezed:
            z[name].append(u.float().mean(dim=(2, 3)).half().cpu())

    images = 0
    with _evaluating(model), ExitStack() as hooks:
        for batch in loader:
            x, *rest = [batch] if isinstance(batch, Tensor) else batch
            if not s:
                names = find(model, x) if names is None else list(names)
                if not names:
                    raise ValueError("the model has no channel gate that is a module of its own")
                s, z = {name: [] for name in names}, {name: [] for name in names if squeezed}
                hooks.enter_context(_after_each(model, names, keep))
            model(_where_it_is(model, x))
            images += len(x)
            labels += [y.cpu() for y in rest[:1] if y.ndim == 1]
    if not images:
        raise ValueError("the loader has no images")
    return Record(
        {name: torch.cat(s.pop(name)) for name in list(s)},
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
    if s.ndim != 2 or labels.shape != s.shape[:1] or labels.is_floating_point() or not labels.numel():
        raise ValueError(
            "expected gates (images, C) and one integer label an image, "
            f"got {tuple(s.shape)} and {tuple(labels.shape)} of {labels.dtype}"
        )
    s, labels = s.double(), labels.long()

    def add(values: Tensor) -> Tensor:
        return values.new_zeros(int(labels.max()) + 1, s.shape[1]).index_add_(0, labels, values.nan_to_num())

    count = add((~s.isnan()).double())
    mean = add(s) / count
    return count, mean, add((s - mean[labels]).square()) / count


# Interventions


@contextmanager
def replaced(model: nn.Module, s: Mapping[str, float | Tensor]) -> Iterator[None]:
    """While it lasts, the named gates rescale by the given s instead of their own.

    s: by the gate's name a number, a value a channel, (C,), or a row an image, (images, C), in the order in
    which the images will come; NaN leaves a gate its own value. With rows, one `with` holds one pass over the
    data: more images than rows raise ValueError, entering anew starts at the first row. Raises ValueError for
    an unknown name and for another number of channels. The model is left as it was, after an error too.
    """
    position = dict.fromkeys(s, 0)

    def act(name: str, u: Tensor, x: Tensor) -> Tensor:
        given = torch.as_tensor(s[name])
        if given.ndim == 2:
            first, position[name] = position[name], position[name] + len(u)
            if position[name] > len(given):
                raise ValueError(
                    f"image {len(given) + 1} has come to {name!r}, which has {len(given)} rows of s"
                )
            given = given[first : position[name]]
        if given.ndim and given.shape[-1] != u.shape[1]:
            raise ValueError(f"{name!r} has {u.shape[1]} channels, the given s has {given.shape[-1]}")
        given = given.to(u).expand(u.shape[:2])
        return torch.where(given.isnan()[..., None, None], x, rescale(u, given.nan_to_num()))

    with _after_each(model, s, act):
        yield


def frozen(
    model: nn.Module, record: Record, within: str | Iterable[str] = ""
) -> AbstractContextManager[None]:
    """While it lasts, each gate is its channel's mean over the recorded images. See `chosen` for `within`."""
    return replaced(model, {name: record.s[name].double().nanmean(dim=0) for name in chosen(record, within)})


def shuffled(
    model: nn.Module, record: Record, seed: int = 0, within: str | Iterable[str] = ""
) -> AbstractContextManager[None]:
    """While it lasts, image i gets the gates of image π(i), the same permutation π at every gate.

    π permutes all recorded images and depends on the seed alone. The images must come in the recorded order,
    in any batches, once in a `with`; see `replaced`, and `chosen` for `within`.
    """
    images = len(next(iter(record.s.values())))
    order = torch.randperm(images, generator=torch.Generator().manual_seed(seed))
    return replaced(model, {name: record.s[name][order] for name in chosen(record, within)})


def clamped(
    model: nn.Module,
    record: Record,
    value: float = 1.0,
    within: str | Iterable[str] = "",
    channels: Sequence[int] | None = None,
) -> AbstractContextManager[None]:
    """While it lasts, each gate is `value`: in the channels given (from 0), by default in all."""
    s = {}
    for name in chosen(record, within):
        s[name] = torch.full(record.s[name].shape[1:], float("nan"))
        s[name][slice(None) if channels is None else list(channels)] = value
    return replaced(model, s)


def chosen(record: Record, within: str | Iterable[str] = "") -> list[str]:
    """The recorded gates that have one of the given names or lie in a module of that name; "" is the model.

    So a network's last stage is `within="stages.2"`. Raises ValueError for a name without a gate.
    """
    places = [within] if isinstance(within, str) else list(within)
    for place in places:
        if not any(_lies_in(name, place) for name in record.s):
            raise ValueError(f"no recorded gate is in {place!r}; there are {', '.join(record.s)}")
    return [name for name in record.s if any(_lies_in(name, place) for place in places)]


def _lies_in(name: str, place: str) -> bool:
    return not place or name == place or name.startswith(place + ".")
