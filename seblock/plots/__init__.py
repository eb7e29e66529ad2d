"""Every figure of the notebooks, one file a notebook; what they share is in `toolkit`.

A drawing function returns a `Picture`, which shows itself at the end of a cell; `show` shows it elsewhere.
"""

from seblock.plots.toolkit import HEIGHT, WIDTH, Picture, canvas, png, rounded, show, styled

__all__ = ["HEIGHT", "WIDTH", "Picture", "canvas", "png", "rounded", "show", "styled"]
