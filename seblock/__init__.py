"""seblock: what the notebooks on squeeze-and-excitation share.

functional  the equations, one function each
blocks      SELayer, SqEx, ResBlockSqEx
networks    residual networks that take any channel gate at any placement
cost        parameters and multiply-adds
data        photos, filters a person can name, the painting puzzle
paper       the paper's numbers that the notebooks quote
plots       the figures, and show()
exercises   the checks that the notebooks call
"""

__version__ = "0.1.0"
