"""The blocks go on to ONNX with sizes left open, and ONNX Runtime computes the same.

This is what notebook 06 promises. Like its neighbours it wants the environment of `make peers`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from seblock.blocks import ResBlockSqEx, SELayer, SqEx

ANY = torch.export.Dim.DYNAMIC
SIZES = {0: ANY, 2: ANY, 3: ANY}
"""Batch, height and width are open; the channels are not."""


@pytest.mark.parametrize("make", [SELayer, SqEx, ResBlockSqEx])
def test_an_exported_block_computes_the_same_for_maps_of_any_size(
    make: Callable[[int], nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    block, path = make(32).eval(), tmp_path / "block.onnx"
    for parameter in block.parameters():
        nn.init.normal_(parameter, std=0.3)  # gates that lie apart
    program = torch.export.export(block, (torch.randn(2, 32, 5, 3),), dynamic_shapes=(SIZES,))
    torch.onnx.export(program).save(path)

    onnx.checker.check_model(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (maps,) = session.get_inputs()
    assert [size if isinstance(size, int) else "any" for size in maps.shape] == ["any", 32, "any", "any"]
    for shape in [(2, 32, 5, 3), (1, 32, 1, 1), (4, 32, 9, 14)]:
        x = torch.randn(shape)
        (y,) = session.run(None, {maps.name: x.numpy()})
        np.testing.assert_allclose(y, block(x).detach().numpy(), rtol=1e-4, atol=1e-5)
