"""seblock: what the notebooks on squeeze-and-excitation share.

functional  the equations, one function each
blocks      SELayer, SqEx, ResBlockSqEx
networks    residual networks that take any channel gate at any placement
cost        parameters and multiply-adds
gates       find, record, summarise and change the gates of any network
fast        the block with its backward pass written by hand
data        photos, filters a person can name, the painting puzzle, CIFAR-10
paper       the paper's numbers that the notebooks quote
trained     weights and tables of results
plots       the figures, and show()
train       the training loop, and the command around it
exercises   the checks that the notebooks call
"""

__version__ = "0.1.0"
