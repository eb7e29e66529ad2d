"""Figures that move under the reader's hand: in JupyterLab, in Colab, and on the web page without a kernel.

The JavaScript beside this file is plain and is served as it stands: `core.js`, and one file a figure. A
notebook's cell ends in `live("block")`. anywidget then runs the figure in the browser, and a
picture with its words is what is stored, what is printed, and what a reader without anywidget sees.
"""

import base64
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import save

from seblock.live.figures import FIGURES
from seblock.plots.toolkit import DOTS_PER_INCH, Picture

__all__ = ["FIGURES", "classes", "live", "module", "pack", "write"]

HERE = Path(__file__).parent
STYLE = HERE / "live.css"
EXPORTED = (
    "{ render, unpack, pixels, convolve, squeeze, excite, rescale, "
    "changed, shuffled, features, products, costs, puzzle, paint, extremes }"
)
"""What the module gives to others: `render` to anywidget and the page, the rest to tests."""

DATA = "(globalThis.seblockData ??= {})"
"""Where the page keeps what the figures are given; whichever script comes first makes it."""


def source() -> str:
    """All the JavaScript of the figures: the core, and the file of each."""
    files = [HERE / "core.js", *(HERE / f"{name}.js" for name in FIGURES)]
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def module() -> str:
    """The figures as one ES module. anywidget loads it from a blob, where nothing can be imported."""
    return f"{source()}\nexport default {EXPORTED};\n"


def script() -> str:
    """The figures as one plain script, which a page may load even from a folder: `seblock.render`."""
    return f"globalThis.seblock = (() => {{\n{source()}\nreturn {EXPORTED};\n}})();\n"


def pack(name: str) -> bytes:
    """What a figure is given, as a safetensors file, its settings in the metadata.

    Raises KeyError for a figure that there is not.
    """
    settings, tensors = FIGURES[name][0]()
    about = {"settings": json.dumps({"figure": name, **settings})}
    return save({key: tensor.contiguous() for key, tensor in tensors.items()}, about)


def classes(name: str, start: dict[str, Any]) -> str:
    """The classes of an image by which `page.js` knows which live figure takes its place, and how it starts.

    start: what its state differs in from the usual, as for `live`. It travels as JSON in hexadecimal digits,
    because Sphinx leaves only small letters and digits of a class.
    """
    found = f"live-figure live-is-{name}"
    if start:
        found += f" live-start-{json.dumps(start).encode().hex()}"
    return found if start.get("gates", True) else f"{found} live-brief"


def write(folder: Path) -> None:
    """The figures for a web page: `page.js` and `live.css`, which it loads, and what these ask for later."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {"live.js": script(), "live.css": STYLE.read_text(encoding="utf-8")}
    for name in FIGURES:
        files[f"{name}.js"] = f'{DATA}["{name}"] = "{base64.b64encode(pack(name)).decode()}";\n'
    version = hashlib.sha256("".join(files.values()).encode()).hexdigest()[:8]
    page = (HERE / "page.js").read_text(encoding="utf-8")
    files["page.js"] = page.replace('VERSION = "0"', f'VERSION = "{version}"')
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")


class Still:
    """The picture of a live figure, where anywidget is not installed."""

    def __init__(self, name: str, picture: Picture, start: dict[str, Any]) -> None:
        self.name, self.picture, self.start = name, picture, start

    def __repr__(self) -> str:
        return repr(self.picture)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> tuple[dict[str, Any], Any]:
        """Words and picture, no larger than shown, and for the page which live figure takes its place."""
        self.picture.figure.set_dpi(DOTS_PER_INCH / 2)
        data, about = self.picture._repr_mimebundle_()
        told = {"live": self.name} | ({"start": self.start} if self.start else {})
        return data, {"image/png": about["image/png"] | told}


@functools.cache
def widget() -> Any:
    """The class of a live figure's widget; ImportError without anywidget."""
    import anywidget
    import traitlets

    class Live(anywidget.AnyWidget):
        _esm = module()
        _css = STYLE.read_text(encoding="utf-8")
        data = traitlets.Bytes().tag(sync=True)
        value = traitlets.Dict().tag(sync=True)
        _ipython_display_ = None  # ipywidgets 7 has one, which would show neither words nor picture

        def __init__(self, name: str, picture: Picture, **start: Any) -> None:
            usual = FIGURES[name][0]().settings["value"]
            if unknown := start.keys() - usual.keys():
                raise TypeError(f"{name} has no {', '.join(sorted(unknown))}; it has {', '.join(usual)}")
            super().__init__(data=pack(name), value=usual | start)
            self.still = Still(name, picture, start)

        def __repr__(self) -> str:
            return repr(self.still)

        def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict[str, Any], Any]:
            shown, about = super()._repr_mimebundle_(**kwargs) or ({}, {})
            data, told = self.still._repr_mimebundle_()
            return shown | data, about | told

    return Live


def live(name: str, picture: Picture | None = None, **start: Any) -> Any:
    """A live figure; `picture` is what is stored, and what is left where nothing runs.

    name: one of `FIGURES`. picture: None for the figure's own. start: what its state shall differ in from the
    usual, such as `tint=0.2`; with `gates=False` the block and the painter hide their gates until the reader
    asks for them. Where a kernel runs, `.value` follows what the reader does, and can be set. Raises KeyError
    for another name, TypeError for a state that the figure has not.
    """
    if name not in FIGURES:
        raise KeyError(f"no live figure {name!r}; there are {', '.join(FIGURES)}")
    picture = picture or FIGURES[name][1]()
    try:
        return widget()(name, picture, **start)
    except ImportError:
        return Still(name, picture, start)
