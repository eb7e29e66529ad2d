"""The scanner's network says what onnxruntime says of the file that its weights were taken from.

And a pretrained network's gates are recorded on photos, with timm and with torchvision.
"""

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from seblock import lines, pretrained, scanner
from seblock.trained import FOLDER

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def model() -> Path:
    """Where the package keeps the ONNX file; it is not imported, as it wants OpenCV."""
    found = importlib.util.find_spec("rapidocr_onnxruntime")
    if found is None:
        pytest.skip("rapidocr-onnxruntime wants Python 3.12 or older")
    return Path(found.submodule_search_locations[0]) / "models" / "ch_ppocr_mobile_v2.0_cls_infer.onnx"


def test_the_network_says_what_onnxruntime_says(model):
    x = scanner.pack(lines.both_ways(lines.random_lines(100, seed=5)))
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    expected = torch.from_numpy(session.run(None, {"x": x.numpy()})[0])
    with torch.inference_mode():
        torch.testing.assert_close(scanner.load()(x).softmax(1), expected, atol=1e-4, rtol=0)


def test_the_tool_makes_the_shipped_weights_again(model):
    spec = importlib.util.spec_from_file_location("tools_scanner", ROOT / "tools" / "scanner.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    made, shipped = tool.convert(tool.read_onnx(model)), load_file(FOLDER / "scanner.safetensors")
    assert made.keys() == shipped.keys()
    assert all(torch.equal(made[name], shipped[name]) for name in made)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_s_network_takes_photos_from_folders(library, tmp_path, monkeypatch):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        noise = np.random.default_rng(0).integers(0, 255, (300, 260, 3), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / name / "1.png")
    monkeypatch.setattr(pretrained, "library", lambda: library)
    recorded, names = pretrained.record_photos(tmp_path, weights=False)
    assert names == ["cat", "dog"]
    assert len(recorded.s) == {"timm": 16, "torchvision": 8}[library]
    assert all(len(s) == 2 for s in recorded.s.values())
