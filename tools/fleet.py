"""The fleet: many seeds of every CIFAR-10 network, trained in the background at the lowest priority.

python tools/fleet.py DATA RUNS            train what is missing in seblock/trained/fleet_*.csv, step by step
python tools/fleet.py DATA RUNS --status   show what is done, and how far the others are
python tools/fleet.py DATA RUNS --gpu 480  train for 480 seconds on a GPU, many runs at once

DATA holds CIFAR-10's binary version. RUNS keeps a folder a run, with its checkpoint, and `code`, a copy of
the package from the first start: all runs use that one, whatever happens to the working tree. Stopped or
killed at any moment, the queue loses an epoch a process at most; the same command goes on. As a run ends, its
rows come into the tables and, for seed 0, its weights beside them, whole and at once.
"""

import argparse
import csv
import io
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

Row = dict[str, Any]
TREE = Path(__file__).resolve().parents[1]
TABLES = ("fleet_runs", "fleet_gates", "fleet_classes")

RECIPE = {"peak": 0.2, "sizes": (16, 24, 32), "mixed": True}
"""What all runs have in common, besides the trainer's defaults; never changed once a run counts."""

ON_CPU = {"compiled": True}
"""How a CPU goes through it fastest; a GPU has CUDA graphs instead."""

KEY = ("network", "epochs", "seed", "gate_decay", "beta", "recipe")
"""What names a run in the tables."""

QUEUE_ID = "SEBLOCK_QUEUE"
"""The environment variable that tells a run its queue's process; an older copy would refuse an option."""

TWINS = ("resnet20", "se_resnet20", "constant_resnet20")


class Job(NamedTuple):
    """A run of the queue, and the step that it belongs to."""

    step: int
    network: str
    epochs: int
    seed: int
    gate_decay: float | None = None
    beta: float = 0.0
    closely: bool = False
    """Its gates' statistics are kept for every epoch."""

    @property
    def name(self) -> str:
        """Its folder's name, which says all that tells it from the others."""
        others = f"_decay{self.gate_decay:g}" if self.gate_decay is not None else ""
        others += f"_beta{self.beta:g}" if self.beta else ""
        return f"{self.network}{others}_{self.epochs}_{self.seed}"


def variants(seeds: Iterable[int], step: int) -> Iterator[Job]:
    """The four changed SE networks, seed by seed: no decay of the gates, r = 2, β from 1, the maximum."""
    for seed in seeds:
        yield Job(step, "se_resnet20", 6, seed, gate_decay=0.0)
        yield Job(step, "se_resnet20_r2", 6, seed)
        yield Job(step, "se_resnet20", 6, seed, beta=1.0)
        yield Job(step, "se_resnet20_max", 6, seed)


ABLATIONS = (
    *("r4", "r8", "r16", "nosqueeze", "tanh", "relu", "hardsigmoid"),
    *("pre", "post", "identity", "stage1", "stage2", "stage3"),
)
"""The paper's Tables 10, 12 to 14 and 16, with r = 2 and the maximum of step 3."""

QUEUE = [
    *(Job(1, network, 6, seed) for seed in range(8) for network in TWINS),
    *(Job(2, network, 24, 0, closely=True) for network in ("se_resnet20", "resnet20", "constant_resnet20")),
    *(Job(2, "se_resnet20", 24, seed, closely=True) for seed in (1, 2)),
    *variants(range(3), step=3),
    *(Job(4, network, 6, seed) for seed in range(8, 12) for network in TWINS),
    *variants(range(3, 6), step=4),
    *(Job(5, network, 30, seed) for seed in range(8) for network in TWINS),
    *(Job(6, f"se_resnet20_{word}", 6, seed) for seed in range(6, 12) for word in ("r2", "max")),
    *(Job(6, f"se_resnet20_{word}", 6, seed) for seed in range(12) for word in ABLATIONS),
]
"""In the order in which they are trained; each step is useful by itself. Steps 5 and 6 are for a GPU."""


def recipe_name() -> str:
    """The recipe in one field of a table: "peak 0.2, sizes 16 24 32, mixed, compiled"."""

    def said(name: str, value: Any) -> str:
        if value is True:
            return name
        return f"{name} {' '.join(map(str, value)) if isinstance(value, tuple) else value}"

    return ", ".join(said(name, value) for name, value in RECIPE.items())


def key_of(job: Job) -> Row:
    """A run's name in the tables, as text, as a table's file holds it."""
    found = {**job._asdict(), "recipe": recipe_name()}
    return {name: "" if found[name] is None else str(found[name]) for name in KEY}


def machine() -> str:
    """The processor, as far as it decides about speed and rounding."""
    model, flags = platform.processor() or platform.machine(), set()
    if (info := Path("/proc/cpuinfo")).is_file():
        lines = dict(line.split("\t: ", 1) for line in info.read_text().splitlines() if "\t: " in line)
        lines = {name.strip(): value for name, value in lines.items()}
        model, flags = lines.get("model name", model), set(lines.get("flags", "").split())
    fast = [name for name in ("amx_bf16", "avx512_bf16", "avx2") if name in flags]
    return f"{model.strip()}, {fast[0]}" if fast else model.strip()


# One run, in a process of its own, from the copy of the code


def gate_rows(network: Any, images: Any, epoch: int) -> tuple[list[Row], list[Row]]:
    """Statistics of every gate of a branch over images: a row a block, and a row a block and class."""
    import torch

    from seblock import blocks, cifar10, gates

    names = [
        name
        for name, module in network.named_modules()
        if isinstance(module, blocks.SELayer | blocks.ConstantGate) and name.endswith("standard")
    ]
    if not names:
        return [], []
    batches = zip(cifar10.normalise(images.x).split(500), images.y.split(500), strict=True)
    recorded = gates.record(network, batches, names)
    rows, classes = [], []
    for name, s in recorded.s.items():
        all_s = s.double()
        s = all_s[:, all_s.isfinite().all(0)]  # a map of zeros alone does not show its factor
        split = gates.variance_split(s, images.y)
        spreads = torch.linalg.svdvals(s - s.mean(0)) / len(s) ** 0.5
        row: Row = {
            "epoch": epoch,
            "images": len(s),
            "gate": name,
            "mean": round(float(s.mean()), 4),
            "between images": round(float((split.between + split.within).mean().sqrt()), 5),
            "between channels": round(float(s.mean(0).std()), 5),
            "between classes": round(gates.class_specificity(s, images.y), 4),
        }
        for number in range(8):
            row[f"spread {number + 1}"] = round(float(spreads[number]), 5)
        rows.append(row)
        means, deviations = gates.by_class(all_s, images.y)
        for label in range(len(means)):
            classes.append(
                {
                    "epoch": epoch,
                    "gate": name,
                    "class": label,
                    "means": " ".join(f"{value:.4f}" for value in means[label]),
                    "deviations": " ".join(f"{value:.4f}" for value in deviations[label]),
                }
            )
    return rows, classes


def settings_of(job: Job) -> dict[str, Any]:
    """The trainer's settings of a run, whatever trains it."""
    own = {name: getattr(job, name) for name in ("network", "epochs", "seed", "gate_decay", "beta")}
    return {**own, **RECIPE}


def train_one(settings_: dict[str, Any], closely: bool, directory: Path, out: Path) -> None:
    """Train, or go on training, one run; leaves `result.json` in its folder, whole, at the very end.

    closely: the statistics of its gates are kept for every epoch, over the first 2,000 test images.
    """
    import torch

    from seblock import cifar10, train

    torch.set_num_threads(1)
    settings = train.Settings(**settings_)

    def note_gates(run: train.Run, test: cifar10.Images) -> None:
        note_epoch(run.network, test, len(run.log), out)

    run = train.run(
        settings, directory, out, resume=True, bar=False, after_epoch=note_gates if closely else None
    )
    facts = {"machine": machine(), "threads": 1, "torch": torch.__version__}
    write_result(run.network, cifar10.load(directory, "test", settings.images), run.log, facts, closely, out)


def note_epoch(network: Any, test: Any, epoch: int, out: Path) -> None:
    """Leave the statistics of an epoch's gates, over the first 2,000 test images."""
    rows, _ = gate_rows(network, type(test)(test.x[:2000], test.y[:2000]), epoch)
    write_whole(out / f"gates_{epoch}.json", json.dumps(rows).encode())


def write_result(network: Any, test: Any, log: Sequence[Row], facts: Row, closely: bool, out: Path) -> None:
    """Leave a finished run's rows of all tables in `result.json`."""
    rows, classes = gate_rows(network, test, len(log))
    if closely:
        each = (json.loads((out / f"gates_{n}.json").read_text()) for n in range(1, len(log)))
        rows = [row for epoch in each for row in epoch] + rows
    runs = [{**facts, **{name: round(value, 4) for name, value in row.items()}} for row in log]
    result = {"fleet_runs": runs, "fleet_gates": rows, "fleet_classes": classes}
    write_whole(out / "result.json", json.dumps(result).encode())


def end_with(queue: int) -> None:
    """End this process when the queue that started it has ended, however that ended."""
    while os.getppid() == queue:
        time.sleep(1)
    os._exit(1)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there: whoever reads finds the old one or the new one."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    beside.write_bytes(content)
    os.replace(beside, path)


# The tables


def read_table(folder: Path, name: str) -> list[Row]:
    """The rows of a table as text; none where there is no such file."""
    path = folder / f"{name}.csv"
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_table(folder: Path, name: str, rows: Sequence[Row]) -> None:
    """A CSV file, in the queue's order, whole or as it was."""
    places = {tuple(key_of(job).values()): number for number, job in enumerate(QUEUE)}
    rows = sorted(rows, key=lambda row: places.get(tuple(row[name] for name in KEY), len(places)))
    fields = dict.fromkeys(name for row in rows for name in row)
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, list(fields), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_whole(folder / f"{name}.csv", file.getvalue().encode())


def runs_of(rows: Iterable[Row]) -> dict[tuple[str, ...], Row]:
    """The last row of each run in a table, by the run's key."""
    return {tuple(row[name] for name in KEY): row for row in rows}


def add_results(jobs: Sequence[Job], runs: Path, folder: Path) -> None:
    """Put finished runs' rows into the tables, in place of rows they may have there.

    Seed 0 of steps 1 and 2 leaves its weights; rows of classes are those of SE in steps 1 to 3 and 5. The
    table of runs comes last: a run counts once it stands there.
    """
    results, with_classes = {}, set()
    for job in jobs:
        key = tuple(key_of(job).values())
        results[key] = json.loads((runs / job.name / "result.json").read_text())
        if job.step in (1, 2, 3, 5) and job.network.startswith("se_"):
            with_classes.add(key)
        if job.seed == 0 and job.step in (1, 2):
            weights = (runs / job.name / "weights.safetensors").read_bytes()
            write_whole(folder / f"fleet_{job.name}.safetensors", weights)
    for name in reversed(TABLES):
        rows = [row for row in read_table(folder, name) if tuple(row[k] for k in KEY) not in results]
        for key, result in results.items():
            if name != "fleet_classes" or key in with_classes:
                rows += [{**dict(zip(KEY, key, strict=True)), **row} for row in result[name]]
        write_table(folder, name, rows)


def done(folder: Path) -> dict[tuple[str, ...], Row]:
    """The runs that the tables have."""
    return runs_of(read_table(folder, "fleet_runs"))


def twins_elsewhere(job: Job, finished: dict[tuple[str, ...], Row]) -> str | None:
    """Another machine that has trained a network of the same epochs and seed, so that they'd not compare."""
    for key, row in finished.items():
        same = dict(zip(KEY, key, strict=True))
        if (same["epochs"], same["seed"]) == (str(job.epochs), str(job.seed)) and row["machine"] != machine():
            return str(row["machine"])
    return None


# The queue


def copy_code(runs: Path) -> Path:
    """The code that all runs use: copied once, then left alone."""
    code = runs / "code"
    if not code.exists():
        beside = runs / f"code.{os.getpid()}.part"
        ignored = shutil.ignore_patterns("__pycache__", "*.csv", "*.safetensors")
        shutil.copytree(TREE / "seblock", beside / "seblock", ignore=ignored)
        shutil.copy(__file__, beside)
        os.replace(beside, code)
    return code


def environment(code: Path) -> dict[str, str]:
    """One thread a process, the copied code, and freed memory kept, which glibc would give back and clear."""
    kept = {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
    own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(code), QUEUE_ID: str(os.getpid())}
    return {**os.environ, **kept, **own}


def work(directory: Path, runs: Path, folder: Path, workers: int, steps: Sequence[int]) -> int:
    """Train what the tables miss, `workers` runs at a time: the number of runs that failed twice."""
    code = copy_code(runs)
    lock, ending = threading.Lock(), threading.Event()
    finished = done(folder)
    waiting = [job for job in QUEUE if job.step in steps and tuple(key_of(job).values()) not in finished]
    children: set[subprocess.Popen[bytes]] = set()
    failed: list[str] = []

    def stop(*_: object) -> None:
        ending.set()
        for child in list(children):
            child.terminate()

    def take() -> None:
        while not ending.is_set():
            with lock:
                if not waiting:
                    return
                job = waiting.pop(0)
                if other := twins_elsewhere(job, done(folder)):
                    print(f"{job.name}: left out, its twins ran on another machine ({other})", flush=True)
                    continue
            out = runs / job.name
            out.mkdir(parents=True, exist_ok=True)
            one = json.dumps(
                {"settings_": settings_of(job) | ON_CPU, "closely": job.closely, "out": str(out)}
            )
            command = [sys.executable, code / Path(__file__).name, directory, runs, "--one", one]
            for attempt in (1, 2):
                with open(out / "output.txt", "ab") as output:
                    child = subprocess.Popen(
                        command, env=environment(code), stdout=output, stderr=output, start_new_session=True
                    )
                    children.add(child)
                    status = child.wait()
                    children.discard(child)
                if status == 0 or ending.is_set():
                    break
                print(f"{job.name}: attempt {attempt} ended with status {status}", flush=True)
                time.sleep(3)  # the process of a queue that was killed may still hold the folder
            with lock:
                if status == 0:
                    add_results([job], runs, folder)
                    print(f"{time.strftime('%H:%M:%S')} {job.name}: done", flush=True)
                elif not ending.is_set():
                    failed.append(job.name)
                    if len(failed) == workers + 1:  # then it is hardly the runs that are to blame
                        print("too many runs failed: look at output.txt in their folders", flush=True)
                        ending.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    threads = [threading.Thread(target=take) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        while thread.is_alive():  # a join without end would not hear the signal
            thread.join(1)
    return len(failed)


# The queue on a GPU

LANES = 24
"""Runs at once."""


def work_on_gpu(directory: Path, runs: Path, folder: Path, steps: Sequence[int], seconds: float) -> None:
    """Train what the tables miss on a GPU, many runs at once, and begin none that would not end in time.

    Processes on the CPU make the statistics from the weights. A run's rows come into the tables within
    seconds of its end; where a call was cut off before that, the next one brings them from what it left.
    """
    import multiprocessing

    import torch

    from seblock import cifar10, train
    from seblock.train.lanes import Lane

    began, finished = time.perf_counter(), done(folder)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.allow_tf32 = True, True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    loaded = (cifar10.load(directory, part, RECIPE.get("images")) for part in ("train", "test"))
    images = [cifar10.Images(x.to(device), y.to(device)) for x, y in loaded]
    waiting = [job for job in QUEUE if job.step in steps and tuple(key_of(job).values()) not in finished]
    longest = max((job.epochs for job in waiting), default=0)
    free: dict[tuple[str, float | None], list[Lane]] = {}
    active: dict[Job, tuple[Iterator[None], Lane, float]] = {}
    ended: dict[Job, Any] = {}
    pace = 0.0

    def passed() -> float:
        return time.perf_counter() - began

    def collect(at_least: int) -> None:
        """Put the runs whose statistics are there into the tables, if there are so many."""
        ready = [job for job, statistics in ended.items() if statistics.ready()]
        if len(ready) < at_least:
            return
        whole = []
        for job in ready:
            try:
                ended.pop(job).get()
                whole.append(job)
            except Exception as error:  # of whatever kind: the other runs count all the same
                print(f"{job.name}: no statistics, {type(error).__name__}: {error}", flush=True)
        add_results(whole, runs, folder)
        print(f"{passed():6.1f} s: {len(whole)} more runs in the tables", flush=True)

    with multiprocessing.get_context("spawn").Pool(max(1, (os.cpu_count() or 2) - 2)) as pool:
        for job in [job for job in waiting if (runs / job.name / "log.json").exists()]:
            waiting.remove(job)
            ended[job] = pool.apply_async(
                finish_on_cpu, (job, directory, runs / job.name, RECIPE.get("images"))
            )
        while waiting or active:
            waiting = [job for job in waiting if passed() + 1.1 * pace * job.epochs < seconds]
            if waiting and len(active) < LANES:
                wanted = {(job.network, job.gate_decay) for job in waiting}
                for kind in free.keys() - wanted:
                    del free[kind]  # a lane holds gigabytes
                job = waiting.pop(0)
                idle = free.setdefault((job.network, job.gate_decay), [])
                settings = train.Settings(**settings_of(job))
                lane = idle.pop() if idle else Lane(settings, *images, longest)
                lane.load(settings)
                active[job] = follow(job, lane, directory, runs / job.name, pool), lane, passed()
                continue
            for job, (follower, lane, since) in list(active.items()):
                try:
                    next(follower)
                except StopIteration as stopped:
                    del active[job]
                    ended[job] = stopped.value
                    free.setdefault((job.network, job.gate_decay), []).append(lane)
                    pace = (passed() - since) / job.epochs
                    print(f"{passed():6.1f} s {job.name}", flush=True)
            collect(at_least=8)
        while ended:
            collect(at_least=1)
            time.sleep(0.1)


def follow(job: Job, lane: Any, directory: Path, out: Path, pool: Any) -> Generator[None, None, Any]:
    """Go through a run, queueing some steps at a time: at its end, the statistics that are being made."""
    import torch
    from safetensors.torch import save_file

    from seblock import train

    name = torch.cuda.get_device_name() if lane.on_gpu else machine()
    facts = {"machine": name, "threads": 1, "torch": torch.__version__}
    out.mkdir(parents=True, exist_ok=True)
    log: list[Row] = []
    epochs: list[Any] = []
    noted: list[Any] = []
    started = time.perf_counter()

    def note() -> None:
        epoch = epochs.pop(0)
        number = len(log) + 1
        means = epoch.means()
        if not means["loss"] < train.LARGEST_LOSS:
            raise train.Diverged(f"{job.name}: the loss is {means['loss']:.3g} in epoch {number}")
        log.append({"epoch": number, **means, "seconds": (time.perf_counter() - started) / number})
        if number == job.epochs:
            save_file(epoch.weights(number * lane.steps_each), out / train.WEIGHTS)
        elif job.closely:
            save_file(epoch.weights(number * lane.steps_each), out / f"weights_{number}.safetensors")
            noted.append(pool.apply_async(note_on_cpu, (job, directory, out, number, RECIPE.get("images"))))

    drawn = lane.draw(0)
    for number in range(job.epochs):
        lane.begin_epoch(drawn)
        for step in range(lane.steps_each):
            lane.step(number)
            if step % 10 == 9:
                yield
        epochs.append(lane.end_epoch())
        if number + 1 < job.epochs:
            drawn = lane.draw(number + 1)
        if len(epochs) > 1:  # what is queued may be an epoch ahead, not more
            note()
    while not epochs[0].ready() or not all(each.ready() for each in noted):
        yield
    note()
    write_whole(out / "log.json", json.dumps({"log": log, "facts": facts}).encode())
    return pool.apply_async(finish_on_cpu, (job, directory, out, RECIPE.get("images")))


def load_finished(job: Job, directory: Path, path: Path, images: int | None) -> tuple[Any, Any]:
    """A network with the weights that a GPU left, and the test images, in a process of its own."""
    import torch
    from safetensors.torch import load_file

    from seblock import cifar10, networks

    torch.set_num_threads(1)
    network = networks.build(job.network).eval()
    network.load_state_dict(load_file(path))
    return network, cifar10.load(directory, "test", images)


def note_on_cpu(job: Job, directory: Path, out: Path, epoch: int, images: int | None) -> None:
    """Leave the statistics of one epoch's gates."""
    note_epoch(*load_finished(job, directory, out / f"weights_{epoch}.safetensors", images), epoch, out)


def finish_on_cpu(job: Job, directory: Path, out: Path, images: int | None) -> None:
    """Leave a run's rows, if the CPU finds the accuracy that the GPU found."""
    from seblock import train

    network, test = load_finished(job, directory, out / train.WEIGHTS, images)
    left = json.loads((out / "log.json").read_text())
    (_, accuracy), there = train.evaluate(network, test), left["log"][-1]["test_accuracy"]
    if abs(accuracy - there) > 0.003:
        raise ValueError(f"{job.name}: accuracy {there} on the GPU, {accuracy} on the CPU")
    write_result(network, test, left["log"], left["facts"], job.closely, out)


def status(runs: Path, folder: Path) -> str:
    """What is done, as a small table: a line a step and kind of network."""
    finished, lines = done(folder), []
    kinds: dict[tuple[int, str], list[Job]] = {}
    for job in QUEUE:
        kinds.setdefault((job.step, job.name.rpartition("_")[0]), []).append(job)
    lines.append(f"{'step':4}  {'network and epochs':32}  {'done':>7}  test accuracy, epochs under way")
    for (step, kind), jobs in kinds.items():
        ends, under_way = [], []
        for job in jobs:
            if row := finished.get(tuple(key_of(job).values())):
                ends.append(float(row["test_accuracy"]))
            elif (log := runs / job.name / "log.csv").exists():
                epochs = len(log.read_text().splitlines()) - 1
                under_way.append(f"seed {job.seed}: {epochs} of {job.epochs}")
        mean = [f"{sum(ends) / len(ends):.1%}"] if ends else []
        lines.append(
            f"{step:4}  {kind:32}  {f'{len(ends)} of {len(jobs)}':>7}  {', '.join(mean + under_way)}".rstrip()
        )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--status", action="store_true", help="show what is done, and train nothing")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes, of one thread each")
    parser.add_argument("--steps", type=int, nargs="+", help="those alone; 1 to 4 if not given, on a GPU all")
    parser.add_argument("--gpu", type=float, metavar="SECONDS", help="on a GPU, for so long")
    parser.add_argument("--tables", type=Path, default=TREE / "seblock" / "trained", help=argparse.SUPPRESS)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    options = parser.parse_args()
    directory, runs = options.data.resolve(), options.runs.resolve()
    if options.status:
        print(status(runs, options.tables))
        return
    if options.one:
        threading.Thread(target=end_with, args=(int(os.environ[QUEUE_ID]),), daemon=True).start()
        if hasattr(os, "nice"):
            os.nice(19)
        one = json.loads(options.one)
        train_one(**{**one, "directory": directory, "out": Path(one["out"])})
        return
    import filelock

    runs.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(runs / "queue.lock", timeout=0):
            if options.gpu:
                work_on_gpu(directory, runs, options.tables, options.steps or range(1, 7), options.gpu)
            elif work(directory, runs, options.tables, options.workers, options.steps or range(1, 5)):
                sys.exit(1)
    except filelock.Timeout:
        sys.exit(f"another queue works in {runs}")


if __name__ == "__main__":
    main()
