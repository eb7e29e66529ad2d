"""A run and its files: each is whole or absent, and a run goes on from its checkpoint as if never stopped."""

import csv
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from seblock.train.recipe import Settings

CHECKPOINT, WEIGHTS = "checkpoint.safetensors", "weights.safetensors"


@contextmanager
def lock_folder(out: Path) -> Iterator[None]:
    """Keep other runs out of a folder until this one ends, even if it is killed. Raises BlockingIOError."""
    try:
        with FileLock(out / ".lock", timeout=0):
            yield
    except Timeout:
        raise BlockingIOError(f"another process is training into {out}") from None


def write_file(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there: whoever reads finds the old one or the new one."""
    beside = path.with_name(path.name + ".part")
    try:
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@dataclass
class Run:
    """A training run and all that its next step depends on."""

    settings: Settings
    network: nn.Module
    optimizer: Optimizer
    schedule: LRScheduler
    log: list[dict[str, float]]

    def save(self, path: Path) -> None:
        """Write weights and optimiser state as safetensors, the rest as JSON in the file's own header."""
        optimizer = self.optimizer.state_dict()
        tensors = {f"network.{name}": t for name, t in self.network.state_dict().items()}
        for number, state in optimizer["state"].items():
            tensors |= {f"optimizer.{number}.{name}": t for name, t in state.items()}
        rest = {
            "settings": asdict(self.settings),
            "groups": optimizer["param_groups"],
            "schedule": {k: v for k, v in self.schedule.state_dict().items() if not callable(v)},
            "log": self.log,
        }
        write_file(path, save(make_savable(tensors), {"run": json.dumps(rest)}))

    def load(self, path: Path) -> None:
        """Go on from a checkpoint. Raises ValueError for a damaged one or one of another run."""
        weights: dict[str, Tensor] = {}
        state: dict[int, dict[str, Tensor]] = {}
        try:
            with safe_open(path, "pt") as file:
                rest = json.loads(file.metadata()["run"])
                theirs, groups, schedule, log = (rest[k] for k in ("settings", "groups", "schedule", "log"))
                for name in file.keys():
                    tensor = file.get_tensor(name).clone()  # or it stays mapped to a file that is replaced
                    part, _, name = name.partition(".")
                    if part == "network":
                        weights[name] = tensor
                    else:
                        number, _, name = name.partition(".")
                        state.setdefault(int(number), {})[name] = tensor
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} is no checkpoint of this command, or a damaged one") from error
        # Compared as JSON has them, where a tuple is a list. A setting that the checkpoint is too old to know
        # had its default.
        now, defaults = (json.loads(json.dumps(asdict(s))) for s in (self.settings, Settings()))
        if other := [f"{k} {v}, not {now.get(k)}" for k, v in (defaults | theirs).items() if v != now.get(k)]:
            raise ValueError(f"{path} belongs to another run: {'; '.join(other)}")
        load_weights(self.network, weights, path)
        parameters = (p for group in self.optimizer.param_groups for p in group["params"])
        if {number: {"momentum_buffer": p.shape} for number, p in enumerate(parameters)} != {
            number: {name: t.shape for name, t in tensors.items()} for number, tensors in state.items()
        }:
            raise ValueError(f"{path} holds the optimiser state of another network")
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.schedule.load_state_dict(schedule)
        self.log = log

    def write_results(self, out: Path, last: bool) -> None:
        """Write log.csv, curve.png and the checkpoint after an epoch, after the last one the weights too.

        The checkpoint comes at the end, so that whatever it counts as done is there.
        """
        from seblock.plots import training

        write_file(out / "log.csv", self.format_log())
        write_file(out / "curve.png", training.png_of(self.log))
        if last:
            write_file(out / WEIGHTS, save(make_savable(self.network.state_dict())))
        self.save(out / CHECKPOINT)

    def format_log(self) -> bytes:
        """Write the log as CSV, one line an epoch, as a spreadsheet reads it."""
        file = io.StringIO(newline="")
        table = csv.DictWriter(file, fieldnames=list(self.log[0]))
        table.writeheader()
        table.writerows(self.log)
        return file.getvalue().encode()


def make_savable(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Bring tensors into the form that safetensors takes: on the CPU and contiguous."""
    return {name: t.detach().cpu().contiguous() for name, t in tensors.items()}


def load_weights(network: nn.Module, weights: dict[str, Tensor], source: object) -> None:
    """Load weights that fit exactly; others raise a ValueError that says in one sentence what does not."""
    own = network.state_dict()
    if missing := sorted(own.keys() ^ weights.keys()):
        raise ValueError(f"{source} holds another network: {missing[0]} stands in only one of them")
    for name, tensor in weights.items():
        if tensor.shape != own[name].shape:
            shapes = f"{tuple(tensor.shape)}, not {tuple(own[name].shape)}"
            raise ValueError(f"{source} holds another network: {name} is {shapes}")
    network.load_state_dict(weights)
