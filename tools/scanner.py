"""Make what stands in seblock/trained of the text scanner's network.

python tools/scanner.py weights MODEL    from ch_ppocr_mobile_v2.0_cls_infer.onnx; wants `pip install onnx`
"""

import argparse
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from seblock import scanner
from seblock.trained import FOLDER


def read_onnx(path: Path) -> dict[str, Tensor]:
    """All constants of an ONNX file, by name."""
    import onnx
    import onnx.numpy_helper

    model = onnx.load(str(path))
    held = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            held[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    return {name: torch.from_numpy(array.copy()) for name, array in held.items() if array.dtype == "float32"}


def convert(held: dict[str, Tensor]) -> dict[str, Tensor]:
    """PaddleOCR's tensors by the names of `TextDirection`."""
    state = {}

    def convolution(name: str, theirs: str) -> None:
        state[f"{name}.0.weight"] = held[f"{theirs}_weights"]
        parts = {"weight": "scale", "bias": "offset", "running_mean": "mean", "running_var": "variance"}
        for part, their_part in parts.items():
            state[f"{name}.1.{part}"] = held[f"{theirs}_bn_{their_part}"]
        state[f"{name}.1.num_batches_tracked"] = torch.tensor(0)

    convolution("stem", "conv1")
    convolution("last", "conv_last")
    for i, (*_, gated) in enumerate(scanner.BLOCKS):
        for part, theirs in (("expand", "expand"), ("depthwise", "depthwise"), ("project", "linear")):
            convolution(f"blocks.{i}.{part}", f"conv{i + 2}_{theirs}")
        for layer in (1, 2) if gated else ():
            name, theirs = f"blocks.{i}.gate.linear{layer}", f"conv{i + 2}_se_{layer}"
            state[f"{name}.weight"] = held[f"{theirs}_weights"].flatten(1)  # a 1×1 convolution as a matrix
            state[f"{name}.bias"] = held[f"{theirs}_offset"]
    state["classify.weight"] = held["fc_0.w_0"].T
    state["classify.bias"] = held["fc_0.b_0"]
    return {name: tensor.contiguous() for name, tensor in state.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    weights = commands.add_parser("weights", help="convert PaddleOCR's weights")
    weights.add_argument("model", type=Path)
    given = parser.parse_args()
    state = convert(read_onnx(given.model))
    scanner.TextDirection().load_state_dict(state)
    save_file(state, FOLDER / "scanner.safetensors")


if __name__ == "__main__":
    main()
