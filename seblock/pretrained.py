"""The gates of a network that was trained on ImageNet, on photos of one's own: the paper's Fig. 6 by hand.

It wants timm or torchvision, neither of which seblock needs, and fetches their weights: only a call does.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from seblock import gates

NETWORKS = {"timm": "seresnet50", "torchvision": "mobilenet_v3_large"}
"""What each library is asked for if nothing is named; timm's is a relative of the paper's."""
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}


def library() -> str | None:
    """The first of timm and torchvision that is installed, or None."""
    return next((name for name in NETWORKS if find_spec(name)), None)


def load(name: str = "", weights: bool = True) -> tuple[nn.Module, Callable[[Image.Image], Tensor]]:
    """A network by its library's name, in evaluation mode, and what makes its input of a photo.

    weights: fetch the library's weights for ImageNet, 20 to 110 megabytes for those of `NETWORKS`; else they
    are random. Raises RuntimeError if neither library is installed.
    """
    found = library()
    if found is None:
        raise RuntimeError(
            "neither timm nor torchvision is installed; `%pip install timm` in a cell installs one"
        )
    name = name or NETWORKS[found]
    if found == "timm":
        timm: Any = import_module("timm")
        network = timm.create_model(name, pretrained=weights)
        prepare = timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    else:
        models: Any = import_module("torchvision").models
        held = models.get_model_weights(name).DEFAULT
        network, prepare = models.get_model(name, weights=held if weights else None), held.transforms()
    return network.eval(), prepare


def find_photos(folder: str | Path) -> tuple[list[Path], list[int], list[str]]:
    """Photos, the class of each, and the classes' names: a folder in `folder` is a class.

    What is hidden, such as JupyterLab's `.ipynb_checkpoints` and macOS's `._1.jpg`, is none. Raises
    ValueError if there are no photos in folders there.
    """
    places = sorted(
        path
        for path in Path(folder).expanduser().glob("*/*")
        if path.suffix.lower() in SUFFIXES
        and not (path.name.startswith(".") or path.parent.name.startswith("."))
    )
    if not places:
        raise ValueError(f"no photos found: {folder} should hold a folder for each class, with photos in it")
    names = sorted({path.parent.name for path in places})
    return places, [names.index(path.parent.name) for path in places], names


def record_photos(
    folder: str | Path, name: str = "", weights: bool = True, batch: int = 16
) -> tuple[gates.Record, list[str]]:
    """The gates of a network for all photos of a folder, and the names of their classes.

    folder: holds a folder for each class, such as `goldfish/1.jpg`. Raises RuntimeError and ValueError as
    `load`, `find_photos` and `gates.record` do.
    """
    places, labels, names = find_photos(folder)
    network, prepare = load(name, weights)

    def read(path: Path) -> Tensor:
        with Image.open(path) as photo:
            return prepare(photo.convert("RGB"))

    def batches() -> Any:
        for start in range(0, len(places), batch):
            part = slice(start, start + batch)
            yield torch.stack([read(path) for path in places[part]]), torch.tensor(labels[part])

    return gates.record(network, batches()), names
