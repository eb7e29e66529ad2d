"""What the benchmarks compare is the same function, and they measure what they say.

The peers themselves are not needed here; how fast anything is is no test's business.
"""

import asyncio
import csv
import os
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import nbformat
import psutil
import pytest
import torch
from torch import nn

from benchmarks import (
    block,
    blocks,
    classroom,
    command,
    growth,
    measure,
    neighbours,
    network,
    notebooks,
    shown,
)
from seblock.blocks import SELayer, SqEx

ROOT = Path(__file__).parents[1]
LAYOUTS = pytest.mark.parametrize("layout", block.LAYOUTS.values(), ids=block.LAYOUTS)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "RESULTS", tmp_path / "results")
    return measure.RESULTS


@pytest.fixture
def two_peers(monkeypatch):
    two = {"published SELayer": blocks.PublishedSELayer, "published SqEx": blocks.PublishedSqEx}
    for module in (block, network):
        monkeypatch.setattr(module, "peers", lambda: two)


@pytest.mark.parametrize(
    ("published", "readable"), [(blocks.PublishedSELayer, SELayer), (blocks.PublishedSqEx, SqEx)]
)
@LAYOUTS
def test_a_published_block_equals_ours_forward_and_backward(published, readable, layout):
    one, other = published(32, 8).double(), readable(32, 8).double()
    other.load_state_dict(one.state_dict())
    u, g = torch.randn(2, 3, 32, 5, 7, dtype=torch.double)
    u, g = u.contiguous(memory_format=layout).requires_grad_(), g.contiguous(memory_format=layout)
    torch.testing.assert_close(one(u), other(u))
    torch.testing.assert_close(block.both(one, u, g), block.both(other, u, g))


def test_both_passes_give_the_gradient_of_the_maps_and_of_every_weight():
    layer, u = blocks.PublishedSELayer(32), torch.randn(2, 32, 4, 4, requires_grad=True)
    shapes = [tuple(gradient.shape) for gradient in block.both(layer, u, torch.ones_like(u))]
    assert shapes == [(2, 32, 4, 4), (2, 32), (32, 2)]
    assert not block.forward(layer, u, u).requires_grad


def test_interleave_calls_everything_once_a_round_in_changing_order():
    order = []
    calls = {name: partial(order.append, name) for name in "abcd"}
    returned = measure.interleave(calls, rounds=20)
    rounds = ["".join(order[i : i + 4]) for i in range(0, len(order), 4)]
    assert Counter(order) == dict.fromkeys("abcd", 20)
    assert all(sorted(one) == list("abcd") for one in rounds)
    assert len(set(rounds)) > 5
    assert list(returned) == list("abcd")


def test_interleave_keeps_each_calls_own_results_in_order():
    ones, tens = iter(range(3)), iter(range(0, 30, 10))
    returned = measure.interleave({"ones": ones.__next__, "tens": tens.__next__}, rounds=3)
    assert returned == {"ones": [0, 1, 2], "tens": [0, 10, 20]}


def test_the_bytes_that_must_move_are_counted_by_hand():
    # two images of 3 channels, 4×5: 120 numbers of 4 bytes
    assert measure.bytes_moved((2, 3, 4, 5), "forward") == 2 * 120 * 4
    assert measure.bytes_moved((2, 3, 4, 5), "forward + backward") == 5 * 120 * 4
    assert measure.bytes_moved((2, 3, 4, 5), "forward", itemsize=2) == 2 * 120 * 2


def test_peak_memory_is_the_worst_moment_and_not_the_sum():
    def two_at_once_three_times():
        for _ in range(3):
            a = torch.empty(1000)
            b = torch.empty(500)
            del a, b

    assert measure.peak_memory(two_at_once_three_times) == 6000
    assert measure.peak_memory(lambda: None) == 0


MEMORY = """
import torch
from benchmarks.measure import fresh_memory, resident_memory
told = [(fresh_memory(), resident_memory())]
kept = torch.ones(64 * 2**20, dtype=torch.uint8)
told.append((fresh_memory(), resident_memory()))
kept.fill_(2)
told.append((fresh_memory(), resident_memory()))
del kept
told.append((fresh_memory(), resident_memory()))
print(*(after - before for was, now in zip(told, told[1:]) for before, after in zip(was, now)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere pages are counted otherwise")
def test_fresh_memory_is_what_is_touched_for_the_first_time_and_what_is_freed_is_no_longer_resident():
    environment = {name: text for name, text in os.environ.items() if not name.startswith("MALLOC_")}
    said = subprocess.check_output([sys.executable, "-c", MEMORY], cwd=ROOT, env=environment, text=True)
    size = 64 * 2**20  # beyond what glibc keeps
    asked = [size, size, 0, 0, 0, -size]
    assert [int(number) for number in said.split()] == pytest.approx(asked, abs=size / 20)


def test_the_interval_holds_the_ratio_and_narrows_with_less_noise():
    noise = torch.rand(100, generator=torch.Generator().manual_seed(1)).tolist()
    low, high = measure.interval([2 + n for n in noise], [1 + n / 2 for n in reversed(noise)])
    assert 1.6 < low < 2 < high < 2.4
    assert measure.interval([3.0] * 10, [2.0] * 10) == (1.5, 1.5)
    row = measure.compare([4.0, 1.0, 2.0], [4.0, 4.0, 1.0], to="peer")
    assert row["to peer"] == 0.5
    assert row["from"] <= 0.5 <= row["up to"]
    assert measure.interval([2.0] * 5, [1.0] * 3) == (2, 2)


def test_a_table_is_printed_and_written_with_the_machines_facts(results, capsys):
    path = measure.report("tried", [{"block": "a", "ms": 1234.5}, {"block": "b", "MB": 0.12345}], rounds=7)
    assert path == results / "tried.csv"
    with path.open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["block"], first["ms"], first["MB"]) == ("a", "1234", "")
    assert (second["block"], second["ms"], second["MB"]) == ("b", "", "0.123")
    assert first["rounds"] == second["rounds"] == "7"
    assert first["torch"] == torch.__version__
    assert int(first["threads"]) == torch.get_num_threads()
    printed = capsys.readouterr().out.splitlines()
    assert "rounds 7" in printed[0]
    assert [line.split() for line in printed[2:]] == [["block", "ms", "MB"], ["a", "1234"], ["b", "0.123"]]


def test_the_blocks_table_has_every_pass_of_every_block_and_the_copies(two_peers, monkeypatch):
    rows = block.table((2, 32, 6, 6), "channels_last", 3, False, device="cpu", dtype=torch.float32)
    names = [*blocks.ours(), "published SELayer", "published SqEx"]
    assert [row["block"] for row in rows] == [*names, *names, "copy_", "clone"]
    fastest = {row["passes"]: row for row in rows if row.get("to peer") == 1}
    assert set(fastest) == set(block.PASSES)
    assert all(row["block"].startswith("published") for row in fastest.values())
    assert all(row["MB"] >= 2 * 32 * 36 * 4 / 1e6 for row in rows if row["block"] != "copy_")
    monkeypatch.setattr(block, "JUDGED", [(2, 32, 6, 6)])
    share = next(r["to peer"] for r in rows if (r["block"], r["passes"]) == ("SELayer", "forward + backward"))
    assert f"SELayer, channels_last: {share:.2f} (" in block.summary(rows)


def test_even_calls_are_those_that_leave_the_memory_as_it_was(two_peers, monkeypatch):
    resident = iter(range(10**6))
    monkeypatch.setattr(block, "resident_memory", lambda: next(resident) * 2_000_000)
    (row, *_) = block.table((2, 32, 6, 6), "NCHW", 4, False, device="cpu", dtype=torch.float32)
    assert row["even"] == 0
    assert "even to peer" not in row
    monkeypatch.setattr(block, "resident_memory", lambda: next(resident) // 2 * 2_000_000)
    rows = block.table((2, 32, 6, 6), "NCHW", 4, False, device="cpu", dtype=torch.float32)
    timed = [row for row in rows if row["passes"] in block.PASSES]
    assert [row["even"] for row in timed] == [4] * len(timed)
    assert all(row["even to peer"] == pytest.approx(row["to peer"]) for row in timed)


def test_the_large_shapes_are_judged_and_the_others_take_more_rounds(two_peers, results, monkeypatch):
    asked = []
    monkeypatch.setattr(
        block, "table", lambda shape, layout, rounds, *_, **__: asked.append((shape, rounds)) or []
    )
    monkeypatch.setattr(sys, "argv", ["block", "--rounds", "2"])
    for variable in command.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(block, "report", lambda name, *_, **__: asked.append(name))
    block.main()
    assert asked[:-1] == [(s, 8) for s in block.SMALL for _ in range(2)] + [
        (s, 2) for s in block.JUDGED for _ in range(2)
    ]
    assert asked[-1] == "block"


def test_neighbours_are_at_work_while_it_is_measured_and_gone_afterwards():
    with neighbours.neighbours(2) as started:
        watched = [psutil.Process(one.pid) for one in started]
        before = [sum(one.cpu_times()[:2]) for one in watched]
        time.sleep(0.5)
        assert all(sum(one.cpu_times()[:2]) > b for one, b in zip(watched, before, strict=True))
    assert not any(one.is_running() for one in watched)


def test_neighbours_are_gone_when_the_measurement_fails():
    started = []

    def fail():
        with neighbours.neighbours(1) as found:
            started.extend(found)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [one.poll() is None for one in started] == [False]


def test_neighbours_leave_with_the_program_that_started_them_and_too_early_is_an_error():
    def let_go():
        with neighbours.neighbours(1) as (one,):
            one.stdin.close()  # as the system does it for a program that was killed
            assert one.wait(20) == 0

    with pytest.raises(RuntimeError, match="gone before the end"):
        let_go()


def test_a_neighbour_that_cannot_begin_is_an_error(monkeypatch):
    monkeypatch.setattr(neighbours, "COMMAND", [sys.executable, "-c", ""])
    with pytest.raises(RuntimeError, match="did not begin"), neighbours.neighbours(1):
        raise AssertionError("nothing is measured")


def test_the_blocks_are_timed_beside_neighbours_and_only_timed(two_peers, monkeypatch):
    events = []

    @contextmanager
    def beside(number):
        events.append(f"{number} begin")
        yield
        events.append("they end")

    monkeypatch.setattr(block, "neighbours", beside)
    interleave, peak = block.interleave, block.peak_memory
    monkeypatch.setattr(block, "interleave", lambda *a, **k: events.append("time") or interleave(*a, **k))
    monkeypatch.setattr(block, "peak_memory", lambda *a: events.append("weigh") or peak(*a))
    block.table((2, 32, 6, 6), "NCHW", 2, False, 2, device="cpu", dtype=torch.float32)
    assert events[:5] == ["time", "2 begin", "time", "they end", "weigh"]
    assert set(events[5:]) == {"weigh"}


def test_a_busy_run_has_a_table_of_its_own(results, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["block", "--judged", "--compiled", "--neighbours", "2"])
    for variable in command.VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    asked = []
    monkeypatch.setattr(block, "table", lambda *given, **_: asked.append(given[-1]) or [{"block": "a"}])
    monkeypatch.setattr(block, "summary", lambda rows: "")
    block.main()
    assert set(asked) == {2}
    assert "neighbours 2" in capsys.readouterr().out.splitlines()[0]
    with (results / "block_compiled_2_neighbours.csv").open(encoding="utf-8", newline="") as file:
        assert {row["neighbours"] for row in csv.DictReader(file)} == {"2"}


def test_another_allocator_starts_the_command_again(monkeypatch):
    started = []
    monkeypatch.setattr(command, "environment", lambda allocator: {"MALLOC_MMAP_MAX_": "0"})
    monkeypatch.setattr(command.subprocess, "call", lambda line, env: started.append((line, env)) or 3)
    monkeypatch.setattr(sys, "argv", ["block", "--allocator", "tuned"])
    monkeypatch.setenv("LD_PRELOAD", "another.so")
    monkeypatch.delenv("MALLOC_MMAP_MAX_", raising=False)
    with pytest.raises(SystemExit) as left:
        command.read_options(command.make_parser("", rounds=1))
    assert left.value.code == 3
    assert started[0][1]["MALLOC_MMAP_MAX_"] == "0"
    assert "LD_PRELOAD" not in started[0][1]
    monkeypatch.delenv("LD_PRELOAD")
    monkeypatch.setenv("MALLOC_MMAP_MAX_", "0")
    options = command.read_options(command.make_parser("", rounds=1))
    assert (len(started), command.result_name("block", options)) == (1, "block_tuned")


def test_an_allocator_that_is_not_there_is_skipped_with_a_sentence(monkeypatch, capsys):
    monkeypatch.setattr(command.ctypes.util, "find_library", lambda name: None)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setattr(sys, "argv", ["block", "--allocator", "jemalloc"])
    with pytest.raises(SystemExit) as left:
        command.read_options(command.make_parser("", rounds=1))
    assert not left.value.code
    assert "Skipped" in capsys.readouterr().out


def test_a_training_step_learns_and_leaves_no_gradients():
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    before = net[1].weight.clone()
    network.step(
        net, torch.optim.SGD(net.parameters(), lr=0.1), torch.randn(4, 3, 2, 2), torch.zeros(4, dtype=int)
    )
    assert not torch.equal(net[1].weight, before)
    assert net[1].weight.grad is None


def test_every_gate_of_a_network_has_the_hidden_width_of_the_others():
    hidden = [network.gate(blocks.PublishedSELayer)(c).fc[0].out_features for c in (16, 32, 64, 256)]
    assert hidden == [4, 4, 4, 16]


def test_the_table_of_notebook_14_is_what_the_results_say():
    with open(shown.TABLE, newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == shown.shown(), "run python -m benchmarks.shown"


def test_notebook_14_shows_the_block_beside_its_fastest_opponents():
    rows = [row for row in shown.read("block_compiled") if row["passes"] == "forward + backward"]
    for row in shown.shown():
        if row["table"] == "block" and row["kind"] != "by hand":
            beside = [r for r in rows if (r["shape"], r["layout"]) == (row["maps"], row["layout"])]
            compiled = row["kind"] == "compiled"
            rivals = [r for r in beside if r["block"].startswith(("timm", "torchvision", "published"))]
            times = [float(r["to peer"]) for r in rivals if r["block"].endswith(", compiled") == compiled]
            assert len(times) == 4
            assert float(row["share"]) == min(times)


def test_notebook_14_shows_the_block_alone_and_beside_two_neighbours():
    assert {row["neighbours"] for row in shown.read("block_2_neighbours")} == {"2"}
    rows = [row for row in shown.shown() if row["table"] == "load"]
    assert Counter(row["kind"] for row in rows) == {"quiet": 8, "busy": 8}
    assert all(float(row["from"]) <= float(row["share"]) <= float(row["up to"]) for row in rows)


def test_the_growths_formulas_are_counted_by_hand():
    assert growth.formulas(n=2, c=8, side=3, r=4) == {
        "bytes": 5 * 2 * 8 * 9 * 4,
        "multiply-adds": 2 * 2 * 8 * 2,
        "parameters": 2 * 8 * 2,
    }


def test_growth_measures_every_size_and_draws_them(monkeypatch):
    monkeypatch.setattr(growth, "BASE", {"N": 1, "C": 8, "side": 3, "r": 2})
    monkeypatch.setattr(growth, "VARIED", {"C": [4, 8], "side": [3, 4], "r": [1, 2], "N": [1, 2]})
    rows = growth.measure(rounds=1, device="cpu")
    assert len(rows) == 8 * len(blocks.ours())
    assert {row["C"] for row in rows if row["varied"] == "C"} == {4, 8}
    assert {row["C"] for row in rows if row["varied"] != "C"} == {8}
    figure, _ = growth.picture(rows, "default")
    assert [ax.get_xlabel() for ax in figure.axes] == list(growth.LABELS.values())


@pytest.fixture
def tiny(tmp_path):
    cells = [
        nbformat.v4.new_markdown_cell("# Tiny"),
        nbformat.v4.new_code_cell("block = bytearray(100_000_000)\ndel block"),
        nbformat.v4.new_code_cell(
            "from IPython.display import display\ndisplay({'image/png': 'aGk='}, raw=True)"
        ),
        nbformat.v4.new_code_cell("import time\ntime.sleep(0.5)"),
    ]
    path = tmp_path / "tiny.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return path


def test_a_notebooks_time_peak_and_first_picture_are_measured_and_nothing_is_stored(tiny):
    before = tiny.read_bytes()
    measured = asyncio.run(notebooks.lesson(tiny))
    assert tiny.read_bytes() == before
    assert 0 < measured.first_picture < measured.seconds - 0.5
    assert 10e6 < measured.share < 1e9
    if sys.platform == "linux":
        assert measured.peak > measured.share + 90e6


def test_a_class_is_weighed_when_all_are_done_and_before_one_leaves(tiny, monkeypatch):
    events = []

    class Barrier(asyncio.Barrier):
        async def wait(self):
            events.append("wait")
            return await super().wait()

    monkeypatch.setattr(asyncio, "Barrier", Barrier)
    monkeypatch.setattr(notebooks, "memory", lambda pid: events.append("weigh") or (500_000_000, 300_000_000))
    row = classroom.row(2, tiny)
    assert events[:3] == ["wait", "wait", "weigh"]
    assert events[-1] == "wait"
    assert Counter(events) == {"wait": 4, "weigh": 2}
    assert row["MB a student"] == 300
    assert 0 < row["first picture after s"] < row["end after s"]
    assert "A server for 30 needs about 9 GB" in classroom.sentence(row)
