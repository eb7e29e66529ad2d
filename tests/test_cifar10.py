"""CIFAR-10 is fetched whole or not at all, and read as its files say."""

import hashlib
import http.server
import inspect
import io
import os
import random
import socket
import struct
import tarfile
import threading

import pytest
import torch

from seblock import cifar10

FILES = [f"data_batch_{part}.bin" for part in range(1, 6)] + ["test_batch.bin"]
EACH, RECORD = 10_000, 3073


def write_records(path, records):
    """A file of the binary version with some records, {place: (label, 3072 bytes)}, zeros elsewhere."""
    with open(path, "wb") as file:
        file.truncate(EACH * RECORD)  # sparse: it takes no room on the disk
        for place, (label, pixels) in records.items():
            file.seek(place * RECORD)
            file.write(struct.pack(f"B{RECORD - 1}s", label, pixels))


@pytest.fixture
def cifar(tmp_path):
    draw = random.Random(0)
    records = {}
    for number, name in enumerate(FILES):
        records[name] = {p: ((p + number) % 10, draw.randbytes(RECORD - 1)) for p in (0, 1, 4_999, EACH - 1)}
        write_records(tmp_path / name, records[name])
    return tmp_path, records


@pytest.mark.parametrize("part", ["train", "test"])
def test_the_images_and_labels_of_cifar10_are_those_of_the_files_in_their_order(cifar, part):
    directory, records = cifar
    images = cifar10.load(directory, part)
    names = FILES[:5] if part == "train" else FILES[5:]
    assert images.x.shape == (len(names) * EACH, 3, 32, 32)
    assert (images.x.dtype, images.y.dtype) == (torch.uint8, torch.int64)
    for number, name in enumerate(names):
        for place, (label, pixels) in records[name].items():
            image = images.x[number * EACH + place]
            assert images.y[number * EACH + place] == label
            assert [int(v) for v in image.flatten()] == list(pixels)
            assert image[1, 2, 3] == pixels[1024 + 2 * 32 + 3]  # green, third row, fourth column
            assert image[2, 31, 0] == pixels[2 * 1024 + 31 * 32]
    assert images.y.count_nonzero() == sum(label > 0 for name in names for label, _ in records[name].values())


def test_the_images_may_lie_in_the_folder_that_the_official_archive_unpacks_into(cifar, tmp_path):
    directory, records = cifar
    (directory / "cifar-10-batches-bin").mkdir()
    for name in FILES:
        (directory / name).rename(directory / "cifar-10-batches-bin" / name)
    one = cifar10.load(str(tmp_path), "test", 1)
    assert bytes(one.x.flatten().tolist()) == records[FILES[5]][0][1]


def test_only_as_many_images_are_read_as_are_asked_for(cifar):
    directory, _ = cifar
    for name in FILES[1:5]:
        (directory / name).unlink()
    write_records(directory / FILES[0], {0: (3, bytes(RECORD - 1)), 7: (200, bytes(RECORD - 1))})
    assert cifar10.load(directory, images=7).y.tolist() == [3, 0, 0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="label of 200"):
        cifar10.load(directory, images=8)
    with pytest.raises(FileNotFoundError, match=r"data_batch_2\.bin is missing"):
        cifar10.load(directory, images=EACH + 1)


def test_images_may_end_within_the_second_file(cifar):
    directory, records = cifar
    images = cifar10.load(directory, images=EACH + 2)
    assert len(images.y) == EACH + 2
    assert images.y[EACH:].tolist() == [records[FILES[1]][place][0] for place in (0, 1)]


def test_what_is_done_to_the_images_is_not_done_to_the_files(cifar):
    directory, _ = cifar
    before = (directory / FILES[5]).read_bytes()
    for path in directory.iterdir():
        path.chmod(0o444)
    images = cifar10.load(directory, "test")
    images.x.fill_(7)
    images.y.fill_(7)
    assert (directory / FILES[5]).read_bytes() == before


@pytest.mark.parametrize("size", [0, 1, EACH * RECORD - 1, EACH * RECORD + 1])
def test_a_file_of_another_size_is_refused_with_both_sizes(cifar, size):
    directory, _ = cifar
    os.truncate(directory / FILES[2], size)
    with pytest.raises(ValueError, match=rf"data_batch_3\.bin has {size:,} bytes, not 30,730,000"):
        cifar10.load(directory)


def test_a_missing_file_a_folder_in_its_place_and_a_wrong_directory_are_named(cifar):
    directory, _ = cifar
    (directory / FILES[5]).unlink()
    (directory / FILES[5]).mkdir()
    with pytest.raises(FileNotFoundError, match=r"test_batch\.bin is missing: name the directory"):
        cifar10.load(directory, "test")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        cifar10.load(directory / "nowhere")


def test_a_label_above_nine_a_misspelt_part_and_an_impossible_number_of_images_are_refused(cifar):
    directory, _ = cifar
    write_records(directory / FILES[4], {EACH - 1: (10, bytes(RECORD - 1))})
    with pytest.raises(ValueError, match="label of 10"):
        cifar10.load(directory)
    with pytest.raises(ValueError, match="tset"):
        cifar10.load(directory, "tset")
    for part, images in (("train", 0), ("train", -3), ("train", 50_001), ("test", 10_001)):
        with pytest.raises(ValueError, match=f"got {images}"):
            cifar10.load(directory, part, images)


def test_normalised_bytes_have_mean_zero_and_deviation_one_at_the_stated_colours():
    mean, deviation = torch.tensor([125.3, 123.0, 113.9]), torch.tensor([63.0, 62.1, 66.7])
    x = torch.arange(256, dtype=torch.uint8).expand(2, 3, 256).reshape(2, 3, 16, 16)
    expected = torch.stack([(x[:, c].double() - mean[c]) / deviation[c] for c in range(3)], dim=1)
    torch.testing.assert_close(cifar10.normalise(x), expected.float())


def archive_of(members):
    """A tar.gz from names and sizes; a string instead of a size is a link's target."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as archive:
        for name, size in members:
            member = tarfile.TarInfo(name)
            if isinstance(size, str):
                member.type, member.linkname = tarfile.SYMTYPE, size
                member.size = EACH * RECORD  # as the file that it stands for
                archive.addfile(member)
            else:
                member.size = size
                archive.addfile(member, io.BytesIO(bytes(size)))
    return file.getvalue()


@pytest.fixture(scope="module")
def official():
    """As the official archive, of zeros, with a few members that nobody should unpack."""
    inside = [(f"cifar-10-batches-bin/{name}", EACH * RECORD) for name in FILES]
    others = [
        ("cifar-10-batches-bin/readme.html", 88),
        ("../escaped.bin", 3),
        ("/tmp/escaped-from-an-archive.bin", 3),
        ("cifar-10-batches-bin/../../escaped.bin", 3),
        ("cifar-10-batches-bin/link.bin", "/etc"),
        ("cifar-10-batches-bin/link.bin/escaped.bin", 3),
    ]
    return archive_of(others + inside)


@pytest.fixture
def served(monkeypatch):
    """Serve bytes on the loopback address: serve(content, promised length) -> url, and what was asked for."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    asked, servers = [], []

    def serve(content, promised=None):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(promised or len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        servers.append((server, threading.Thread(target=server.serve_forever, args=(0.01,))))
        servers[-1][1].start()
        return f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz"

    yield serve, asked
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def md5(content):
    return hashlib.md5(content).hexdigest()


def all_in(directory):
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_cifar10_is_downloaded_once_and_nothing_else_is_unpacked(tmp_path, served, official, capsys):
    serve, asked = served
    url, directory = serve(official), tmp_path / "deep" / "data"
    cifar10.download(directory, url, md5(official))
    assert "100%" in capsys.readouterr().err  # the progress bar
    assert len(cifar10.load(directory).y) == 5 * EACH
    assert len(cifar10.load(directory, "test").y) == EACH
    folder = "cifar-10-batches-bin"
    assert all_in(tmp_path) == sorted(
        ["deep", "deep/data", f"deep/data/{folder}", *(f"deep/data/{folder}/{name}" for name in FILES)]
    )
    assert len(asked) == 1
    cifar10.download(directory, url, md5(official))
    cifar10.download(directory / folder, url, md5(official))
    assert len(asked) == 1
    (directory / folder / FILES[3]).unlink()
    cifar10.download(directory, url, md5(official))
    assert len(asked) == 2
    os.truncate(directory / folder / FILES[5], 5)
    cifar10.download(directory, url, md5(official))
    assert len(asked) == 3
    assert len(cifar10.load(directory).y) == 5 * EACH
    assert len(cifar10.load(directory, "test").y) == EACH


def test_an_archive_with_another_checksum_is_not_unpacked(tmp_path, served, official):
    serve, _ = served
    with pytest.raises(OSError, match="is not the file of MD5 0123"):
        cifar10.download(tmp_path, serve(official), "0123456789abcdef0123456789abcdef")
    assert all_in(tmp_path) == []


def test_a_transfer_that_breaks_off_leaves_nothing(tmp_path, served, official):
    serve, _ = served
    with pytest.raises(ConnectionError, match="could not be fetched"):
        cifar10.download(tmp_path, serve(official[:5_000], len(official)), md5(official))
    with pytest.raises(OSError, match="no archive"):  # even if the checksum were that of the torn file
        cifar10.download(tmp_path, serve(official[:5_000]), md5(official[:5_000]))
    assert all_in(tmp_path) == []


def test_without_a_network_one_sentence_says_how_to_do_without(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{free.getsockname()[1]}/cifar-10-binary.tar.gz"
        with pytest.raises(ConnectionError, match=rf"{url} could not be fetched .* unpack it into") as caught:
            cifar10.download(tmp_path, url)
    assert "\n" not in str(caught.value)
    assert all_in(tmp_path) == []


@pytest.mark.parametrize("wrong", [None, 5, "test_batch.bin", "/etc/hostname"], ids=str)
def test_an_archive_that_lacks_a_whole_file_leaves_what_was_there(tmp_path, served, wrong):
    members = [(f"cifar-10-batches-bin/{FILES[0]}", wrong)] if wrong is not None else []
    content = archive_of(members)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    mine = tmp_path / "cifar-10-batches-bin" / FILES[0]
    mine.write_text("mine")
    with pytest.raises(OSError, match=r"holds no data_batch_1\.bin of 30,730,000 bytes"):
        cifar10.download(tmp_path, served[0](content), md5(content))
    assert all_in(tmp_path) == ["cifar-10-batches-bin", f"cifar-10-batches-bin/{FILES[0]}"]
    assert mine.read_text() == "mine"


def test_the_official_archive_is_the_default():
    defaults = inspect.signature(cifar10.download).parameters
    assert defaults["url"].default == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert defaults["md5"].default == "c32a1d4ab5d03f1284b67883e8d87530"
