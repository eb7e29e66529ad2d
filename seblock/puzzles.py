"""What the notebooks look at: two photos, six filters a person can name, the painting puzzle, CIFAR-10."""

import mmap
import os
import shutil
import tarfile
import tempfile
import zlib
from pathlib import Path
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

CHANNELS = ("bright", "level edges", "upright edges", "red", "green", "blue")
"""What the six named filters find: channel c of the formulas is CHANNELS[c - 1]."""

BRIGHT, LEVEL, UPRIGHT, RED, GREEN, BLUE = range(6)
"""Where a named channel is in code: u[:, RED] is u_4."""


def photos() -> Tensor:
    """scikit-learn's `china.jpg` (a temple) and `flower.jpg`, (2, 3, 160, 240), red green blue in 0..1."""
    from sklearn.datasets import load_sample_image

    pixels = [torch.from_numpy(load_sample_image(f).copy()) for f in ("china.jpg", "flower.jpg")]
    images = torch.stack(pixels).permute(0, 3, 1, 2) / 255
    return F.interpolate(images, size=(160, 240), mode="area")


def named_filters() -> Tensor:
    """V: six 3×3 filters over red, green, blue, (6, 3, 3, 3), in the order of `CHANNELS`.

    Each is a colour times a pattern. "red" is twice red less green less blue, averaged over 3×3 positions;
    "level edges" is positive where it is dark above and light below, "upright edges" dark left, light right.
    """
    flat = torch.full((3, 3), 1 / 9)
    level = torch.tensor([[-1.0, -2, -1], [0, 0, 0], [1, 2, 1]])
    grey = torch.full((3,), 1 / 3)
    red, green, blue = 3 * torch.eye(3) - 1
    pairs = [(grey, flat), (grey, level), (grey, level.T), (red, flat), (green, flat), (blue, flat)]
    return torch.stack([colour[:, None, None] * pattern for colour, pattern in pairs])


def responses(x: Tensor, v: Tensor | None = None) -> Tensor:
    """v ∗ x at every position, the border pixel repeated: (N, 3, H, W) -> (N, C, H, W).

    v: filters (C, 3, 3, 3), the named ones if not given.
    """
    v = named_filters() if v is None else v
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), v)


def features(x: Tensor, v: Tensor | None = None) -> Tensor:
    """U: what the filters find, `responses` with all below zero cut off: (N, 3, H, W) -> (N, C, H, W)."""
    return responses(x, v).relu()


def tint(x: Tensor, t: float) -> Tensor:
    """Red times 1 - t and blue times 1 + t, cut at 1: colder for t > 0, warmer for t < 0. (N, 3, H, W)."""
    factors = torch.tensor([1 - t, 1, 1 + t])[:, None, None]
    return (x * factors).clamp(0, 1)


def hand_set_gate() -> tuple[Tensor, Tensor]:
    """W₁, (2, 6), and W₂, (6, 2): more blue than red closes "red", more red than blue closes "blue".

    Hidden unit 1 is δ(20 (z_blue - z_red)), unit 2 is δ(20 (z_red - z_blue)); each is wired to the gate it
    closes with weight -4. The other gates stay at σ(0) = 0.5.
    """
    w1, w2 = torch.zeros(2, 6), torch.zeros(6, 2)
    w1[0, BLUE], w1[0, RED] = 20, -20
    w1[1, BLUE], w1[1, RED] = -20, 20
    w2[RED, 0] = w2[BLUE, 1] = -4
    return w1, w2


class Puzzle(NamedTuple):
    """A batch of the painting puzzle."""

    x: Tensor
    """Inputs, (N, 3, 20, 20) in 0..1: a digit, another digit, the cue."""
    target: Tensor
    """The digit that the cue names, where it lies, (N, 1, 20, 20)."""
    other: Tensor
    """The digit that it does not name, (N, 1, 20, 20)."""
    cue: Tensor
    """0: upright stripes name channel 1's digit. 1: level stripes name channel 2's. (N,)."""
    named: Tensor
    """The class of the digit that the cue names, 0..9, (N,)."""
    unnamed: Tensor
    """The class of the other one, (N,)."""

    def painted(self, output: Tensor) -> Tensor:
        """Which pictures, (N, 1, 20, 20), are nearer to the named digit than to the other: (N,), bool."""
        return distance(output, self.target) < distance(output, self.other)


def distance(one: Tensor, other: Tensor) -> Tensor:
    """The mean squared difference, image by image: twice (N, …) -> (N,)."""
    return (one - other).square().flatten(1).mean(dim=1)


def painting_puzzle(images: int, seed: int, part: Literal["train", "test"] = "train") -> Puzzle:
    """Two handwritten digits, and a patch of stripes in a far corner that names one of them.

    Channels 1 and 2 hold scikit-learn's 8×8 digits, of two different classes, somewhere in the upper
    left 13×13; channel 3 holds 4×4 stripes in the lower right corner, four steps or more from any pixel
    of a digit. part: "test" draws from the last 300 of the 1,797 digits, "train" from the others.
    Raises ValueError for another part.
    """
    if part not in ("train", "test"):
        raise ValueError(f'part must be "train" or "test", got {part!r}')
    from sklearn.datasets import load_digits

    digits = load_digits()
    chosen = slice(-300, None) if part == "test" else slice(None, -300)
    pictures = torch.from_numpy(digits.images[chosen]).float() / 16
    labels = torch.from_numpy(digits.target[chosen])
    draw = torch.Generator().manual_seed(seed)

    x = torch.zeros(images, 3, 20, 20)
    stripes = torch.tensor([1.0, 0, 1, 0]).expand(4, 4)
    cue = torch.randint(2, (images,), generator=draw)
    classes = torch.zeros(images, 2, dtype=torch.long)
    for n in range(images):
        first = int(torch.randint(len(labels), (), generator=draw))
        others = (labels != labels[first]).nonzero().flatten()
        second = int(others[torch.randint(len(others), (), generator=draw)])
        classes[n] = labels[[first, second]]
        for channel, digit in enumerate((first, second)):
            top, left = torch.randint(6, (2,), generator=draw).tolist()
            x[n, channel, top : top + 8, left : left + 8] = pictures[digit]
        x[n, 2, 16:, 16:] = stripes.T if cue[n] else stripes
    row = torch.arange(images)
    targets = x[row, cue][:, None], x[row, 1 - cue][:, None]
    return Puzzle(x, *targets, cue, classes[row, cue], classes[row, 1 - cue])


class Images(NamedTuple):
    """Small photographs and what they show."""

    x: Tensor
    """Red, green, blue, (N, 3, 32, 32), bytes in 0..255."""
    y: Tensor
    """Classes, (N,), as positions in `CIFAR10_CLASSES`."""


CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
"""CIFAR-10's classes in the order of its labels."""

CIFAR10_FILES = {
    "train": tuple(f"data_batch_{part}.bin" for part in range(1, 6)),
    "test": ("test_batch.bin",),
}
"""The files of the binary version: 10,000 images each, a label byte and 3 × 32 × 32 colour bytes an image."""

CIFAR10_FOLDER = "cifar-10-batches-bin"
"""The folder that the official archive unpacks into."""

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"

IMAGES_EACH, BYTES_EACH = 10_000, 1 + 3 * 32 * 32
"""Images a file, bytes an image."""


def folder_of(directory: str | Path) -> Path:
    """Where CIFAR-10's files are looked for: in the folder `cifar-10-batches-bin`, if there is one."""
    folder = Path(directory) / CIFAR10_FOLDER
    return folder if folder.is_dir() else folder.parent


def cifar10(
    directory: str | Path, part: Literal["train", "test"] = "train", images: int | None = None
) -> Images:
    """CIFAR-10 from a directory that holds the official binary version, or holds `cifar-10-batches-bin`.

    The files are memory-mapped: of a part, only the first `images` images are read (all, if not given).
    Raises FileNotFoundError for a missing file, another OSError for one that cannot be read; ValueError for
    a file of another size, a label above 9, another part, or a number of images that the part does not have.
    """
    if part not in CIFAR10_FILES:
        raise ValueError(f'part must be "train" or "test", got {part!r}')
    folder, files, size = folder_of(directory), CIFAR10_FILES[part], IMAGES_EACH * BYTES_EACH
    wanted = len(files) * IMAGES_EACH if images is None else images
    if not 0 < wanted <= len(files) * IMAGES_EACH:
        raise ValueError(f"images must lie between 1 and {len(files) * IMAGES_EACH:,}, got {images}")
    pieces: list[Tensor] = []
    for name in files[: -(-wanted // IMAGES_EACH)]:
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing: name the directory of CIFAR-10's binary version")
        with open(path, "rb") as file:
            if (found := os.fstat(file.fileno()).st_size) != size:
                raise ValueError(f"{path} has {found:,} bytes, not {size:,}: unpack it again")
            # a private copy of each page that is written to, so that PyTorch may take it for its own
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        records = torch.frombuffer(mapped, dtype=torch.uint8).view(IMAGES_EACH, BYTES_EACH)
        pieces.append(records[: wanted - len(pieces) * IMAGES_EACH])
    records = torch.cat(pieces)
    y = records[:, 0].long()
    if int(y.max()) > 9:
        raise ValueError(f"{folder} holds a label of {int(y.max())}: these are not CIFAR-10's files")
    return Images(records[:, 1:].reshape(-1, 3, 32, 32), y)


def download_cifar10(directory: str | Path, url: str = CIFAR10_URL, md5: str = CIFAR10_MD5) -> None:
    """Fetch CIFAR-10's binary version, 170 MB, for `cifar10(directory)`; nothing, where it is there already.

    A file comes to its place in one step and whole: what is broken off leaves it as it was. Raises
    ConnectionError where the archive cannot be had, OSError where it is not the one that `md5` names.
    """
    files, size = [*CIFAR10_FILES["train"], *CIFAR10_FILES["test"]], IMAGES_EACH * BYTES_EACH
    places = [folder_of(directory) / name for name in files]
    if all(place.is_file() and place.stat().st_size == size for place in places):
        return
    import pooch
    from requests import RequestException

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="download-", dir=directory) as beside:
        try:
            loader = pooch.HTTPDownloader(progressbar=True)
            archive = pooch.retrieve(url, f"md5:{md5}", "archive.tar.gz", beside, downloader=loader)
        except RequestException as error:
            raise ConnectionError(
                f"{url} could not be fetched ({type(error).__name__}): try again, "
                f"or fetch it elsewhere and unpack it into {directory}"
            ) from error
        except ValueError as error:  # pooch's word for another checksum
            raise OSError(f"what {url} sent is not the file of MD5 {md5}: try again") from error
        unpacked = Path(beside) / CIFAR10_FOLDER
        unpacked.mkdir()
        try:
            with tarfile.open(archive) as members:
                for member in members:
                    # Nothing else is unpacked, be it a link, a path that leads elsewhere, or too long.
                    name = member.name.removeprefix("./").removeprefix(f"{CIFAR10_FOLDER}/")
                    if name in files and member.isreg() and member.size == size:
                        with open(unpacked / name, "wb") as file:
                            shutil.copyfileobj(members.extractfile(member), file)  # type: ignore[arg-type]
                            os.fsync(file.fileno())
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise OSError(f"{url} is no archive that can be unpacked") from error
        for name in files:
            if not (unpacked / name).is_file():
                raise OSError(f"the archive at {url} holds no {name} of {size:,} bytes")
        (directory / CIFAR10_FOLDER).mkdir(exist_ok=True)
        for name in files:
            os.replace(unpacked / name, directory / CIFAR10_FOLDER / name)


def normalised(x: Tensor) -> Tensor:
    """Bytes less CIFAR-10's mean colour, over its standard deviation: (N, 3, H, W) in 0..255 -> floats.

    Mean and standard deviation are of the training images' 51 million pixels.
    """
    mean = torch.tensor([125.3, 123.0, 113.9], device=x.device).view(3, 1, 1)
    deviation = torch.tensor([63.0, 62.1, 66.7], device=x.device).view(3, 1, 1)
    return (x - mean) / deviation
