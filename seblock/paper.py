"""The paper's numbers that the notebooks quote, by table; nothing here is computed.

Source: arXiv 1709.01507. Errors are top-1 % on ImageNet's validation set, single 224×224 crop, unless said
otherwise. The ablations (Tables 10 to 16) share a training recipe, and so a baseline, that is not Table 2's:
never mix them.
"""

ABLATION_BASELINE = 23.30
"""Top-1 error of ResNet-50 without SE in the ablations."""

TABLE_2_GFLOPS = {50: (3.86, 3.87), 101: (7.58, 7.60), 152: (11.30, 11.32)}
"""ResNet depth: GFLOPs of the plain network and of the one with SE."""

TABLE_2 = {50: (24.80, 23.29), 101: (23.17, 22.38), 152: (22.42, 21.57)}
"""ResNet depth: top-1 error on ImageNet in % of the plain network, re-implemented, and of the one with SE."""

TABLE_4 = {
    "ResNet-110": (6.37, 5.21),
    "ResNet-164": (5.46, 4.39),
    "WRN-16-8": (4.27, 3.88),
    "Shake-Shake": (2.56, 2.12),
}
"""CIFAR-10: test error in % without and with SE. Shake-Shake is "26 2x96d" with Cutout."""

TABLE_5 = {
    "ResNet-110": (26.88, 23.85),
    "ResNet-164": (24.33, 21.31),
    "WRN-16-8": (20.43, 19.14),
    "Shake-Even": (15.85, 15.41),
}
"""CIFAR-100: test error in % without and with SE. Shake-Even is "29 2x4x64d" with Cutout."""

TABLE_10 = {2: (22.29, 45.7), 4: (22.25, 35.7), 8: (22.26, 30.7), 16: (22.28, 28.1), 32: (22.72, 26.9)}
"""Reduction r: top-1 error and millions of parameters of SE-ResNet-50."""

TABLE_11 = {"max": 22.57, "mean": 22.28}
"""Squeeze by: top-1 error."""

TABLE_12 = {"ReLU": 23.47, "tanh": 23.00, "sigmoid": 22.28}
"""Last non-linearity of the excitation: top-1 error."""

TABLE_13 = {"stage 2": 23.03, "stage 3": 23.04, "stage 4": 22.68, "all": 22.28}
"""Stage whose blocks have SE: top-1 error. The first convolution is stage 1; the table leaves out stage 5."""

TABLE_14 = {"standard": 22.28, "PRE": 22.23, "POST": 22.78, "Identity": 22.20}
"""Placement: top-1 error."""

TABLE_15 = {"end of the branch": (22.28, 28.1), "after the 3×3": (22.48, 25.8)}
"""Place of SE in a bottleneck: top-1 error and millions of parameters."""

TABLE_16 = {"NoSqueeze": 22.93, "SE": 22.28}
"""Nothing averaged, 1×1 convolutions in the layers' place, beside SE: top-1 error."""

STEP_MS = (190, 209)
"""Section 4: milliseconds of a forward and backward pass of ResNet-50 and of SE-ResNet-50, on eight GPUs."""
