"""What `import seblock` gives, and that names of version 0.1 are handed on and say where they are now."""

import importlib
import pkgutil
import re
import subprocess
import sys

import pytest

import seblock
from seblock import blocks, cifar10, convert, moved, networks, photos, puzzles, train
from seblock.train import checkpoint, processes, recipe


def run_python(code, *options):
    return subprocess.run([sys.executable, *options, "-c", code], capture_output=True, text=True, check=True)


def test_importing_the_package_does_not_import_pytorch():
    loaded = run_python("import sys, seblock; print('torch' in sys.modules, 'numpy' in sys.modules)").stdout
    assert loaded.split() == ["False", "False"]


def test_the_blocks_can_be_imported_from_the_package_itself():
    names = "SELayer, SqEx, ResBlockSqEx"
    seen = run_python(f"from seblock import {names}; import seblock; print({names}, seblock.SqEx is SqEx)")
    assert seen.stdout.split() == [
        *("<class", "'seblock.blocks.SELayer'>", "<class", "'seblock.blocks.SqEx'>"),
        *("<class", "'seblock.blocks.ResBlockSqEx'>", "True"),
    ]
    from seblock import ResBlockSqEx, SELayer, SqEx

    assert (ResBlockSqEx, SELayer, SqEx) == (blocks.ResBlockSqEx, blocks.SELayer, blocks.SqEx)


def test_a_name_that_the_package_does_not_have_is_refused_as_usual():
    with pytest.raises(AttributeError, match="module 'seblock' has no attribute 'SENet'"):
        _ = seblock.SENet
    with pytest.raises(ImportError, match="cannot import name 'SENet'"):
        from seblock import SENet  # noqa: F401


def test_the_map_of_the_package_names_every_file_and_no_other():
    stated = re.findall(r"^(\w+)  +\S", seblock.__doc__, re.MULTILINE)
    found = {module.name for module in pkgutil.iter_modules(seblock.__path__)}
    assert len(stated) == len(set(stated))
    assert found - set(stated) == {"data", "moved"}  # which hand on former names
    assert set(stated) <= found


FORMER = {
    "seblock.data": {
        "photos": photos.load,
        "named_filters": photos.named_filters,
        "responses": photos.responses,
        "features": photos.features,
        "tint": photos.tint,
        "hand_set_gate": photos.hand_set_gate,
        "CHANNELS": photos.CHANNELS,
        "BRIGHT": 0,
        "LEVEL": 1,
        "UPRIGHT": 2,
        "RED": 3,
        "GREEN": 4,
        "BLUE": 5,
        "Puzzle": puzzles.Puzzle,
        "distance": puzzles.distance,
        "painting_puzzle": puzzles.painting_puzzle,
        "Images": cifar10.Images,
        "CIFAR10_CLASSES": cifar10.CLASSES,
        "CIFAR10_FILES": cifar10.FILES,
        "CIFAR10_FOLDER": "cifar-10-batches-bin",
        "CIFAR10_URL": cifar10.URL,
        "CIFAR10_MD5": cifar10.MD5,
        "IMAGES_EACH": 10_000,
        "BYTES_EACH": 3073,
        "folder_of": cifar10.find_folder,
        "cifar10": cifar10.load,
        "download_cifar10": cifar10.download,
        "normalised": cifar10.normalise,
    },
    "seblock.fast": {"convert": convert.to_fast, "Conversion": convert.Conversion},
    "seblock.networks": {
        "named": networks.build,
        "AddedTerm": puzzles.AddedTerm,
        "layers": puzzles.build_layers,
        "painter": puzzles.painter,
        "reader": puzzles.reader,
    },
    "seblock.train": {
        "FAILURES": processes.FAILURES,
        "together": processes.fail_together,
        "added_up": processes.add_up,
        "depart": processes.leave_group,
        "watched": train.train_epoch,
        "side_of": recipe.choose_side,
        "start_at": train.set_beta,
        "grouped": train.group_parameters,
        "scheduled": train.make_schedule,
        "replace": checkpoint.write_file,
        "alone": checkpoint.lock_folder,
        "held": checkpoint.make_savable,
        "started": train.start_run,
    },
}


@pytest.mark.parametrize(
    ("module", "name"), [(module, name) for module, names in FORMER.items() for name in names]
)
def test_a_former_name_is_handed_on_with_a_warning_that_names_the_new_place(module, name):
    with pytest.warns(DeprecationWarning, match="the old name goes with version 0.3") as warned:
        found = getattr(importlib.import_module(module), name)
    assert found is FORMER[module][name] or found == FORMER[module][name]
    former, new = re.match(r"([\w.]+) is now ([\w.]+);", str(warned[0].message)).groups()
    assert former == f"{module}.{name}"
    place, _, new_name = new.rpartition(".")
    assert getattr(importlib.import_module(place), new_name) is found


def test_a_copy_that_was_edited_runs_and_its_reader_is_told_in_their_own_line():
    code = (
        "from seblock import data, networks\n"
        "from seblock.data import RED\n"
        "print(data.features(data.photos())[:, RED].shape, type(networks.painter()))"
    )
    ran = run_python(code)
    assert ran.stdout == "torch.Size([2, 160, 240]) <class 'torch.nn.modules.container.Sequential'>\n"
    assert "<string>:2: DeprecationWarning: seblock.data.RED is now seblock.photos.RED" in ran.stderr
    assert "<string>:3: DeprecationWarning: seblock.data.photos is now seblock.photos.load" in ran.stderr


def test_what_was_never_there_is_no_former_name():
    with pytest.raises(AttributeError, match="module 'there' has no attribute 'it'"):
        moved.hand_on("there", {})("it")
    with pytest.raises(AttributeError, match=r"module 'seblock\.networks' has no attribute 'x'"):
        _ = networks.x
