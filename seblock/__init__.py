"""seblock: what the notebooks on squeeze-and-excitation share. A file imports only from files above it.

functional  the equations, one function each
blocks      SELayer, SqEx, ResBlockSqEx, and SE's rivals
others      what came after: ECA, CBAM, scSE, gather-excite and more
networks    residual networks that take any channel gate at any placement
fast        the block with its backward pass written by hand
cost        parameters and multiply-adds
gates       find, record, summarise and change the gates of any network
convert     put the fast block in the place of a network's gates, and undo it
photos      two photos, filters a person can name, the gate set by hand
lines       lines of text, drawn as a scanner cuts them out
puzzles     the painting puzzle, and the networks that solve it or cannot
cifar10     CIFAR-10: fetched, read, normalised
paper       the paper's numbers that the notebooks quote
trained     weights and tables of results
ablations   the paper's ablations, small, beside its numbers
scanner     a text scanner's network, with its own weights
pretrained  gates of a pretrained network on photos of one's own
plots       the figures, and show()
live        figures that move, in notebooks and on the page
train       the training loop, and the command around it
exercises   the checks that the notebooks call

`from seblock import SELayer, SqEx, ResBlockSqEx` works too. Names that version 0.1 had elsewhere (`data`, for
one) are handed on by `moved`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seblock.blocks import ResBlockSqEx, SELayer, SqEx

__version__ = "0.2.0"
__all__ = ["ResBlockSqEx", "SELayer", "SqEx"]


def __getattr__(name: str) -> Any:
    """Import the blocks when they are first asked for, so that `import seblock` does not import PyTorch."""
    if name in __all__:
        from seblock import blocks

        return getattr(blocks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
