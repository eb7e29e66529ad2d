"""A GPU as far as it can be told without one, and two processes that train together."""

import errno
import json
import math
import subprocess
import sys

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from helpers import SETTINGS, assert_same_result, environment, learned, options, small
from safetensors.torch import load_file, save_file
from torch import nn

from seblock import cifar10, networks, train
from seblock.train import processes


def test_a_gpu_without_bfloat16_and_too_few_gpus_are_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    for able in (False, True):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation, able=able: able)
        assert processes.choose_device(mixed=False) == torch.device("cuda", 0)
        if able:
            assert processes.choose_device(mixed=True) == torch.device("cuda", 0)
        else:
            with pytest.raises(ValueError, match="no bfloat16: leave --mixed out"):
                processes.choose_device(mixed=True)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert processes.choose_device(mixed=False) == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ValueError, match="2 GPUs are too few"):
        processes.choose_device(mixed=False)


@pytest.mark.parametrize(
    ("machine", "oneapi", "avx512", "amx", "expected"),
    [
        ("x86_64", True, False, False, False),  # AVX-512 without bfloat16: emulated
        ("x86_64", True, True, False, True),
        ("AMD64", True, False, True, True),
        ("x86_64", False, False, False, False),
        ("aarch64", True, False, False, True),
        ("aarch64", False, False, False, False),
    ],
)
def test_a_cpu_has_bfloat16_if_it_has_instructions_for_it(
    monkeypatch, machine, oneapi, avx512, amx, expected
):
    monkeypatch.setattr(processes.platform, "machine", lambda: machine)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: oneapi)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert processes.cpu_has_bfloat16() == expected
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert not processes.cpu_has_bfloat16()


def fixed_statistics():
    """A network whose BatchNorm stays in evaluation mode, some steps of it, and its optimiser."""
    torch.manual_seed(0)
    network = networks.build("se_resnet8")
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
            module.train = lambda mode=True: None
    settings = train.Settings(peak=0.05)
    optimizer = torch.optim.SGD(
        train.group_parameters(network, settings), lr=0.05, momentum=0.9, nesterov=True
    )
    return network, optimizer, train.make_schedule(optimizer, settings, 5)


def a_few_steps(rank=0, world=1):
    """Weights, first gradients, and each step's labels."""
    network, optimizer, schedule = fixed_statistics()
    learner = nn.parallel.DistributedDataParallel(network) if world > 1 else network
    seen = train.batches(small(40), 8, 3, rank, world)
    learning = train.steps(learner, seen, F.cross_entropy, optimizer, schedule)
    labels, first = [], {}
    for _, _, y in learning:
        labels.append(y)
        first = first or {f"gradient.{name}": p.grad.clone() for name, p in network.named_parameters()}
    return {**network.state_dict(), **first, "labels": torch.stack(labels)}


ONE_STEP = {"epochs": 1, "images": 16}
"""What makes of `SETTINGS` a run of a single step."""


def one_of_two(rank, directory, cifar):
    """What each of two processes does; what it found is left in `directory`."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{directory}/meet", rank=rank, world_size=2)
    save_file(a_few_steps(rank, 2), directory / f"steps{rank}.safetensors")

    found = {}
    network = networks.build("resnet8")
    for buffer in network.buffers():
        buffer.fill_(1 + rank)
    found["evaluated"] = train.evaluate(network, small(23), size=5)
    found["statistics"] = sorted({buffer.max().item() for buffer in network.buffers()})
    found["trained"] = train.train_epoch(learned([1.0 + rank, 3.0], [True, rank == 0]), 2, "", bar=False)
    for culprit in (0, 1):
        try:
            with processes.fail_together():
                if rank == culprit:
                    raise ValueError(f"the fault of {culprit}")
        except (ValueError, SystemExit) as error:
            found[f"fault of {culprit}"] = repr(error)
    try:
        train.train_epoch(learned([1.0, 1.0 if rank else math.nan], [True] * 2), 2, "", bar=False)
    except train.Diverged:
        found["diverged"] = True

    one = train.run(train.Settings(**{**vars(SETTINGS), **ONE_STEP}), cifar, directory / "one", bar=False)
    gradient = one.network.get_parameter("classify.weight").grad
    save_file({"gradient": gradient}, directory / f"one{rank}.safetensors")

    settings = train.Settings(**{**vars(SETTINGS), "epochs": 2})
    train.run(settings, cifar, directory / "whole", bar=False)
    write_results = train.Run.write_results

    def full(self, out, last):
        if last:
            raise OSError(errno.ENOSPC, "No space left on device")
        write_results(self, out, last)

    train.Run.write_results = full
    try:
        train.run(settings, cifar, directory / "resumed", bar=False)
    except (OSError, SystemExit) as error:
        found["full"] = repr(error)
    train.Run.write_results = write_results
    train.run(settings, cifar, directory / "resumed", resume=True, bar=False)

    for name, out, words in (("batch", "odd", {"batch": 15}), ("apart", f"whole{rank or ''}", {})):
        try:
            train.run(train.Settings(**{**vars(settings), **words}), cifar, directory / out, resume=True)
        except (ValueError, SystemExit) as error:
            found[name] = repr(error)
    (directory / f"found{rank}.json").write_text(json.dumps(found))
    processes.leave_group()


@pytest.fixture(scope="module")
def two(cifar, tmp_path_factory):
    directory = tmp_path_factory.mktemp("two")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        torch.multiprocessing.spawn(one_of_two, (directory, cifar), nprocs=2)
    steps = [load_file(directory / f"steps{rank}.safetensors") for rank in range(2)]
    return directory, steps, [json.loads((directory / f"found{rank}.json").read_text()) for rank in range(2)]


def test_two_processes_average_their_gradients_and_reach_the_weights_of_one(two):
    _, steps, _ = two
    alone = a_few_steps()
    for rank in range(2):
        assert torch.equal(steps[rank]["labels"], alone["labels"][:, rank::2])
        for name in alone.keys() - {"labels"}:
            torch.testing.assert_close(steps[rank][name], alone[name], rtol=1e-4, atol=1e-6)
            assert torch.equal(steps[rank][name], steps[1 - rank][name])
    start = fixed_statistics()[0].state_dict()
    assert (alone["classify.weight"] - start["classify.weight"]).abs().max() > 1e-3
    # The gradient is the mean of the gradients of the two shares, each taken apart.
    x, y = next(train.batches(small(40), 8, 3))
    gradients = []
    for share in (slice(0, None, 2), slice(1, None, 2)):
        network = fixed_statistics()[0]
        F.cross_entropy(network(x[share]), y[share]).backward()
        gradients.append(network.classify.weight.grad)
    assert not torch.allclose(*gradients, rtol=0.01)
    torch.testing.assert_close(steps[0]["gradient.classify.weight"], sum(gradients) / 2, rtol=1e-4, atol=1e-6)


def test_a_run_of_two_processes_averages_their_gradients(two, cifar):
    directory, _, _ = two
    found = [load_file(directory / f"one{rank}.safetensors")["gradient"] for rank in range(2)]
    settings = train.Settings(**{**vars(SETTINGS), **ONE_STEP})
    gradients = []
    for rank in range(2):
        torch.manual_seed(settings.seed)
        network = networks.build(settings.network).to(memory_format=torch.channels_last)
        images = cifar10.load(cifar, "train", settings.images)
        torch.manual_seed(settings.seed * 100_000)
        (x, y), *rest = train.batches(images, settings.batch, settings.seed * 100_000, rank, 2)
        assert len(y) == 8
        assert not rest
        F.cross_entropy(network.train()(x), y).backward()
        gradients.append(network.classify.weight.grad)
    assert not torch.allclose(*gradients, rtol=0.01)
    assert torch.equal(*found)
    torch.testing.assert_close(found[0], sum(gradients) / 2, rtol=1e-4, atol=1e-6)


def test_two_processes_count_together_with_the_statistics_that_are_saved(two):
    _, _, found = two
    assert found[0]["evaluated"] == found[1]["evaluated"]
    assert found[0]["statistics"] == found[1]["statistics"] == [1.0]
    assert found[0]["trained"] == found[1]["trained"] == [(1 + 3 + 2 + 3) / 4, 3 / 8]
    assert found[0]["diverged"]
    assert found[1]["diverged"]


def test_two_processes_end_together_and_one_says_why(two):
    _, _, found = two
    assert [f["fault of 0"] for f in found] == ["ValueError('the fault of 0')", "SystemExit(1)"]
    assert [f["fault of 1"] for f in found] == ["SystemExit(1)", "ValueError('the fault of 1')"]
    assert "No space left" in found[0]["full"]
    assert found[1]["full"] == "SystemExit(1)"
    assert "a batch of 15 cannot be shared evenly by 2" in found[0]["batch"]
    assert found[1]["batch"] == "SystemExit(1)"
    assert "not all processes see the same checkpoint" in found[0]["apart"]
    assert found[1]["apart"] == "SystemExit(1)"


def test_two_processes_resume_to_the_same_weights(two):
    directory, _, _ = two
    assert_same_result(directory / "resumed", directory / "whole")


def test_the_launcher_starts_the_same_run_and_everything_is_said_once(two, cifar, tmp_path):
    directory, _, _ = two
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command += ["seblock.train", *options(cifar, tmp_path, epochs=2)]
    done = subprocess.run(
        command, env=environment(OMP_NUM_THREADS="1"), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert [line[:12] for line in done.stdout.splitlines()] == ["epoch 1 of 2", "epoch 2 of 2"]
    assert_same_result(tmp_path, directory / "whole")
