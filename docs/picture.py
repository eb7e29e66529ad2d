"""Draw the picture of the README: `make picture`. Prints the words for those who do not see it."""

from pathlib import Path

from seblock.plots.block import block
from seblock.plots.toolkit import png

FILE = Path(__file__).with_name("picture.png")
ALT = block().alt


def draw() -> bytes:
    """The picture of the block, as a PNG."""
    return png(block().figure)


if __name__ == "__main__":
    FILE.write_bytes(draw())
    print(ALT)
