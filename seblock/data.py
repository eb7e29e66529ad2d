"""Handed on from version 0.1: what stood here is in `photos`, `puzzles` and `cifar10`."""

from seblock.moved import hand_on

PHOTOS = (
    *("CHANNELS", "BRIGHT", "RED", "GREEN", "BLUE"),
    *("named_filters", "responses", "features", "tint", "hand_set_gate"),
)

__getattr__ = hand_on(
    __name__,
    {
        "photos": "seblock.photos.load",
        "LEVEL": "seblock.photos.HORIZONTAL",
        "UPRIGHT": "seblock.photos.VERTICAL",
        **{name: f"seblock.photos.{name}" for name in PHOTOS},
        **{name: f"seblock.puzzles.{name}" for name in ("Puzzle", "distance", "painting_puzzle")},
        "Images": "seblock.cifar10.Images",
        "CIFAR10_CLASSES": "seblock.cifar10.CLASSES",
        "CIFAR10_FILES": "seblock.cifar10.FILES",
        "CIFAR10_FOLDER": "seblock.cifar10.FOLDER",
        "CIFAR10_URL": "seblock.cifar10.URL",
        "CIFAR10_MD5": "seblock.cifar10.MD5",
        "IMAGES_EACH": "seblock.cifar10.IMAGES_EACH",
        "BYTES_EACH": "seblock.cifar10.BYTES_EACH",
        "folder_of": "seblock.cifar10.find_folder",
        "cifar10": "seblock.cifar10.load",
        "download_cifar10": "seblock.cifar10.download",
        "normalised": "seblock.cifar10.normalise",
    },
)
