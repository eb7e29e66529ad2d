"""The queue survives being killed, counts each run once, and leaves tables that agree with its runs."""

import importlib.util
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from seblock import trained

TOOL = Path(__file__).parents[1] / "tools" / "fleet.py"
spec = importlib.util.spec_from_file_location("fleet", TOOL)
fleet = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fleet)

CIFAR_FILES = [*(f"data_batch_{part}.bin" for part in range(1, 6)), "test_batch.bin"]

SMALL = """
import sys
sys.path.insert(0, sys.argv.pop(1))
import fleet
fleet.RECIPE, fleet.ON_CPU = {"images": 48, "batch": 16, "sizes": (16, 32)}, {}
fleet.QUEUE = [
    fleet.Job(1, "se_resnet8", 4, 0, closely=True),
    fleet.Job(1, "resnet8", 4, 0),
    fleet.Job(2, "resnet8", 2, 1),
]
fleet.main()
"""
"""A queue of three runs that take seconds."""


@pytest.fixture(scope="module")
def cifar(tmp_path_factory):
    """CIFAR-10's binary version, of which the first 64 images are random and all others black."""
    directory, draw = tmp_path_factory.mktemp("cifar"), random.Random(0)
    for name in CIFAR_FILES:
        with open(directory / name, "wb") as file:
            for number in range(64):
                file.write(bytes([number % 10]) + draw.randbytes(3072))
            file.truncate(30_730_000)
    return directory


def start(cifar, where, *more):
    """The small queue, as a process; its runs and tables lie in `where`."""
    tables = where / "tables"
    tables.mkdir(exist_ok=True)
    command = [sys.executable, "-c", SMALL, TOOL.parent, cifar, where / "runs", "--tables", tables, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def whole(cifar, tmp_path_factory):
    """What an undisturbed queue leaves."""
    where = tmp_path_factory.mktemp("whole")
    process = start(cifar, where)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, out + error
    return where


def rows_of(where, name):
    """A table's rows, without what differs from run to run: the times."""
    return [
        {key: value for key, value in row.items() if key != "seconds"}
        for row in fleet.read_table(where / "tables", name)
    ]


def test_each_run_is_in_the_tables_epoch_by_epoch(whole):
    rows = rows_of(whole, "fleet_runs")
    found = [(row["network"], row["seed"], row["epoch"]) for row in rows]
    of_two = [(network, "0", str(epoch)) for network in ("se_resnet8", "resnet8") for epoch in range(1, 5)]
    assert found == [*of_two, ("resnet8", "1", "1"), ("resnet8", "1", "2")]
    for row in rows:
        log = (whole / "runs" / f"{row['network']}_{row['epochs']}_{row['seed']}" / "log.csv").read_text()
        header, line = log.splitlines()[0].split(","), log.splitlines()[int(row["epoch"])].split(",")
        logged = dict(zip(header, line, strict=True))
        assert float(row["test_accuracy"]) == pytest.approx(float(logged["test_accuracy"]), abs=1e-4)
        assert float(row["loss"]) == pytest.approx(float(logged["loss"]), abs=1e-4)
        assert row["machine"]
        assert row["torch"] == torch.__version__
        assert row["recipe"].startswith("images 48")


def test_gates_have_their_rows_for_every_epoch_where_asked_and_plain_networks_have_none(whole):
    rows = rows_of(whole, "fleet_gates")
    assert {row["network"] for row in rows} == {"se_resnet8"}
    assert [(row["epoch"], row["gate"]) for row in rows] == [
        (str(epoch), f"stages.{stage}.0.gates.standard") for epoch in range(1, 5) for stage in range(3)
    ]
    classes = rows_of(whole, "fleet_classes")
    assert len(classes) == 3 * 10
    for row in classes:
        stage = int(row["gate"][7])
        assert len(row["means"].split()) == len(row["deviations"].split()) == (16, 32, 64)[stage]


def test_the_statistics_are_those_of_the_weights_that_are_left(whole, cifar):
    from seblock import cifar10, networks

    network = networks.build("se_resnet8").eval()
    network.load_state_dict(trained_weights(whole / "tables" / "fleet_se_resnet8_4_0.safetensors"))
    test = cifar10.load(cifar, "test", 48)
    s = []
    for module in network.modules():
        if type(module).__name__ == "SELayer":
            module.fc.register_forward_hook(lambda *call: s.append(call[2]))
    with torch.no_grad():
        network(cifar10.normalise(test.x))
    rows = [row for row in rows_of(whole, "fleet_gates") if row["epoch"] == "4"]
    for row, gate in zip(rows, s, strict=True):
        gate = gate.double()
        assert float(row["mean"]) == pytest.approx(gate.mean().item(), abs=2e-4)
        covariance = torch.cov(gate.T, correction=0)
        largest = torch.linalg.eigvalsh(covariance)[-1].sqrt().item()
        assert float(row["spread 1"]) == pytest.approx(largest, abs=3e-4)
        assert float(row["between images"]) == pytest.approx(covariance.diag().mean().sqrt().item(), abs=3e-4)
        assert float(row["between channels"]) == pytest.approx(gate.mean(0).std().item(), abs=3e-4)
        of_class = torch.stack([gate[test.y == label].mean(0) for label in test.y])
        share = of_class.var(0, correction=0).sum() / covariance.diag().sum()
        assert float(row["between classes"]) == pytest.approx(share.item(), abs=0.02)
    first = next(row for row in rows_of(whole, "fleet_classes") if row["class"] == "3")
    expected = s[0][test.y == 3].mean(0)
    torch.testing.assert_close(
        torch.tensor([float(v) for v in first["means"].split()]), expected, atol=5e-4, rtol=0
    )
    expected = s[0][test.y == 3].std(0, correction=0)
    torch.testing.assert_close(
        torch.tensor([float(v) for v in first["deviations"].split()]), expected, atol=5e-4, rtol=0
    )


def trained_weights(path):
    """The tensors of a file that the queue left."""
    from safetensors.torch import load_file

    return load_file(path)


@pytest.fixture
def left(tmp_path):
    """What six runs of all kinds have left: their jobs, the folder of theirs, and one for tables."""
    jobs = [
        fleet.Job(1, "se_resnet20", 6, 0),
        fleet.Job(1, "resnet20", 6, 0),
        fleet.Job(1, "se_resnet20", 6, 1),
        fleet.Job(3, "se_resnet20", 6, 0, gate_decay=0.0),
        fleet.Job(4, "se_resnet20", 6, 8),
        fleet.Job(5, "se_resnet20", 30, 0),
    ]
    for number, job in enumerate(jobs):
        out = tmp_path / "runs" / job.name
        out.mkdir(parents=True)
        (out / "weights.safetensors").write_bytes(f"weights of {number}".encode())
        tables = {name: [{"epoch": 6, "told": f"{name} of {number}"}] for name in fleet.TABLES}
        (out / "result.json").write_text(json.dumps(tables))
    (tmp_path / "tables").mkdir()
    return jobs, tmp_path / "runs", tmp_path / "tables"


def test_each_run_leaves_its_own_rows_and_only_those_kinds_that_are_shipped_more(left):
    jobs, runs, tables = left
    fleet.add_results(jobs[:1], runs, tables)
    fleet.add_results(jobs, runs, tables)  # again, with the others: each counts once
    kept = {"fleet_runs": range(6), "fleet_gates": range(6), "fleet_classes": (0, 2, 3, 5)}
    for name, numbers in kept.items():
        rows = {tuple(row[k] for k in fleet.KEY): row["told"] for row in fleet.read_table(tables, name)}
        expected = {tuple(fleet.key_of(jobs[n]).values()): f"{name} of {n}" for n in numbers}
        assert rows == expected
        assert len(fleet.read_table(tables, name)) == len(expected)
    weights = {path.name: path.read_text() for path in tables.glob("*.safetensors")}
    assert weights == {
        "fleet_se_resnet20_6_0.safetensors": "weights of 0",
        "fleet_resnet20_6_0.safetensors": "weights of 1",
    }


def test_a_run_stands_in_the_table_of_runs_when_all_else_of_it_is_there(left, monkeypatch):
    jobs, runs, tables = left
    written = []
    monkeypatch.setattr(fleet, "write_table", lambda folder, name, rows: written.append(name))
    monkeypatch.setattr(fleet, "write_whole", lambda path, content: written.append(path.suffix))
    fleet.add_results(jobs, runs, tables)
    assert set(written) == {*fleet.TABLES, ".safetensors"}
    assert written.index("fleet_runs") == len(written) - 1


@torch.no_grad()
def test_a_channel_of_zeros_has_no_gate_to_be_counted():
    from seblock import cifar10, networks

    torch.manual_seed(0)
    network, seen = networks.build("se_resnet8").eval(), []
    block = network.stages[0][0]
    for parameter in block.branch[-1].parameters():
        parameter[3] = 0
    block.gates["standard"].fc.register_forward_hook(lambda *call: seen.append(call[2]))
    images = cifar10.Images(torch.randint(256, (30, 3, 16, 16), dtype=torch.uint8), torch.arange(30) % 10)
    rows, classes = fleet.gate_rows(network, images, 2)
    (s,) = seen
    s = s[:, torch.arange(16) != 3].double()
    assert rows[0]["mean"] == pytest.approx(float(s.mean()), abs=2e-4)
    assert rows[0]["between images"] == pytest.approx(float(s.var(0, correction=0).mean().sqrt()), abs=2e-4)
    assert all(math.isfinite(value) for value in rows[0].values() if isinstance(value, float))
    assert classes[0]["means"].split()[3] == "nan"


def test_a_machine_is_its_processor_and_the_fastest_that_it_can_do(monkeypatch):
    told = "processor\t: 0\nmodel name\t: A CPU @ 2 GHz \nflags\t\t: fpu avx2 avx512_bf16 sse\n\n"
    monkeypatch.setattr(fleet.Path, "is_file", lambda path: True)
    monkeypatch.setattr(fleet.Path, "read_text", lambda path: told)
    assert fleet.machine() == "A CPU @ 2 GHz, avx512_bf16"
    told = told.replace("avx", "no_avx")
    assert fleet.machine() == "A CPU @ 2 GHz"


def test_a_run_has_one_thread_and_the_copied_code_whatever_the_queue_has(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    given = fleet.environment(Path("runs") / "code")
    assert given["OMP_NUM_THREADS"] == "1"
    assert given["PYTHONPATH"] == str(Path("runs") / "code")
    assert given[fleet.QUEUE_ID] == str(os.getpid())
    assert given["PATH"] == os.environ["PATH"]


def test_a_run_is_trained_with_its_job_s_own_settings():
    job = fleet.Job(3, "se_resnet20_r2", 6, 4, gate_decay=0.5, beta=0.25)
    own = {"network": "se_resnet20_r2", "epochs": 6, "seed": 4, "gate_decay": 0.5, "beta": 0.25}
    assert fleet.settings_of(job) == own | fleet.RECIPE


def test_an_epoch_s_statistics_are_of_the_first_2000_test_images(monkeypatch, tmp_path):
    from seblock import cifar10

    test = cifar10.Images(torch.arange(2500), torch.arange(2500) + 5)
    asked = []
    monkeypatch.setattr(fleet, "gate_rows", lambda *given: asked.append(given) or ([{"epoch": 3}], []))
    fleet.note_epoch("network", test, 3, tmp_path)
    ((network, images, epoch),) = asked
    assert (network, epoch) == ("network", 3)
    assert torch.equal(images.x, torch.arange(2000))
    assert torch.equal(images.y, torch.arange(2000) + 5)
    assert json.loads((tmp_path / "gates_3.json").read_text()) == [{"epoch": 3}]


@pytest.mark.parametrize(("there", "agrees"), [(0.5, True), (0.502, True), (0.51, False)])
def test_a_run_whose_accuracy_the_cpu_does_not_find_again_is_refused(monkeypatch, tmp_path, there, agrees):
    from seblock import train

    log = [{"test_accuracy": 0.9}, {"test_accuracy": there}]  # of the last epoch, not of the best
    (tmp_path / "log.json").write_text(json.dumps({"log": log, "facts": {}}))
    written = []
    monkeypatch.setattr(fleet, "load_finished", lambda *_: ("network", "test images"))
    monkeypatch.setattr(train, "evaluate", lambda *_: (1.0, 0.5))
    monkeypatch.setattr(fleet, "write_result", lambda *given: written.append(given))
    job = fleet.Job(1, "resnet20", 2, 0)
    if agrees:
        fleet.finish_on_cpu(job, tmp_path, tmp_path, None)
        assert written == [("network", "test images", log, {}, False, tmp_path)]
    else:
        with pytest.raises(ValueError, match=r"accuracy 0.51 on the GPU, 0.5 on the CPU"):
            fleet.finish_on_cpu(job, tmp_path, tmp_path, None)
        assert not written


def test_seed_0_leaves_its_weights_and_others_do_not(whole):
    left = {path.name for path in (whole / "tables").glob("*.safetensors")}
    assert left == {"fleet_se_resnet8_4_0.safetensors", "fleet_resnet8_4_0.safetensors"}


def test_the_queue_for_a_gpu_leaves_what_the_other_leaves(whole, cifar, tmp_path):
    process = start(cifar, tmp_path, "--gpu", "300")
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, out + error
    assert {path.name for path in (whole / "tables").iterdir()} == {
        path.name for path in (tmp_path / "tables").iterdir()
    }
    for name in fleet.TABLES:
        here, there = rows_of(tmp_path, name), rows_of(whole, name)
        assert len(here) == len(there)
        for one, other in zip(here, there, strict=True):
            assert one.keys() == other.keys()
            for key, value in one.items():
                if key in ("machine", "means", "deviations"):
                    continue
                assert trained.number(value) == pytest.approx(
                    trained.number(other[key]), abs=0.05, nan_ok=True
                ), key

    for path in [*(tmp_path / "tables").iterdir(), *(tmp_path / "runs").glob("*/result.json")]:
        path.unlink()
    process = start(cifar, tmp_path, "--gpu", "-1")  # time for no training, only for what was cut off
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, out + error
    assert len(fleet.done(tmp_path / "tables")) == 3


def test_a_gpu_begins_no_run_that_would_not_end_in_time(cifar, tmp_path):
    process = start(cifar, tmp_path, "--gpu", "-1")
    out, error = process.communicate(timeout=120)
    assert process.returncode == 0, out + error
    assert fleet.done(tmp_path / "tables") == {}


def test_a_queue_that_is_killed_twice_ends_with_the_same_tables(whole, cifar, tmp_path):
    for number in (signal.SIGKILL, signal.SIGKILL):
        process = start(cifar, tmp_path)
        logs = list((tmp_path / "runs").glob("*/log.csv")) if (tmp_path / "runs").exists() else []
        before = {log: log.read_text() for log in logs}
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:  # until another epoch is logged
            logs = list((tmp_path / "runs").glob("*/log.csv"))
            if process.poll() is not None or any(log.read_text() != before.get(log) for log in logs):
                break
            time.sleep(0.01)
        process.send_signal(number)
        process.communicate(timeout=30)
    process = start(cifar, tmp_path)
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, out + error
    for name in fleet.TABLES:
        assert rows_of(tmp_path, name) == rows_of(whole, name)


def test_children_end_with_a_queue_that_is_killed(cifar, tmp_path):
    process = start(cifar, tmp_path)
    while not list((tmp_path / "runs").glob("*/output.txt")):
        time.sleep(0.02)
    process.kill()
    process.communicate(timeout=30)
    deadline = time.monotonic() + 20
    mine = [sys.executable, str(tmp_path)]
    while time.monotonic() < deadline and any(all(word in line for word in mine) for line in command_lines()):
        time.sleep(0.2)
    assert not any(all(word in line for word in mine) for line in command_lines())


def command_lines():
    """What runs on this machine, where that can be read."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_text().replace("\0", " ")
        except OSError:
            continue


def test_two_queues_do_not_work_in_one_folder(cifar, tmp_path):
    first = start(cifar, tmp_path)
    while not (tmp_path / "runs" / "code").exists():
        time.sleep(0.02)
    second = start(cifar, tmp_path)
    _, error = second.communicate(timeout=60)
    assert second.returncode == 1
    assert "another queue works in" in error
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=60)


def test_a_queue_whose_runs_all_fail_ends_before_it_has_tried_them_all(tmp_path):
    process = start(tmp_path / "no images", tmp_path, "--workers", "1")
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "too many runs failed" in out
    assert not (tmp_path / "runs" / "resnet8_2_1").exists()


def test_what_is_done_is_not_trained_again_and_not_counted_twice(whole, cifar):
    before = {name: (whole / "tables" / f"{name}.csv").read_bytes() for name in fleet.TABLES}
    process = start(cifar, whole)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "done" not in out
    assert before == {name: (whole / "tables" / f"{name}.csv").read_bytes() for name in fleet.TABLES}


def test_status_says_what_is_done_and_how_far_the_others_are(whole, cifar, tmp_path):
    out, _ = start(cifar, whole, "--status").communicate(timeout=60)
    lines = out.splitlines()
    assert "se_resnet8_4" in lines[1]
    assert "1 of 1" in lines[1]
    assert "%" in lines[1]
    (tmp_path / "runs" / "resnet8_2_1").mkdir(parents=True)
    (tmp_path / "runs" / "resnet8_2_1" / "log.csv").write_text("epoch\n1\n")
    out, _ = start(cifar, tmp_path, "--status").communicate(timeout=60)
    assert "0 of 1  seed 1: 1 of 2" in out


def test_a_twin_of_a_run_from_another_machine_is_left_out(monkeypatch):
    finished = {("resnet20", "6", "3", "", "0.0", "any"): {"machine": "another one"}}
    assert fleet.twins_elsewhere(fleet.Job(1, "se_resnet20", 6, 3), finished) == "another one"
    assert fleet.twins_elsewhere(fleet.Job(1, "se_resnet20", 6, 4), finished) is None
    monkeypatch.setattr(fleet, "machine", lambda: "another one")
    assert fleet.twins_elsewhere(fleet.Job(1, "se_resnet20", 6, 3), finished) is None


def test_no_two_jobs_of_the_queue_are_the_same_run():
    assert len({job.name for job in fleet.QUEUE}) == len(fleet.QUEUE)
    assert [job.step for job in fleet.QUEUE] == sorted(job.step for job in fleet.QUEUE)


# The shipped tables


def shipped():
    """The rows of the fleet's runs, by run."""
    runs = {}
    for row in fleet.read_table(trained.FOLDER, "fleet_runs"):
        runs.setdefault(tuple(row[name] for name in fleet.KEY), []).append(row)
    return runs


def test_every_shipped_run_is_logged_once_to_its_last_epoch():
    runs = shipped()
    assert runs
    for key, rows in runs.items():
        last = int(rows[0]["epochs"])
        whole = rows[0]["loss"] != ""  # of nine runs the logs were lost; their weights gave the last row
        assert [int(row["epoch"]) for row in rows] == (list(range(1, last + 1)) if whole else [last]), key
        assert len({(row["machine"], row["threads"], row["torch"]) for row in rows}) == 1, key
        assert all(math.isfinite(float(row["test_loss"])) for row in rows), key
        assert all(math.isfinite(float(row["loss"])) for row in rows if whole), key
    assert sum(rows[0]["loss"] == "" for rows in runs.values()) <= 9


def test_the_steps_that_the_lessons_rest_on_are_whole():
    runs = shipped()
    missing = [
        job.name for job in fleet.QUEUE if job.step < 5 and tuple(fleet.key_of(job).values()) not in runs
    ]
    assert not missing


def test_shipped_runs_of_one_seed_are_of_one_machine():
    machines = {}
    for rows in shipped().values():
        machines.setdefault((rows[0]["epochs"], rows[0]["seed"]), set()).add(rows[0]["machine"])
    assert all(len(found) == 1 for found in machines.values()), machines


def test_shipped_gates_belong_to_shipped_runs_and_their_parts_add_up():
    runs = shipped()
    for row in fleet.read_table(trained.FOLDER, "fleet_gates"):
        assert tuple(row[name] for name in fleet.KEY) in runs
        channels = {"0": 16, "1": 32, "2": 64}[row["gate"][7]]
        total = channels * float(row["between images"]) ** 2
        assert sum(float(row[f"spread {n}"]) ** 2 for n in range(1, 9)) <= total * 1.01 + 1e-5
        assert 0 <= float(row["mean"]) <= 1


def test_seed_0_of_each_kind_ships_its_weights():
    for name in ("resnet20", "se_resnet20", "constant_resnet20"):
        for epochs in (6, 24):
            assert (trained.FOLDER / f"fleet_{name}_{epochs}_0.safetensors").is_file()


if os.name == "nt":
    pytestmark = pytest.mark.skip(reason="the queue is for Linux and macOS")
