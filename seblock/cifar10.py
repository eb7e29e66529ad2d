"""CIFAR-10's photographs, 32×32 pixels in ten classes: fetched, read and normalise."""

import mmap
import os
import shutil
import tarfile
import tempfile
import zlib
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from torch import Tensor


class Images(NamedTuple):
    """Small photographs and what they show."""

    x: Tensor
    """Red, green, blue, (N, 3, 32, 32), bytes in 0..255."""
    y: Tensor
    """Classes, (N,), as positions in `CLASSES`."""


CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
"""CIFAR-10's classes in the order of its labels."""

FILES = {
    "train": tuple(f"data_batch_{part}.bin" for part in range(1, 6)),
    "test": ("test_batch.bin",),
}
"""The files of the binary version: 10,000 images each, a label byte and 3 × 32 × 32 colour bytes an image."""

FOLDER = "cifar-10-batches-bin"
"""The folder that the official archive unpacks into."""

URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"

IMAGES_EACH, BYTES_EACH = 10_000, 1 + 3 * 32 * 32
"""Images a file, bytes an image."""


def find_folder(directory: str | Path) -> Path:
    """Where CIFAR-10's files are looked for: in the folder `cifar-10-batches-bin`, if there is one."""
    folder = Path(directory) / FOLDER
    return folder if folder.is_dir() else folder.parent


def load(
    directory: str | Path, part: Literal["train", "test"] = "train", images: int | None = None
) -> Images:
    """CIFAR-10 from a directory that holds the official binary version, or holds `cifar-10-batches-bin`.

    The files are memory-mapped: of a part, only the first `images` images are read (all, if not given).
    Raises FileNotFoundError for a missing file, another OSError for one that cannot be read; ValueError for
    a file of another size, a label above 9, another part, or a number of images that the part does not have.
    """
    if part not in FILES:
        raise ValueError(f'part must be "train" or "test", got {part!r}')
    folder, files, size = find_folder(directory), FILES[part], IMAGES_EACH * BYTES_EACH
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


def download(directory: str | Path, url: str = URL, md5: str = MD5) -> None:
    """Fetch CIFAR-10's binary version, 170 MB, for `load(directory)`; nothing, where it is there already.

    A file comes to its place in one step and whole: what is broken off leaves it as it was. Raises
    ConnectionError where the archive cannot be had, OSError where it is not the one that `md5` names.
    """
    files, size = [*FILES["train"], *FILES["test"]], IMAGES_EACH * BYTES_EACH
    places = [find_folder(directory) / name for name in files]
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
        unpacked = Path(beside) / FOLDER
        unpacked.mkdir()
        try:
            with tarfile.open(archive) as members:
                for member in members:
                    # Nothing else is unpacked, be it a link, a path that leads elsewhere, or too long.
                    name = member.name.removeprefix("./").removeprefix(f"{FOLDER}/")
                    if name in files and member.isreg() and member.size == size:
                        with open(unpacked / name, "wb") as file:
                            shutil.copyfileobj(members.extractfile(member), file)  # type: ignore[arg-type]
                            os.fsync(file.fileno())
        except (tarfile.TarError, EOFError, zlib.error) as error:
            raise OSError(f"{url} is no archive that can be unpacked") from error
        for name in files:
            if not (unpacked / name).is_file():
                raise OSError(f"the archive at {url} holds no {name} of {size:,} bytes")
        (directory / FOLDER).mkdir(exist_ok=True)
        for name in files:
            os.replace(unpacked / name, directory / FOLDER / name)


def normalise(x: Tensor) -> Tensor:
    """Bytes less CIFAR-10's mean colour, over its standard deviation: (N, 3, H, W) in 0..255 -> floats.

    Mean and standard deviation are of the training images' 51 million pixels.
    """
    mean, deviation = _colours(x.device)
    return (x - mean) / deviation


@cache
def _colours(device: torch.device) -> tuple[Tensor, Tensor]:
    """The mean and the standard deviation of red, green and blue; kept, so that a CUDA graph may use them."""
    mean, deviation = torch.tensor([[125.3, 123.0, 113.9], [63.0, 62.1, 66.7]], device=device).view(
        2, 3, 1, 1
    )
    return mean, deviation
