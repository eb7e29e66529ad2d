"""Several runs at once on one GPU, each in a lane: a stream of its own, and its steps as CUDA graphs.

A small network's step is hundreds of kernels of microseconds, and Python takes longer to start them than the
GPU to finish them. A graph starts them all at once, and with many lanes the GPU always has something to do.
"""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from seblock import cifar10, networks
from seblock.train.loop import draw_epoch, take_batch
from seblock.train.recipe import Settings, choose_side, group_parameters, make_schedule, set_beta

TESTED_AT_ONCE = 500
"""Test images a batch, at most."""


def build_network(settings: Settings) -> nn.Module:
    """Initialise a run's network from its seed, as `start_run` does, on the CPU."""
    torch.manual_seed(settings.seed)
    network: nn.Module = networks.build(settings.network)
    set_beta(network, settings.beta)
    return network


def plan_rates(settings: Settings, total: int) -> list[float]:
    """List the learning rate of each of `total` steps."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(()))], lr=settings.peak, momentum=0.9)
    schedule, rates = make_schedule(optimizer, settings, total), []
    for _ in range(total):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        schedule.step()
    return rates


class Lane:
    """One run after another, of one network and recipe; seed, epochs and β may differ from run to run.

    settings: the recipe. train, test: images on the lane's device. longest: the most epochs of a run.
    On a CPU the same steps are taken without graphs. `load` begins a run; `begin_epoch`, `step` (for each
    batch) and `end_epoch` queue work and return at once; `results` waits.
    """

    def __init__(self, settings: Settings, train: cifar10.Images, test: cifar10.Images, longest: int) -> None:
        self.settings, self.train, self.test = settings, train, test
        self.device = train.x.device
        self.on_gpu = self.device.type == "cuda"
        self.steps_each = len(train.y) // settings.batch
        self.stream = torch.cuda.Stream() if self.on_gpu else None
        zeros = partial(torch.zeros, device=self.device)
        self.drawn = zeros(self.steps_each, 4, settings.batch, dtype=torch.long)
        self.rates, self.rate = (
            zeros(self.steps_each * longest),
            torch.tensor(settings.peak, device=self.device),
        )
        self.at, self.count = zeros(1, dtype=torch.long), zeros(1, dtype=torch.long)
        self.sums = zeros(4, dtype=torch.float64)
        self.network = build_network(settings).to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        groups = group_parameters(self.network, settings)
        self.optimizer = torch.optim.SGD(groups, lr=self.rate, momentum=0.9, nesterov=True, fused=self.on_gpu)
        self.graphs: dict[object, torch.cuda.CUDAGraph] = {}
        self.names = [n for n, t in self.network.state_dict().items() if t.is_floating_point()]
        if self.on_gpu:
            self._capture()

    def _train_step(self, side: int | None) -> None:
        """The step of `loop.steps`, with all that changes from step to step read from the device's memory."""
        self.rate.copy_(self.rates.index_select(0, self.count)[0])
        x, y = take_batch(self.train, self.drawn.index_select(0, self.at)[0], side)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.mixed):
            output = self.network(x)
        loss = F.cross_entropy(output.float(), y, label_smoothing=self.settings.smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.sums[:2] += torch.stack([loss.detach(), (output.detach().argmax(1) == y).float().mean()])
        self.at += 1
        self.count += 1

    @torch.no_grad()
    def _test(self) -> None:
        """What `loop.evaluate` measures; the network must be in evaluation mode."""
        for x, y in zip(self.test.x.split(TESTED_AT_ONCE), self.test.y.split(TESTED_AT_ONCE), strict=True):
            output = self.network(cifar10.normalise(x).contiguous(memory_format=torch.channels_last))
            right = (output.argmax(1) == y).sum()
            self.sums[2:] += torch.stack(
                [F.cross_entropy(output, y, reduction="sum").double(), right.double()]
            )

    def _capture(self) -> None:
        """Take each kind of step twice, so that all buffers exist, then record it."""
        pool = torch.cuda.graph_pool_handle()
        assert self.stream is not None
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            works: dict[object, Callable[[], None]] = {
                side: partial(self._train_step, side) for side in self.settings.sizes or [None]
            }
            works["test"] = self._test
            for key, work in works.items():
                self.network.train(key != "test")
                for _ in range(2):
                    work()
                self.stream.synchronize()
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(
                    graph, pool=pool, stream=self.stream, capture_error_mode="thread_local"
                ):
                    work()
                self.graphs[key] = graph
        torch.cuda.current_stream().wait_stream(self.stream)

    def _within(self) -> torch.cuda.StreamContext:
        return torch.cuda.stream(self.stream)

    def load(self, settings: Settings) -> None:
        """Begin a run: its initial weights, no momentum, its learning rates."""
        own = ("seed", "epochs", "beta")
        if dataclasses.replace(settings, **{n: getattr(self.settings, n) for n in own}) != self.settings:
            raise ValueError(f"this lane is for {self.settings}, not {settings}")
        self.settings = settings
        state = build_network(settings).state_dict()
        rates = torch.tensor(plan_rates(settings, self.steps_each * settings.epochs))
        with self._within():
            for name, tensor in self.network.state_dict().items():
                tensor.copy_(state[name])
            for buffers in self.optimizer.state.values():
                if (momentum := buffers.get("momentum_buffer")) is not None:
                    momentum.zero_()
            self.rates[: len(rates)].copy_(rates)
            self.count.zero_()

    def draw(self, epoch: int) -> Tensor:
        """Draw an epoch's batches as `train.run` does, (steps, 4, batch), where the GPU can fetch them."""
        seed = self.settings.seed * 100_000 + epoch
        drawn = torch.stack(list(draw_epoch(len(self.train.y), self.settings.batch, seed)))
        return drawn.pin_memory() if self.on_gpu else drawn

    def begin_epoch(self, drawn: Tensor) -> None:
        """Put what was drawn in its place, and the sums to zero."""
        with self._within():
            self.drawn.copy_(drawn, non_blocking=True)
            self.at.zero_()
            self.sums.zero_()

    def step(self, epoch: int) -> None:
        """Learn from the next batch."""
        side = choose_side(self.settings, epoch)
        if self.on_gpu:
            with self._within():
                self.graphs[side].replay()
        else:
            self.network.train()
            self._train_step(side)

    def end_epoch(self) -> "Epoch":
        """Evaluate, and send off the means and the weights to the CPU."""
        if not self.on_gpu:
            self.network.eval()
            self._test()
            return Epoch(self, self.sums.clone(), self._flat().clone(), None)
        with self._within():
            self.graphs["test"].replay()
            flat = self._flat()
            sums_there = torch.empty(4, dtype=torch.float64, pin_memory=True)
            flat_there = torch.empty(len(flat), pin_memory=True)
            sums_there.copy_(self.sums, non_blocking=True)
            flat_there.copy_(flat, non_blocking=True)
            done = torch.cuda.Event()
            done.record()
        return Epoch(self, sums_there, flat_there, done)

    def _flat(self) -> Tensor:
        state = self.network.state_dict()
        return torch.cat([state[name].contiguous().flatten() for name in self.names])


class Epoch:
    """What an epoch leaves, once the device has come so far."""

    def __init__(self, lane: Lane, sums: Tensor, flat: Tensor, done: torch.cuda.Event | None) -> None:
        self.lane, self.sums, self.flat, self.done = lane, sums, flat, done

    def ready(self) -> bool:
        """Whether it is there already."""
        return self.done is None or self.done.query()

    def means(self) -> dict[str, float]:
        """Wait, and give training and test loss and accuracy."""
        if self.done:
            self.done.synchronize()
        steps, tested = self.lane.steps_each, len(self.lane.test.y)
        names = ("loss", "accuracy", "test_loss", "test_accuracy")
        counts = (steps, steps, tested, tested)
        return {name: float(s) / n for name, s, n in zip(names, self.sums, counts, strict=True)}

    def weights(self, steps: int) -> dict[str, Tensor]:
        """Wait, and give the network's state after `steps` steps in all."""
        if self.done:
            self.done.synchronize()
        state = self.lane.network.state_dict()
        sizes: Sequence[int] = [state[name].numel() for name in self.lane.names]
        parts = dict(zip(self.lane.names, self.flat.split(sizes), strict=True))
        found = {}
        for name, tensor in state.items():
            if name in parts:
                found[name] = parts[name].view(tensor.shape).clone()
            else:
                found[name] = torch.tensor(steps)
        return found
