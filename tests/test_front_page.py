"""The README: it stays short, its picture is what the command draws, and its code prints what it says."""

import contextlib
import importlib.util
import io
import re
import runpy
from pathlib import Path
from types import ModuleType

import matplotlib
import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REQUIREMENTS = (ROOT / "requirements.txt").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def picture() -> ModuleType:
    """What `make picture` runs."""
    spec = importlib.util.spec_from_file_location("docs_picture", ROOT / "docs" / "picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def shrunk(png: bytes) -> np.ndarray:
    """A picture in 96 × 32 averages: what is left when letters and edges are washed out."""
    small = Image.open(io.BytesIO(png)).convert("RGB").resize((96, 32), Image.Resampling.BOX)
    return np.asarray(small).astype(float)


def test_the_readme_is_a_front_page() -> None:
    assert len(README.split()) <= 500


@pytest.mark.skipif(
    f"matplotlib=={matplotlib.__version__}\n" not in REQUIREMENTS, reason="another matplotlib drew it"
)
def test_the_picture_is_what_the_command_draws(picture: ModuleType) -> None:
    stored = picture.FILE.read_bytes()
    assert len(stored) <= 150_000
    assert float(abs(shrunk(picture.draw()) - shrunk(stored)).max()) < 40, "make picture"


def test_the_picture_comes_with_its_words(picture: ModuleType) -> None:
    assert f"![{picture.ALT}]({picture.FILE.relative_to(ROOT).as_posix()})" in README


def test_the_code_prints_what_the_readme_says() -> None:
    code, printed = re.findall(r"^```(?:python|text)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(code, {})
    assert said.getvalue() == printed


def test_the_command_writes_the_picture_and_says_its_words(
    picture: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written: list[tuple[Path, bytes]] = []
    monkeypatch.setattr(Path, "write_bytes", lambda path, content: written.append((path, content)))
    runpy.run_path(str(ROOT / "docs" / "picture.py"), run_name="__main__")
    ((path, content),) = written
    assert path == picture.FILE
    assert f"]({path.relative_to(ROOT).as_posix()})" in README
    assert content.startswith(b"\x89PNG")
    assert capsys.readouterr().out == f"{picture.ALT}\n"
