"""The equations, one function each.

Letters are the paper's: X is the input, V the filters, U = V ∗ X their maps, z the squeezed channels,
s the gates, x̃ the rescaled maps. Channels are 1-based in formulas (u_4) and 0-based in code (u[:, 3]).

Source: Hu, Shen, Albanie, Sun, Wu, *Squeeze-and-Excitation Networks*, arXiv 1709.01507.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import Proxy


def expect_maps(u: Tensor, channels: int | None = None) -> None:
    """Raise ValueError unless `u` is a batch of maps, (N, C, H, W), with C = `channels` if given.

    While torch.fx traces, u has no shape to look at yet: nothing is raised then, nor by the traced module.
    Nor by a scripted one, as TorchScript knows too little Python for the sentence.
    """
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        if isinstance(u, Proxy):
            return
        tensor = isinstance(u, Tensor)
        if not tensor or u.ndim != 4 or (channels is not None and u.shape[1] != channels):
            c = "C" if channels is None else f"C = {channels}"
            got = tuple(u.shape) if tensor else f"no tensor but a {type(u).__name__}"
            raise ValueError(f"expected maps of shape (N, {c}, H, W), got {got}")


def channel_terms(
    x: Tensor,
    v: Tensor,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int | tuple[int, int] = 1,
) -> Tensor:
    """The terms v_c^s ∗ x^s before they are added: (N, C', H', W'), (C, C', k, k) -> (N, C, C', H, W).

    The term of input channel s in output channel c (both 1-based) is `[:, c - 1, s - 1]`. Like
    `F.conv2d`, it slides the kernel without flipping it (a cross-correlation) and knows no bias.
    Raises ValueError if x is no batch of maps or v is no set of filters over x's channels.
    """
    if v.ndim != 4:
        raise ValueError(f"expected filters of shape (C, C', k, k), got {tuple(v.shape)}")
    outputs, inputs = v.shape[:2]
    expect_maps(x, channels=inputs)
    # A grouped convolution keeps the groups apart; here every input channel is a group of its own.
    one_channel_kernels = v.transpose(0, 1).reshape(inputs * outputs, 1, *v.shape[2:])
    terms = F.conv2d(x, one_channel_kernels, None, stride, padding, dilation, groups=inputs)
    return terms.unflatten(1, (inputs, outputs)).transpose(1, 2)


def convolve(
    x: Tensor,
    v: Tensor,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | str = 0,
    dilation: int | tuple[int, int] = 1,
) -> Tensor:
    """u_c = v_c ∗ X = Σ_s v_c^s ∗ x^s: (N, C', H', W'), (C, C', k, k) -> (N, C, H, W). Eq. 1.

    Equal to `F.conv2d(x, v)`, and slower: it computes every term, then adds them. Raises ValueError as
    `channel_terms` does.
    """
    return channel_terms(x, v, stride, padding, dilation).sum(dim=2)


def squeeze(u: Tensor) -> Tensor:
    """z_c = 1 / (H × W) Σ_i Σ_j u_c(i, j), the mean of each map: (N, C, H, W) -> (N, C). Eq. 2.

    Raises ValueError if u is no batch of maps.
    """
    expect_maps(u)
    return u.mean(dim=(2, 3))


def excite(z: Tensor, w1: Tensor, w2: Tensor, b1: Tensor | None = None, b2: Tensor | None = None) -> Tensor:
    """s = σ(W₂ δ(W₁ z)), δ = ReLU: (N, C), (C/r, C), (C, C/r) -> (N, C), each between 0 and 1. Eq. 3.

    The paper's formula has no biases; `b1`, (C/r,), and `b2`, (C,), are added where given.
    """
    return torch.sigmoid(F.linear(F.relu(F.linear(z, w1, b1)), w2, b2))


def rescale(u: Tensor, s: Tensor) -> Tensor:
    """x̃_c = s_c · u_c, the same factor at every position: (N, C, H, W), (N, C) -> (N, C, H, W). Eq. 4.

    Raises ValueError if there is not one gate for each channel of each image.
    """
    expect_maps(u)
    if not torch.jit.is_scripting():  # type: ignore[attr-defined]
        if not isinstance(u, Proxy) and s.shape != u.shape[:2]:
            raise ValueError(
                f"expected one gate a channel, shape {tuple(u.shape[:2])} for maps (N, C, H, W) = "
                f"{tuple(u.shape)}, got {tuple(s.shape)}"
            )
    return u * s[:, :, None, None]
