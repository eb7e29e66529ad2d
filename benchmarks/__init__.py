"""How fast, and how large: `make bench`, or one at a time from the root, as `python -m benchmarks.block`.

block      the SE block beside the real timm's, torchvision's and the published ones
network    a training step of SE-ResNet-20 and SE-ResNet-50 with each of them
growth     where the block's time comes from: bytes, multiply-adds or parameters
notebooks  each notebook's time and memory beside one that only imports torch and matplotlib
classroom  several kernels at once

Each prints one table and writes it to `results/`. `block --neighbours 2` measures while two other programs,
of `neighbours`, keep the cores busy. The first three want the environment of `make peers`.
"""
