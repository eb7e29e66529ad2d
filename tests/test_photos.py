"""What the notebooks look at has the properties that their text relies on."""

import hashlib
import http.server
import inspect
import io
import math
import os
import random
import socket
import struct
import tarfile
import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits, load_sample_image

from seblock import data
from seblock.data import BLUE, BRIGHT, CHANNELS, GREEN, LEVEL, RED, UPRIGHT
from seblock.functional import excite, squeeze


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def plain_colour(red, green, blue):
    return torch.tensor([red, green, blue])[None, :, None, None].expand(1, 3, 5, 4).contiguous()


def test_the_photos_are_two_images_with_values_from_zero_to_one():
    x = data.photos()
    assert x.shape == (2, 3, 160, 240)
    assert x.dtype == torch.float32
    assert 0 <= x.min() < 0.05
    assert 0.95 < x.max() <= 1
    assert torch.equal(x, data.photos())


def test_the_photos_are_the_temple_and_the_flower_the_right_way_up_and_red_green_blue():
    for photo, file in zip(data.photos(), ("china.jpg", "flower.jpg"), strict=True):
        original = torch.from_numpy(load_sample_image(file).copy()).permute(2, 0, 1) / 255
        coarse, expected = (F.adaptive_avg_pool2d(image, (8, 12)) for image in (photo, original))
        torch.testing.assert_close(coarse, expected, rtol=0, atol=0.01)


def test_each_channel_has_a_name_and_each_name_a_place():
    assert CHANNELS[BRIGHT] == "bright"
    assert CHANNELS[LEVEL] == "level edges"
    assert CHANNELS[UPRIGHT] == "upright edges"
    assert CHANNELS[RED] == "red"
    assert CHANNELS[GREEN] == "green"
    assert CHANNELS[BLUE] == "blue"
    assert data.named_filters().shape == (len(CHANNELS), 3, 3, 3)


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((1.0, 0.0, 0.0), {RED: 2, GREEN: -1, BLUE: -1, BRIGHT: 1 / 3}),
        ((0.0, 1.0, 0.0), {RED: -1, GREEN: 2, BLUE: -1, BRIGHT: 1 / 3}),
        ((0.0, 0.0, 1.0), {RED: -1, GREEN: -1, BLUE: 2, BRIGHT: 1 / 3}),
        ((1.0, 1.0, 1.0), {RED: 0, GREEN: 0, BLUE: 0, BRIGHT: 1}),
        ((0.4, 0.4, 0.4), {RED: 0, GREEN: 0, BLUE: 0, BRIGHT: 0.4}),
        ((0.0, 0.0, 0.0), {RED: 0, GREEN: 0, BLUE: 0, BRIGHT: 0}),
    ],
    ids=["red", "green", "blue", "white", "grey", "black"],
)
def test_a_colour_filter_finds_its_colour_and_nothing_in_grey(colour, expected):
    u = data.responses(plain_colour(*colour))
    for channel, value in {**expected, LEVEL: 0, UPRIGHT: 0}.items():
        torch.testing.assert_close(u[0, channel], torch.full((5, 4), float(value)), rtol=0, atol=1e-5)


def test_the_level_filter_is_positive_where_it_is_dark_above_and_light_below():
    x = torch.zeros(1, 3, 6, 5)
    x[:, :, 3:] = 1
    at_rows = torch.tensor([0.0, 0, 4, 4, 0, 0])[:, None].expand(6, 5)
    for image, sign in ((x, 1), (x.flip(2), -1)):
        u = data.responses(image)[0]
        torch.testing.assert_close(u[LEVEL], sign * at_rows, rtol=0, atol=1e-5)
        torch.testing.assert_close(u[UPRIGHT], torch.zeros(6, 5), rtol=0, atol=1e-5)
    assert data.features(x.flip(2))[0, LEVEL].abs().max() < 1e-5


def test_the_upright_filter_is_positive_where_it_is_dark_left_and_light_right():
    x = torch.zeros(1, 3, 5, 6)
    x[:, :, :, 3:] = 1
    at_columns = torch.tensor([0.0, 0, 4, 4, 0, 0]).expand(5, 6)
    for image, sign in ((x, 1), (x.flip(3), -1)):
        u = data.responses(image)[0]
        torch.testing.assert_close(u[UPRIGHT], sign * at_columns, rtol=0, atol=1e-5)
        torch.testing.assert_close(u[LEVEL], torch.zeros(5, 6), rtol=0, atol=1e-5)


def test_the_colour_and_brightness_filters_average_over_nine_positions():
    x = torch.zeros(1, 3, 5, 5)
    x[0, 0, 2, 2] = 9
    u = data.responses(x)[0]
    around = F.pad(torch.ones(3, 3), (1, 1, 1, 1))
    for channel, value in ((BRIGHT, 1 / 3), (RED, 2), (GREEN, -1), (BLUE, -1)):
        torch.testing.assert_close(u[channel], value * around)


@pytest.mark.parametrize("filters", [None, (4, 3, 3, 3)], ids=["named", "own"])
def test_responses_slide_the_filters_over_the_image_with_its_border_repeated(filters):
    x = torch.rand(2, 3, 5, 7)
    own = () if filters is None else (torch.randn(filters),)
    v = own[0] if own else data.named_filters()
    padded = torch.from_numpy(np.pad(x.numpy(), [(0, 0), (0, 0), (1, 1), (1, 1)], mode="edge"))
    expected = torch.einsum("nsijab,csab->ncij", padded.unfold(2, 3, 1).unfold(3, 3, 1), v)
    torch.testing.assert_close(data.responses(x, *own), expected, rtol=1e-4, atol=1e-5)
    assert (expected < 0).any()  # or nothing would be cut off below
    torch.testing.assert_close(data.features(x, *own), expected.clamp(min=0), rtol=1e-4, atol=1e-5)


def test_the_tint_moves_light_from_red_to_blue_and_back():
    x = torch.rand(2, 3, 5, 7)
    for t in (0.3, -0.3, 0.0):
        expected = torch.stack([x[:, 0] * (1 - t), x[:, 1], x[:, 2] * (1 + t)], dim=1)
        torch.testing.assert_close(data.tint(x, t), expected.clamp(max=1))
    assert torch.equal(data.tint(x, 0), x)
    white = data.tint(plain_colour(1.0, 1.0, 1.0), 0.25)
    assert white[0, :, 0, 0].tolist() == [0.75, 1, 1]


@pytest.mark.parametrize("difference", [0.05, 0.2])
def test_the_hand_set_gate_closes_red_where_there_is_more_blue_and_blue_where_there_is_more_red(difference):
    z = torch.full((3, 6), 0.4)
    z[0, BLUE] += difference
    z[1, RED] += difference
    s = excite(z, *data.hand_set_gate())
    closed = 1 / (1 + math.exp(4 * 20 * difference))
    expected = torch.full((3, 6), 0.5)
    expected[0, RED] = expected[1, BLUE] = closed
    assert closed < 0.02
    torch.testing.assert_close(s, expected, rtol=1e-4, atol=1e-7)


def test_the_hand_set_gate_does_not_look_at_the_other_channels():
    z = torch.rand(5, 6)
    moved = z.clone()
    moved[:, [BRIGHT, LEVEL, UPRIGHT, GREEN]] += torch.rand(5, 4)
    assert torch.equal(excite(z, *data.hand_set_gate()), excite(moved, *data.hand_set_gate()))


def test_the_hand_set_gate_turns_with_the_tint_of_the_photos():
    for t, closed, open_ in ((0.6, RED, BLUE), (-0.6, BLUE, RED)):
        s = excite(squeeze(data.features(data.tint(data.photos(), t))), *data.hand_set_gate())
        assert (s[:, closed] < s[:, open_]).all()
        assert (s[:, open_] == 0.5).all()


@pytest.fixture(scope="module", params=["train", "test"])
def puzzle(request):
    return request.param, data.painting_puzzle(400, seed=3, part=request.param)


def test_a_puzzle_has_the_promised_shapes_and_range(puzzle):
    _, p = puzzle
    assert p.x.shape == (400, 3, 20, 20)
    assert p.target.shape == p.other.shape == (400, 1, 20, 20)
    assert p.cue.shape == (400,)
    assert set(p.cue.tolist()) == {0, 1}
    assert p.x.min() == 0
    assert p.x.max() == 1


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_seed_repeats_its_puzzle_exactly_and_another_seed_does_not(part):
    state = torch.get_rng_state()
    first, again, another = (data.painting_puzzle(20, seed, part) for seed in (5, 5, 6))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first.x, another.x)
    assert not torch.equal(first.cue, another.cue)
    assert torch.equal(torch.get_rng_state(), state)  # the notebook's own random numbers stay as they are


def test_the_two_parts_differ_for_the_same_seed_and_train_is_the_default():
    train, test = data.painting_puzzle(20, 5), data.painting_puzzle(20, 5, "test")
    assert torch.equal(train.x, data.painting_puzzle(20, 5, "train").x)
    assert not torch.equal(train.x, test.x)


def test_the_target_is_the_digit_in_the_channel_that_the_cue_names(puzzle):
    _, p = puzzle
    for x, target, other, cue in zip(*p[:3], p.cue.tolist(), strict=True):
        assert torch.equal(target[0], x[cue])
        assert torch.equal(other[0], x[1 - cue])
        assert not torch.equal(target, other)


def test_the_classes_are_those_of_the_digits_drawn(puzzle):
    part, p = puzzle
    digits = load_digits()
    chosen = slice(-300, None) if part == "test" else slice(None, -300)
    known = {
        (image / 16).astype("float32").tobytes(): int(label)
        for image, label in zip(digits.images[chosen], digits.target[chosen])
    }
    for pictures, classes in ((p.target, p.named), (p.other, p.unnamed)):
        for picture, label in zip(pictures[:50, 0], classes[:50]):
            corners = [(top, left) for top in range(6) for left in range(6)]
            cuts = (picture[top : top + 8, left : left + 8] for top, left in corners)
            whole = (cut for cut in cuts if cut.sum() == picture.sum())
            assert int(label) in {known.get(cut.contiguous().numpy().tobytes()) for cut in whole}


def test_a_picture_is_right_if_it_is_nearer_to_the_named_digit(puzzle):
    _, p = puzzle
    assert p.painted(p.target).all()
    assert not p.painted(p.other).any()
    assert p.painted(0.51 * p.target + 0.49 * p.other).all()
    assert not p.painted(0.49 * p.target + 0.51 * p.other).any()


def test_upright_stripes_name_the_first_channel_and_level_stripes_the_second(puzzle):
    _, p = puzzle
    light_dark = torch.tensor([1.0, 0, 1, 0])
    for patch, cue in zip(p.x[:, 2, 16:, 16:], p.cue.tolist(), strict=True):
        lines = patch.unbind(0) if cue == 0 else patch.unbind(1)  # upright stripes: all rows are alike
        assert all(torch.equal(line, light_dark) for line in lines)


def test_nothing_but_the_patch_is_in_the_third_channel_and_it_is_equally_bright_for_both_cues(puzzle):
    _, p = puzzle
    assert torch.equal(p.x[:, 2].sum((1, 2)), torch.full((400,), 8.0))
    assert torch.equal(p.x[:, 2, 16:, 16:].sum((1, 2)), torch.full((400,), 8.0))


def test_digits_stay_four_steps_or_more_from_the_patch(puzzle):
    _, p = puzzle
    rows, columns = p.x[:, :2].amax((0, 1)).nonzero().unbind(1)
    steps = torch.maximum((16 - rows).clamp(min=0), (16 - columns).clamp(min=0))
    assert steps.min() >= 4
    assert rows.min() == columns.min() == 0
    assert rows.max() == 12  # digits fill their eight rows, though seldom their eight columns
    assert columns.max() <= 12


def test_both_cues_occur_about_equally_often(puzzle):
    _, p = puzzle
    assert 170 < p.cue.sum() < 230  # three standard deviations


@pytest.fixture(scope="module")
def where():
    """The places in scikit-learn's list, by the pixels of a digit."""
    places = {}
    for place, image in enumerate(load_digits().images):
        places.setdefault(image.astype(np.uint8).tobytes(), []).append(place)
    return places


def digit_in(channel, where):
    """Which of scikit-learn's digits lies in a channel, and its top left corner there."""
    pixels = (channel * 16).round().to(torch.uint8)
    found = set()
    for top in range(13):
        for left in range(13):
            window = pixels[top : top + 8, left : left + 8]
            if window.sum(dtype=torch.int64) == pixels.sum(dtype=torch.int64):
                places = where.get(window.contiguous().numpy().tobytes(), [])
                found.update((place, top, left) for place in places)
    assert len(found) == 1
    return found.pop()


def test_digits_are_whole_of_two_classes_and_of_their_own_part_and_lie_everywhere(puzzle, where):
    part, p = puzzle
    labels = load_digits().target
    seen = [[digit_in(channel, where) for channel in x[:2]] for x in p.x]
    for (first, *_), (second, *_) in seen:
        assert labels[first] != labels[second]
        assert all((digit >= 1797 - 300) == (part == "test") for digit in (first, second))
    for channel in range(2):
        digits, tops, lefts = zip(*(pair[channel] for pair in seen), strict=True)
        assert {int(labels[digit]) for digit in digits} == set(range(10))
        assert set(zip(tops, lefts, strict=True)) == {(i, j) for i in range(6) for j in range(6)}


def test_a_misspelt_part_of_the_digits_is_refused() -> None:
    with pytest.raises(ValueError, match="tset"):
        data.painting_puzzle(2, seed=0, part="tset")


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
    images = data.cifar10(directory, part)
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
    one = data.cifar10(str(tmp_path), "test", 1)
    assert bytes(one.x.flatten().tolist()) == records[FILES[5]][0][1]


def test_only_as_many_images_are_read_as_are_asked_for(cifar):
    directory, _ = cifar
    for name in FILES[1:5]:
        (directory / name).unlink()
    write_records(directory / FILES[0], {0: (3, bytes(RECORD - 1)), 7: (200, bytes(RECORD - 1))})
    assert data.cifar10(directory, images=7).y.tolist() == [3, 0, 0, 0, 0, 0, 0]
    with pytest.raises(ValueError, match="label of 200"):
        data.cifar10(directory, images=8)
    with pytest.raises(FileNotFoundError, match=r"data_batch_2\.bin is missing"):
        data.cifar10(directory, images=EACH + 1)


def test_images_may_end_within_the_second_file(cifar):
    directory, records = cifar
    images = data.cifar10(directory, images=EACH + 2)
    assert len(images.y) == EACH + 2
    assert images.y[EACH:].tolist() == [records[FILES[1]][place][0] for place in (0, 1)]


def test_what_is_done_to_the_images_is_not_done_to_the_files(cifar):
    directory, _ = cifar
    before = (directory / FILES[5]).read_bytes()
    for path in directory.iterdir():
        path.chmod(0o444)
    images = data.cifar10(directory, "test")
    images.x.fill_(7)
    images.y.fill_(7)
    assert (directory / FILES[5]).read_bytes() == before


@pytest.mark.parametrize("size", [0, 1, EACH * RECORD - 1, EACH * RECORD + 1])
def test_a_file_of_another_size_is_refused_with_both_sizes(cifar, size):
    directory, _ = cifar
    os.truncate(directory / FILES[2], size)
    with pytest.raises(ValueError, match=rf"data_batch_3\.bin has {size:,} bytes, not 30,730,000"):
        data.cifar10(directory)


def test_a_missing_file_a_folder_in_its_place_and_a_wrong_directory_are_named(cifar):
    directory, _ = cifar
    (directory / FILES[5]).unlink()
    (directory / FILES[5]).mkdir()
    with pytest.raises(FileNotFoundError, match=r"test_batch\.bin is missing: name the directory"):
        data.cifar10(directory, "test")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        data.cifar10(directory / "nowhere")


def test_a_label_above_nine_a_misspelt_part_and_an_impossible_number_of_images_are_refused(cifar):
    directory, _ = cifar
    write_records(directory / FILES[4], {EACH - 1: (10, bytes(RECORD - 1))})
    with pytest.raises(ValueError, match="label of 10"):
        data.cifar10(directory)
    with pytest.raises(ValueError, match="tset"):
        data.cifar10(directory, "tset")
    for part, images in (("train", 0), ("train", -3), ("train", 50_001), ("test", 10_001)):
        with pytest.raises(ValueError, match=f"got {images}"):
            data.cifar10(directory, part, images)


def test_normalised_bytes_have_mean_zero_and_deviation_one_at_the_stated_colours():
    mean, deviation = torch.tensor([125.3, 123.0, 113.9]), torch.tensor([63.0, 62.1, 66.7])
    x = torch.arange(256, dtype=torch.uint8).expand(2, 3, 256).reshape(2, 3, 16, 16)
    expected = torch.stack([(x[:, c].double() - mean[c]) / deviation[c] for c in range(3)], dim=1)
    torch.testing.assert_close(data.normalised(x), expected.float())


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
    data.download_cifar10(directory, url, md5(official))
    assert "100%" in capsys.readouterr().err  # the progress bar
    assert len(data.cifar10(directory).y) == 5 * EACH
    assert len(data.cifar10(directory, "test").y) == EACH
    folder = "cifar-10-batches-bin"
    assert all_in(tmp_path) == sorted(
        ["deep", "deep/data", f"deep/data/{folder}", *(f"deep/data/{folder}/{name}" for name in FILES)]
    )
    assert len(asked) == 1
    data.download_cifar10(directory, url, md5(official))
    data.download_cifar10(directory / folder, url, md5(official))
    assert len(asked) == 1
    (directory / folder / FILES[3]).unlink()
    data.download_cifar10(directory, url, md5(official))
    assert len(asked) == 2
    os.truncate(directory / folder / FILES[5], 5)
    data.download_cifar10(directory, url, md5(official))
    assert len(asked) == 3
    assert len(data.cifar10(directory).y) == 5 * EACH
    assert len(data.cifar10(directory, "test").y) == EACH


def test_an_archive_with_another_checksum_is_not_unpacked(tmp_path, served, official):
    serve, _ = served
    with pytest.raises(OSError, match="is not the file of MD5 0123"):
        data.download_cifar10(tmp_path, serve(official), "0123456789abcdef0123456789abcdef")
    assert all_in(tmp_path) == []


def test_a_transfer_that_breaks_off_leaves_nothing(tmp_path, served, official):
    serve, _ = served
    with pytest.raises(ConnectionError, match="could not be fetched"):
        data.download_cifar10(tmp_path, serve(official[:5_000], len(official)), md5(official))
    with pytest.raises(OSError, match="no archive"):  # even if the checksum were that of the torn file
        data.download_cifar10(tmp_path, serve(official[:5_000]), md5(official[:5_000]))
    assert all_in(tmp_path) == []


def test_without_a_network_one_sentence_says_how_to_do_without(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: refused
        url = f"http://127.0.0.1:{free.getsockname()[1]}/cifar-10-binary.tar.gz"
        with pytest.raises(ConnectionError, match=rf"{url} could not be fetched .* unpack it into") as caught:
            data.download_cifar10(tmp_path, url)
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
        data.download_cifar10(tmp_path, served[0](content), md5(content))
    assert all_in(tmp_path) == ["cifar-10-batches-bin", f"cifar-10-batches-bin/{FILES[0]}"]
    assert mine.read_text() == "mine"


def test_the_official_archive_is_the_default():
    defaults = inspect.signature(data.download_cifar10).parameters
    assert defaults["url"].default == "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    assert defaults["md5"].default == "c32a1d4ab5d03f1284b67883e8d87530"
