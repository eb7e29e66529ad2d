"""Photos in folders and the libraries' networks, without either library: they are stood in for."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

from seblock import pretrained
from seblock.blocks import SELayer
from seblock.plots import scanner as plots


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three photos of two classes, and files that are none."""
    for name, grey in (("cat/1.jpg", 40), ("cat/2.PNG", 60), ("dog/a.jpeg", 200)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (20, 10), grey).save(tmp_path / name)
    (tmp_path / "cat" / "notes.txt").write_text("no photo", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    for hidden in (".ipynb_checkpoints/1-checkpoint.jpg", "cat/._1.jpg"):
        (tmp_path / hidden).parent.mkdir(exist_ok=True)
        (tmp_path / hidden).write_text("what JupyterLab and macOS leave", encoding="utf-8")
    return tmp_path


def prepare(photo: Image.Image) -> torch.Tensor:
    assert photo.mode == "RGB"
    return torch.full((3, 8, 8), photo.getpixel((0, 0))[0] / 255)


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), SELayer(8, 2))


def without(monkeypatch: pytest.MonkeyPatch, *installed: str) -> None:
    monkeypatch.setattr(pretrained, "find_spec", lambda name: name in installed or None)


def test_folders_are_classes(photos: Path) -> None:
    places, labels, names = pretrained.find_photos(photos)
    assert [place.name for place in places] == ["1.jpg", "2.PNG", "a.jpeg"]
    assert (labels, names) == ([0, 0, 1], ["cat", "dog"])
    with pytest.raises(ValueError, match="a folder for each class"):
        pretrained.find_photos(photos / "cat")


def test_without_a_library_it_says_what_to_install(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    assert pretrained.library() is None
    with pytest.raises(RuntimeError, match="pip install timm"):
        pretrained.record_photos(photos)


def test_gates_of_all_photos_are_recorded_with_timm(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def create_model(name: str, pretrained: bool) -> torch.nn.Module:
        asked.append((name, pretrained))
        return network()

    data = SimpleNamespace(resolve_model_data_config=lambda _: {}, create_transform=lambda: prepare)
    monkeypatch.setitem(sys.modules, "timm", SimpleNamespace(create_model=create_model, data=data))
    without(monkeypatch, "timm", "torchvision")
    recorded, names = pretrained.record_photos(photos, batch=2)
    assert asked == [("seresnet50", True)]
    assert names == ["cat", "dog"]
    assert recorded.labels is not None
    assert recorded.labels.tolist() == [0, 0, 1]
    assert recorded.s["1"].shape == (3, 8)
    x = torch.stack([torch.full((3, 8, 8), grey / 255) for grey in (40, 60, 200)])
    expected = network()[0](x).mean((2, 3))
    s = network()[1].fc(expected)
    torch.testing.assert_close(recorded.s["1"].float(), s.detach(), atol=2e-3, rtol=0)
    figure, alt = plots.classes(recorded, names)
    assert alt.startswith("Mean gates of 2 classes.")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == names


def test_torchvision_serves_where_timm_is_not(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    held = SimpleNamespace(DEFAULT=SimpleNamespace(transforms=lambda: prepare))

    def get_model(name: str, weights: Any) -> torch.nn.Module:
        asked.append((name, weights))
        return network()

    models = SimpleNamespace(get_model=get_model, get_model_weights=lambda name: held)
    monkeypatch.setitem(sys.modules, "torchvision", SimpleNamespace(models=models))
    without(monkeypatch, "torchvision")
    recorded, _ = pretrained.record_photos(photos, weights=False)
    assert asked == [("mobilenet_v3_large", None)]
    assert len(recorded.s["1"]) == 3
    pretrained.load("mobilenet_v3_small")
    assert asked[-1] == ("mobilenet_v3_small", held.DEFAULT)
