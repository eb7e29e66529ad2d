"""Every check, both ways: right answers pass, wrong ones are told what to mend, a stub is survived."""

import contextlib
import copy
import functools
import itertools
import linecache
import math
import re
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from seblock import exercises
from seblock.blocks import SELayer, SqEx
from seblock.exercises import Exercise, exercise, limit
from seblock.photos import BRIGHT, GREEN, RED, VERTICAL, named_filters

CHECKS = {name: check for name, check in vars(exercises).items() if isinstance(check, Exercise)}


@pytest.mark.parametrize("name", CHECKS)
def test_the_solution_is_right(name: str) -> None:
    verdict = CHECKS[name].verdict(CHECKS[name].solution)
    assert verdict.kind == "right", verdict.text


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.filterwarnings("ignore")  # such as that of `std` where a class has one image
def test_each_mistake_is_told_by_its_name_and_no_other(name: str) -> None:
    for told, mistaken in CHECKS[name].known():
        verdict = CHECKS[name].verdict(mistaken)
        assert verdict.kind == "mistake", (told, verdict.text)
        assert verdict.text == f"Not yet. {told}"


@pytest.mark.parametrize("name", [name for name, check in CHECKS.items() if list(check.cases) == [()]])
def test_a_solution_that_is_designed_meets_every_criterion(name: str) -> None:
    """A check compares answers with its solution, so a solution that falls short would let others pass."""
    met = CHECKS[name].view(CHECKS[name].solution())
    if isinstance(met, int):
        assert met == 0


@pytest.mark.parametrize("name", CHECKS)
def test_a_solution_gives_numbers_in_every_case(name: str) -> None:
    """An answer that raises where the solution raises as well would pass."""
    check = CHECKS[name]
    for case in check.cases:
        result = check.view(check.solution(*copy.deepcopy(case)), *case)
        parts = result if isinstance(result, list | tuple) else [result]
        assert all(torch.as_tensor(part).double().isfinite().all() for part in parts)


def test_every_check_is_in_the_list_of_answers_that_were_thought_of_apart() -> None:
    assert set(CHECKS) == {name for name, *_ in [*NAMED, *NOT_RIGHT, *RIGHT]}, "add it below"


@pytest.mark.parametrize("name", CHECKS)
def test_each_exercise_knows_four_mistakes(name: str) -> None:
    assert len(list(CHECKS[name].known())) >= 4


@pytest.mark.parametrize("name", CHECKS)
def test_mistakes_are_told_in_few_words(name: str) -> None:
    for told, _ in CHECKS[name].known():
        assert len(re.findall(r"[.?](?: |$)", told)) <= 3, told
        assert max(map(len, re.split(r"(?<=[.?]) ", told))) <= 150, told


# Answers as cells, from files of their own: a message or a case that is dropped is missed here.


def cells(file: str) -> dict[str, list[str]]:
    """The answers of a file by the name of their check."""
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    _, *parts = re.split(r"^=== (\w+)\n", text, flags=re.MULTILINE)
    return {name: answers.split("\n---\n") for name, answers in zip(parts[::2], parts[1::2])}


def cell(source: str) -> types.FunctionType:
    """The function f of a cell, run as a notebook runs it: its lines can be looked up."""
    names = {"torch": torch, "F": F, "nn": nn, "np": np, "math": math, "SELayer": SELayer, "SqEx": SqEx}
    names |= {"BRIGHT": BRIGHT, "GREEN": GREEN, "RED": RED}
    file = f"<ipython-input-{next(NUMBERS)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    exec(compile(source, file, "exec"), names)
    return names["f"]  # type: ignore[return-value]


NUMBERS = itertools.count()
WRONG = cells("wrong_answers.txt")


def test_each_check_has_wrong_answers_of_the_independent_list() -> None:
    """So a check whose messages are exchanged is noticed by words that are not its own."""
    assert set(WRONG) == set(CHECKS)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.filterwarnings("ignore")
def test_a_wrong_answer_is_told_what_to_mend(name: str) -> None:
    for answer in WRONG[name]:
        source, words = answer.rsplit("=> ", 1)
        verdict = CHECKS[name].verdict(cell(source))
        assert verdict.kind in ("mistake", "wrong", "error"), answer
        assert verdict.text.startswith("Not yet. ")
        for word in words.strip().split(" | "):
            assert word in verdict.text, (source, verdict.text)


@pytest.mark.parametrize("name", cells("right_answers.txt"))
@pytest.mark.filterwarnings("ignore")
def test_a_right_answer_by_another_route_is_right(name: str) -> None:
    for source in cells("right_answers.txt")[name]:
        verdict = CHECKS[name].verdict(cell(source))
        assert verdict.kind == "right", (source, verdict.text)


def test_an_answer_that_raises_gets_a_sentence() -> None:
    def raises(u: torch.Tensor) -> torch.Tensor:
        return u.no_such_thing()  # type: ignore[no-any-return]

    verdict = exercises.check_squeeze.verdict(raises)
    assert verdict.kind == "error"
    assert "(2, 8, 5, 3)" in verdict.text
    assert "no_such_thing" in verdict.text
    assert "\n" not in verdict.text


def test_a_forgotten_return_is_told() -> None:
    def forgets(u: torch.Tensor) -> None:
        u.mean((2, 3))

    assert "return" in exercises.check_squeeze.verdict(forgets).text


def test_stubs_of_every_kind_are_not_attempted() -> None:
    def dots(u): ...

    def passes(u):
        """Shapes."""
        pass

    def not_implemented(u):
        raise NotImplementedError

    def returns_none(u):
        return None

    for stub in (dots, passes, not_implemented, returns_none):
        assert exercises.check_squeeze.verdict(stub).kind == "not attempted"


def test_a_result_instead_of_a_function_is_told() -> None:
    assert "the function itself" in exercises.check_squeeze.verdict(torch.zeros(2, 3)).text


@pytest.mark.parametrize(
    "way",
    [
        lambda u: u.flatten(2).sum(2) / u[0, 0].numel(),
        lambda u: F.adaptive_avg_pool2d(u, 1)[:, :, 0, 0],
        lambda u: F.avg_pool2d(u, u.shape[2:]).flatten(1),
        lambda u: u.numpy().sum((2, 3)) / u[0, 0].numel(),
        lambda u: u.double().sum((-1, -2)) / u[0, 0].numel(),
        lambda u: torch.stack([torch.stack([m.sum() / m.numel() for m in image]) for image in u]),
        lambda u: [[float(m.sum()) / m.numel() for m in image] for image in u],
    ],
)
def test_right_numbers_of_any_kind_are_seen_to_be_right(way) -> None:
    """What is left to say is that the task asks for another way."""
    assert (
        "The numbers are right, but the task asks for a way with" in exercises.check_squeeze.verdict(way).text
    )


@pytest.mark.parametrize(
    "wrong",
    [
        lambda u: u.amin((2, 3)),
        lambda u: u.std((2, 3)),
        lambda u: u.mean((2, 3)).softmax(1),
        lambda u: u.mean((2, 3)).flip(1),
        lambda u: u[:, :, 0, 0],
        lambda u: u.mean((2, 3)).T,
        lambda u: u.mean((2, 3)) * float("nan"),
        lambda u: u.mean((2, 3)).round(decimals=1),
        lambda u: u.mean((2, 3)).to(torch.complex64) * 1j,
        lambda u: "0.5",
        lambda u: {"z": u},
    ],
)
def test_a_wrong_answer_that_nobody_listed_is_not_right(wrong) -> None:
    verdict = exercises.check_squeeze.verdict(wrong)
    assert verdict.kind in ("wrong", "error", "mistake")
    assert verdict.text.startswith("Not yet.")


def test_the_right_numbers_in_another_shape_are_told_so() -> None:
    verdict = exercises.check_rescale.verdict(lambda u, s: (u * s[:, :, None, None])[None])
    assert "The numbers are right." in verdict.text
    assert "(1, 4, 4, 4, 4)" in verdict.text


def test_a_constant_factor_is_told() -> None:
    assert "0.5 times" in exercises.check_squeeze.verdict(lambda u: u.mean((2, 3)) / 2).text


def test_an_answer_that_changes_its_argument_is_told() -> None:
    def in_place(u: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return u.mul_(s[:, :, None, None])

    verdict = exercises.check_rescale.verdict(in_place)
    assert verdict.kind == "mistake"
    assert "in place" in verdict.text


def test_a_check_prints_one_line_and_returns_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert exercises.check_squeeze(lambda u: u.sum((2, 3))) is None
    assert capsys.readouterr().out.count("\n") == 1


def test_checking_leaves_the_learner_s_random_numbers_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    for check in CHECKS.values():
        check.verdict(check.solution)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", CHECKS)
def test_an_answer_that_nobody_listed_gets_one_sentence_from_every_check(name: str) -> None:
    check = CHECKS[name]
    for answer in (lambda *_: 0.123, lambda *_: torch.full((2, 2), 7.0), lambda *_: "?", lambda: 1, set):
        verdict = check.verdict(answer)
        assert verdict.kind in ("wrong", "error", "mistake"), verdict
        assert verdict.text.startswith("Not yet. ")
        assert "\n" not in verdict.text


def test_importing_the_exercises_draws_no_random_number() -> None:
    before = "import torch; state = torch.get_rng_state(); import seblock.exercises; "
    subprocess.run([sys.executable, "-c", before + "assert state.equal(torch.get_rng_state())"], check=True)


def gradient(output: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Where anything painted in the digits' area depends on the image, of all three channels."""
    return torch.autograd.grad(output[:, :, :13, :13].sum(), x)[0] != 0


def split(s: torch.Tensor, labels: torch.Tensor) -> float:
    """Between-class share of the variance: one less what is left after each class's mean is taken off."""
    left = s.clone()
    for k in set(labels.tolist()):
        left[labels == k] -= s[labels == k].mean()
    return float(1 - left.square().sum() / (s - s.mean()).square().sum())


# Mistakes that must be known by name, and wrong answers that came near to passing: a list of its own, so that
# a message or a case that is dropped from an exercise is missed here.
NAMED = [
    ("check_squeeze", lambda u: u.sum((2, 3)), "sum"),
    ("check_squeeze", lambda u: u.amax((2, 3)), "largest"),
    ("check_squeeze", lambda u: u.mean(1), "dimension 1"),
    ("check_excite", lambda z, w1, w2: torch.sigmoid(z @ w1.T @ w2.T), "ReLU δ is missing"),
    ("check_excite", lambda z, w1, w2: (F.relu(z @ w1.T) @ w2.T).softmax(1), "softmax"),
    ("check_excite", lambda z, w1, w2: F.relu(z @ w1.T) @ w2.T, "sigmoid σ is missing"),
    ("check_rescale", lambda u, s: u * s[:, None, :, None], "dimension 2"),
    ("check_true_convolution", lambda x, v: F.conv2d(x, v), "not flipped"),
    ("check_terms", lambda x, v_c: F.conv2d(x[None], v_c[None])[0, 0], "added up already"),
    ("check_block", lambda x, branch, gate: gate(F.relu(x + branch(x))), "POST"),
    ("check_parameters", lambda c, r, bias: 2 * c * r + bias * (r + c), "It divides"),
    ("check_step_left", lambda part, share: part * share, "the block alone"),
    ("check_step_left", lambda part, share: part - part * share, "how much is saved"),
    (
        "check_means_by_cue",
        lambda s, cue: torch.stack([s[cue == 1].mean(0), s[cue == 0].mean(0)]),
        "exchanged",
    ),
    ("check_means_by_cue", lambda s, cue: s.mean(0).repeat(2, 1), "all images"),
    (
        "check_view",
        lambda network, x: gradient(network(x_ := x.clone().requires_grad_()), x_).sum(),
        "All three",
    ),
    (
        "check_difference",
        lambda a, b: (a.mean() - b.mean(), (a.var() / len(a) + b.var() / len(b)).sqrt()),
        "wrong way",
    ),
    ("check_rate", lambda step, steps, peak: peak * (1 - step / steps), "falls all the way"),
    ("check_specificity", lambda s, labels: 1 - split(s, labels), "within"),
    (
        "check_ring",
        lambda z, w: F.conv1d(z[:, None], w[None, None], padding=len(w) // 2)[:, 0].sigmoid(),
        "zeros",
    ),
    (
        "check_ring",
        lambda z, w: sum(a * z.roll(d, 1) for d, a in enumerate(w, -(len(w) // 2))).sigmoid(),
        "turned",
    ),
    ("check_dearer_from", lambda height, width, r: math.ceil(r * height * width / 2), "Rounding up"),
    ("check_dearer_from", lambda height, width, r: r * height * width + 1, "two matrices"),
    (
        "check_weighted_squeeze",
        lambda u, w: torch.einsum("c,ncij->ncij", w, u).mean((2, 3)),
        "maps themselves",
    ),
    (
        "check_weighted_squeeze",
        lambda u, w: (u * (u * w[:, None, None]).sum(1, True).sigmoid()).sum((2, 3)),
        "sigmoid",
    ),
    ("check_bet", lambda p: (0.5, 0.5), "even chances"),
    ("check_bet", lambda p: (round(p), 1 - round(p)), "bets everything"),
    ("check_layers", lambda side, patch, k: math.ceil((side - patch) / (k // 2)), "corner"),
    ("check_lying_cue", lambda r: 1 - (r * (1 - r)) / 0.25 if r > 0.5 else 0.0, "mostly lies"),
    ("check_line", lambda left, right: 4 / 3 * abs(right.sum() - left.sum()), "sign is lost"),
    ("check_line", lambda left, right: sum(b - a for a, b in zip(left, right)), "4/3"),
    ("check_flag_filter", lambda: named_filters()[VERTICAL], "black and white"),
    ("check_changed_rows", lambda a, b, n, rows: (a - n, b + n), "photo ends"),
    ("check_dusk_filters", lambda v, t: v * torch.tensor([1 - t, 1, 1 + t])[:, None, None], "divide"),
    ("check_colour_and_pattern", lambda v_c: (v_c.mean((1, 2)), v_c.mean(0)), "up to one factor"),
    ("check_new_z", lambda z, share, old, new: (1 - share) * z + share * new, "old mean of the patch"),
    ("check_pair", lambda: torch.rand(1, 3, 20, 20).expand(2, -1, -1, -1), "same"),
    ("check_softmax_gates", lambda channels, pushed, push: (torch.tensor(push).sigmoid(), 0.5), "sigmoid"),
    ("check_small_weights", lambda w1, w2: (w1 / w1.abs().max(), w2 / w1.abs().max()), "column h"),
    ("check_silent_shape", lambda: (2, 3, 3, 2), "wrong way round"),
    ("check_harmed_photo", lambda: torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, 9, 9), "at rest"),
    ("check_block_test", lambda block: block(torch.ones(2, 8, 3, 3)).shape == (2, 8, 3, 3), "sigmoid"),
    ("check_sigmoid_range", lambda k: (0.0, 1.0), "does not stay"),
    ("check_brighter", lambda s, a: (a * s).clamp(0, 1), "cut off"),
    (
        "check_signal_left",
        lambda place, n, gate, branch: (
            (1 + branch) ** n
            if place in ("standard", "PRE")
            else (gate * (1 + branch)) ** n
            if place == "POST"
            else (gate + branch) ** n
        ),
        "on the branch",
    ),
    ("check_most_blocks", lambda stages, r, budget: sum(n for n, c in stages), "how many blocks there are"),
    (
        "check_compensation",
        lambda b2: (1 + math.exp(-b2), 1 / (2 + math.exp(b2) + math.exp(-b2))),
        "an s cancels",
    ),
    ("check_gate_left", lambda share: 1 - share / 4, "Near 1"),
    ("check_grad_from_output", lambda g, x, s: (g * x).sum((2, 3)) * s * (1 - s), "too many"),
    ("check_waking_bias", lambda w, z, k: 100.0, "every image"),
    ("check_runs_needed", lambda rate: math.ceil(3 / (1 - rate)), "rule of three"),
    (
        "check_cues",
        lambda: torch.stack([stripes := torch.tensor([1.0, 0, 1, 0]).expand(4, 4), stripes.T]),
        "edge filter",
    ),
    ("check_seeds_needed", lambda half, spread: math.ceil((1.96 * spread / half) ** 2), "1.96"),
    ("check_exposure", lambda spread, wanted: wanted / spread, "larger than 1"),
    ("check_other_lines", lambda s: s.flip(0), "other direction"),
    (
        "check_fold_all",
        lambda w, mean, var, gamma, beta, s, eps: (
            w * (s * gamma / (var + eps).sqrt()).view(-1, 1, 1, 1),
            s * beta,
        ),
        "mean is forgotten",
    ),
    ("check_along_one", lambda s: s.mean(0).expand_as(s), "none of them moves"),
    ("check_share_needed", lambda part, wanted: (wanted - 1 + part) / part, "negative"),
    ("check_term_passes", lambda: (3, 4), "SE's count"),
]
NOT_RIGHT = [
    ("check_parameters", lambda c, r, bias: 2 * c * round(c / r) + bias * (c + round(c / r))),
    ("check_masked_squeeze", lambda u, m: (u * m).sum((2, 3)) / ((u * m) != 0).sum((2, 3))),
    ("check_step_left", lambda part, share: 1 - part + part * share**2),
    ("check_field", lambda kernels, dilations: 1 + dilations[0] * sum(k - 1 for k in kernels)),
    ("check_squeeze", lambda u: u.mean((2, 3)).to(torch.complex64)),
    ("check_squeeze", lambda u: u.mean((2, 3)).to("meta")),
    ("check_squeeze", lambda u: (i for i in range(3))),
    ("check_squeeze", lambda u: exit()),
    ("check_field", lambda kernels, dilations: kernels.pop()),
    ("check_field", lambda kernels, dilations: kernels.__setitem__(0, torch.tensor([1, 2])) or 3),
    ("check_move", lambda state: {n: w.tolist() for n, w in CHECKS["check_move"].solution(state).items()}),
    ("check_block", lambda x, branch, gate: F.leaky_relu(x + gate(branch(x)))),
    ("check_means_by_cue", lambda s, cue: torch.stack([s[cue == c].mean(0) for c in cue.unique()]).flip(0)),
    ("check_view", lambda network, x: 256),
    ("check_difference", lambda a, b: (b.mean() - a.mean(), torch.cat([a, b]).std() / len(a) ** 0.5)),
    ("check_rate", lambda step, steps, peak: peak * step / steps * 4),
    ("check_specificity", lambda s, labels: torch.tensor([s[labels == k].mean() for k in labels]).var()),
    ("check_bet", lambda p: (p, p - 1)),
    ("check_gate_weights", lambda: (torch.zeros(2, 6), torch.zeros(6, 2))),
    ("check_back_through_max", lambda u, grad_z: (u == u.amax((2, 3), keepdim=True)).float()),
    ("check_paired_interval", lambda right, own: (right.mean() - own.mean(), (right - own).std())),
    ("check_bet", lambda p: (p**0.5, 1 - p**0.5)),
    ("check_lying_cue", lambda r: (2 * r - 1) ** 4),
    ("check_layers", lambda side, patch, k: round((side - patch + 1) / (k // 2))),
    ("check_line", lambda left, right: 4 / 3 * (right - left)[0]),
    ("check_flag_filter", lambda: torch.zeros(3, 3)),
    ("check_changed_rows", lambda a, b, n, rows: (max(1, a - n), min(rows - 1, b + n))),
    ("check_dusk_filters", lambda v, t: v / (1 + t)),
    ("check_colour_and_pattern", lambda v_c: (v_c.amax((1, 2)), v_c[0] / v_c[0].amax())),
    ("check_new_z", lambda z, share, old, new: (z + new) / 2),
    ("check_pair", lambda: torch.rand(2, 3, 20, 20)),
    ("check_softmax_gates", lambda channels, pushed, push: (1 / channels, 1 / channels)),
    ("check_small_weights", lambda w1, w2: (w1 / 100, w2)),
    ("check_silent_shape", lambda: (0, 3, 0, 3)),
    ("check_harmed_photo", lambda: torch.ones(3, 20, 20)),
    ("check_block_test", lambda block: (block(torch.ones(1, 8, 3, 3)) <= 1).all()),
    ("check_sigmoid_range", lambda k: (0.5, 0.73)),
    ("check_brighter", lambda s, a: s / (s + (1 - s) * a)),
    ("check_signal_left", lambda place, n, gate, branch: gate**n),
    ("check_most_blocks", lambda stages, r, budget: budget // (2 * stages[0][1] ** 2 // r)),
    ("check_compensation", lambda b2: (1 / b2 if b2 else 2.0, 0.5)),
    ("check_gate_left", lambda share: (1 + share) / 2),
    ("check_grad_from_output", lambda g, x, s: (g * x).sum((2, 3)) * (1 - s) ** 2),
    ("check_waking_bias", lambda w, z, k: float((z @ w).mean())),
    ("check_runs_needed", lambda rate: round(10 * rate)),
    ("check_cues", lambda: torch.zeros(2, 4, 4)),
    ("check_seeds_needed", lambda half, spread: round(spread / half)),
    ("check_exposure", lambda spread, wanted: (wanted / spread.clamp(min=wanted)) ** 2),
    ("check_other_lines", lambda s: torch.rand_like(s)),
    ("check_fold_all", lambda w, mean, var, gamma, beta, s, eps: (w, beta)),
    ("check_along_one", lambda s: s.roll(1, 0)),
    ("check_share_needed", lambda part, wanted: 1 - wanted),
    ("check_term_passes", lambda: (5, 5)),
]
RIGHT = [
    ("check_means_by_cue", lambda s, cue: [s[cue == 0].mean(0), s[cue == 1].mean(0)]),
    ("check_rate", lambda step, steps, peak: (
        peak * 4 * step / steps if 4 * step < steps else peak * (steps - step) * 4 / (3 * steps))),
    ("check_specificity", lambda s, labels: split(s, labels)),
    ("check_ring", lambda z, w: torch.stack([
        (w * z[:, [(c + d) % z.shape[1] for d in range(-(len(w) // 2), len(w) // 2 + 1)]]).sum(1)
        for c in range(z.shape[1])], 1).sigmoid()),
    ("check_dearer_from", lambda height, width, r: next(
        c for c in range(1, 10**6) if 2 * c * c > r * c * height * width)),
    ("check_weighted_squeeze", lambda u, w: F.scaled_dot_product_attention(
        w.expand(len(u), 1, -1), u.flatten(2).mT, u.flatten(2).mT, scale=1.0)[:, 0]),
    ("check_terms", lambda x, v_c: [F.conv2d(m[None, None], w[None, None])[0, 0] for m, w in zip(x, v_c)]),
    ("check_excite", lambda z, w1, w2: 1 / (1 + (-(w2 @ F.relu(w1 @ z.T))).exp().T)),
    ("check_parameters", lambda c, r, bias=False: float(2 * c * (c // r) + (c // r + c if bias else 0))),
    ("check_move", lambda state: {
        n: w.double() for n, w in CHECKS["check_move"].solution(state).items()}),
    ("check_bet", lambda p: torch.tensor([p, 1 - p])),
    ("check_lying_cue", lambda r: r * r - 2 * r * (1 - r) + (1 - r) ** 2),
    ("check_layers", lambda side, patch, k: next(n for n in range(99) if n * (k // 2) > side - patch)),
    ("check_line", lambda left, right: (right.sum() - left.sum()) / 0.75),
    ("check_flag_filter", lambda: torch.tensor([2.0, -1, -1])[:, None, None] * named_filters()[VERTICAL] * 3),
    ("check_changed_rows", lambda a, b, n, rows: torch.tensor([a - n, b + n]).clamp(0, rows - 1)),
    ("check_dusk_filters", lambda v, t: torch.stack([v[:, 0] / (1 - t), v[:, 1], v[:, 2] / (1 + t)], 1)),
    ("check_colour_and_pattern", lambda v_c: (
        v_c.flatten(1) @ (row := v_c.flatten(1)[v_c.flatten(1).norm(dim=1).argmax()]) / row.square().sum(),
        row.view(v_c.shape[1:]))),
    ("check_new_z", lambda z, share, old, new: z - share * old + share * new),
    ("check_softmax_gates", lambda channels, pushed, push: (
        (e := torch.tensor([push] * pushed + [0] * (channels - pushed)).exp()) / e.sum())[[0, channels - 1]]),
    ("check_small_weights", lambda w1, w2: (w1 / (m := w1.abs().max()), w2 * m)),
    ("check_silent_shape", lambda: torch.tensor([5, 2, 5, 2])),
    ("check_block_test", lambda block: all(
        torch.allclose(block(u), u * (block(u) / u).mean((2, 3), keepdim=True), atol=1e-5)
        and 0 <= (block(u) / u).min() and (block(u) / u).max() <= 1
        and torch.allclose(block(u)[:1], block(u[:1]), atol=1e-5)
        for u in [torch.rand(2, 8, 4, 5) + 0.1, torch.rand(3, 8, 2, 3) + 1])),
    ("check_sigmoid_range", lambda k: (0.0, 1.0) if k == 1 else [
        functools.reduce(lambda x, _: 1 / (1 + math.exp(-x)), range(k - 1), end) for end in (0.0, 1.0)]),
    ("check_brighter", lambda s, a: s**a / (s**a + (1 - s) ** a)),
    ("check_signal_left", lambda place, n, gate, branch: float(torch.tensor(
        {"Identity": gate + branch, "POST": gate + gate * branch}.get(place, 1 + gate * branch),
        dtype=torch.double) ** n)),
    ("check_compensation", lambda b2: (1 + math.exp(-b2), 1 / (1 + math.exp(b2)))),
    ("check_grad_from_output", lambda g, x, s: torch.einsum("nchw,nchw->nc", g, x) * (1 - s)),
    ("check_runs_needed", lambda rate: next(n for n in range(1, 999) if n / (n + 1.959964**2) >= rate)),
    ("check_cues", lambda: torch.stack([F.pad(torch.rand(3, 3) * 0 + 1, (0, 1, 0, 1)),
                                        F.pad(torch.ones(3, 3), (1, 0, 1, 0))])),
    ("check_exposure", lambda spread, wanted: torch.where(spread > wanted, wanted / spread, 1)),
    ("check_other_lines", lambda s: torch.cat([s[: len(s) // 2].roll(-1, 0), s[len(s) // 2 :].roll(2, 0)])),
    ("check_share_needed", lambda part, wanted: (wanted + part - 1) / part if wanted + part > 1 else 0),
    ("check_term_passes", lambda: [3, 3]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "word"), NAMED, ids=[f"{n[0]}-{n[2]}" for n in NAMED])
def test_these_mistakes_are_known_by_name(name: str, answer, word: str) -> None:
    verdict = CHECKS[name].verdict(answer)
    assert verdict.kind == "mistake"
    assert word in verdict.text


@pytest.mark.parametrize(("name", "answer"), NOT_RIGHT)
def test_what_came_near_to_passing_is_not_right(name: str, answer) -> None:
    verdict = CHECKS[name].verdict(answer)
    assert verdict.kind in ("wrong", "error", "mistake"), verdict
    assert " 1 times" not in verdict.text


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_what_is_right_in_another_form_passes(name: str, answer) -> None:
    verdict = CHECKS[name].verdict(answer)
    assert verdict.kind == "right", verdict


def test_an_error_that_torch_calls_not_implemented_is_no_empty_stub() -> None:
    def fails(u):
        raise NotImplementedError("batch_norm on Long")

    assert exercises.check_squeeze.verdict(fails).kind == "error"


def test_an_error_that_cannot_be_told_is_survived() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def fails(u):
        raise Mute

    assert "Mute" in exercises.check_squeeze.verdict(fails).text


# Near misses that once passed, each with a word of what it is told.
NEAR = [
    ("check_difference", lambda a, b: (
        abs(b.mean() - a.mean()), (a.var() / len(a) + b.var() / len(b)) ** 0.5),
     "lost its sign"),
    ("check_rate", lambda step, steps, peak: (
        peak * step / (steps // 4) if step < steps // 4 else peak * (steps - step) / (steps - steps // 4)),
     "steps // 4"),
    ("check_terms", lambda x, v_c: (
        x.unfold(1, 3, 1).unfold(2, 3, 1) * v_c[:, None, None, :3, :3]).sum((3, 4)), "right where k is 3"),
    ("check_field", lambda kernels, dilations: 1 + 2 * sum(d * (k // 2) for k, d in zip(kernels, dilations)),
     "even width"),
    ("check_squeeze", lambda u: u.mean((2, 3)), "without `mean`"),
    ("check_squeeze", lambda u: torch.mean(u, dim=(2, 3)), "without `mean`"),
    ("check_squeeze", lambda u: np.mean(u.numpy(), (2, 3)), "without `mean`"),
    ("check_back_through_max", lambda u, g: torch.where(
        u == u.amax((2, 3), keepdim=True), g[:, :, None, None], 0), "several positions are the largest"),
    ("check_move", lambda state: state["fc.0.weight"].mul_(1) * 0 + state["fc.0.weight"].zero_(), "in place"),
    ("check_masked_squeeze", lambda u, m: (u * m).sum((2, 3)) / m.sum((2, 3)).clamp(min=2), "It is right"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "answer", "word"), NEAR, ids=[f"{n[0]}-{n[2]}" for n in NEAR])
def test_a_near_miss_is_told_from_the_right_answer(name: str, answer, word: str) -> None:
    verdict = CHECKS[name].verdict(answer)
    assert verdict.kind in ("mistake", "wrong"), verdict
    assert word in verdict.text


@pytest.mark.parametrize("shared", [True, False])
def test_the_gradient_of_a_tie_may_be_shared_or_given_to_any_one(shared: bool) -> None:
    def answer(u: torch.Tensor, grad_z: torch.Tensor) -> torch.Tensor:
        largest = u == u.amax((2, 3), keepdim=True)
        if shared:
            return largest * (grad_z / largest.sum((2, 3)))[:, :, None, None]
        last = u[0, 0].numel() - 1 - u.flatten(2).flip(2).argmax(2)
        return torch.zeros_like(u).flatten(2).scatter(2, last[..., None], grad_z[..., None]).view_as(u)

    assert exercises.check_back_through_max.verdict(answer).kind == "right"


# What can be seen of an answer that nobody listed.


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (lambda u: squeezed(u) + 1, "too large by 1"),
        (lambda u: squeezed(u) / u.shape[2], "should be H times as large"),
        (lambda u: -squeezed(u), "sign is the wrong way round"),
        (lambda u: squeezed(u).flip(1), "in reverse order along dimension 1 (C)"),
        (lambda u: squeezed(u).cumsum(1), "added up along dimension 1 (C)"),
        (lambda u: squeezed(u)[:, :1].expand(u.shape[:2]), "the first along dimension 1 (C)"),
        (lambda u: squeezed(u) - squeezed(u).mean(1, keepdim=True), "mean along dimension 1 (C) is"),
        (lambda u: squeezed(u.transpose(0, 1)), "transposed"),
        (lambda u: squeezed(u)[:, :, None, None].expand_as(u), "mean over dimension 2 (H) and dimension 3"),
        (lambda u: u.mean((0, 1)), "N and C are gone"),
        (lambda u: squeezed(u) + torch.rand(1), "two different results"),
        (lambda u: torch.zeros(u.shape[:2]), "All that comes out is 0"),
        (lambda u: torch.cat([squeezed(u)[:1], 9 + 0 * squeezed(u)[1:]]), "first image is right"),
        (lambda u: torch.tensor([[math.nan]]).expand(u.shape[:2]), "NaN"),
        (lambda u: squeezed(u).round(decimals=2), "rounded to two decimals"),
    ],
)  # fmt: skip
def test_a_check_says_how_the_numbers_are_related_to_the_right_ones(answer, word: str) -> None:
    assert word in exercises.check_squeeze.verdict(answer).text


def squeezed(u: torch.Tensor) -> torch.Tensor:
    return u.sum((2, 3)) / u[0, 0].numel()


def test_an_argument_that_makes_no_difference_is_named() -> None:
    told = exercises.check_masked_squeeze.verdict(lambda u, mask: u.sum((2, 3)).sin()).text
    assert "does not depend on mask" in told


def test_an_argument_is_not_called_unused_where_it_is_used() -> None:
    told = exercises.check_means_by_cue.verdict(lambda s, cue: torch.stack([s[~cue].mean(0), s[cue].mean(0)]))
    assert "does not depend on" not in told.text
    told = exercises.check_line.verdict(lambda left, right: -1.33 if left.sum() > right.sum() else 1.33)
    assert "does not depend on" not in told.text


def test_images_that_look_at_each_other_are_told() -> None:
    def answer(z: torch.Tensor, w1: torch.Tensor, w2: torch.Tensor) -> torch.Tensor:
        h = (z @ w1.T).relu()
        return torch.sigmoid((h / (1 + h.sum(0))) @ w2.T)

    assert "depends on z of the other images" in exercises.check_excite.verdict(answer).text


def test_two_mistakes_at_once_are_told() -> None:
    told = exercises.check_excite.verdict(lambda z, w1, w2: (z @ w1.T @ w2.T).softmax(1)).text
    assert "two mistakes at once" in told
    assert "ReLU δ is missing" in told
    assert "softmax" in told


def test_an_instance_of_two_explanations_gets_what_both_have_in_common() -> None:
    check = Exercise(
        solution=lambda x: 2 * x + 1,
        cases=[(torch.tensor([0.5, 2.0]),)],
        right="",
        variant=lambda x, a=2, b=1, c=0: a * x + b + c,
        slips={"a": {"a is 3.": 3}, "b": {"b is 5.": 5}, "c": {"c is 4.": 4}},
    )
    told = check.verdict(lambda x: 3 * x + 5).text
    assert "one is certain. a is 3." in told
    assert "b is" not in told
    assert "c is" not in told


def test_numbers_are_told_with_the_digits_they_have() -> None:
    told = exercises.check_step_left.verdict(lambda part, share: 0.1).text
    assert "0.1" in told
    assert "0.1000000" not in told
    told = exercises.check_parameters.verdict(lambda channel, reduction, bias: 512 if not bias else 581).text
    assert "581" in told


@pytest.mark.parametrize(
    ("result", "word"),
    [
        ({"z": torch.ones(2)}, "a dict"),
        (torch.nn.ReLU(), "call it"),
        (torch.ones(2, 3).mean, "brackets"),
        ((i for i in range(2)), "generator"),
        ("0.5", "quotation marks"),
        (1j, "complex"),
        (torch.ones(2, 2).max(1), ".values"),
        (map(float, [1]), "a map"),
        ([torch.ones(2), torch.ones(3)], "different shapes"),
        (object(), "a object"),
    ],
)
def test_a_result_of_another_kind_is_told_what_it_is(result: object, word: str) -> None:
    assert word in exercises.check_squeeze.verdict(lambda u: result).text


# What is given and what is wanted, each by its name: with the two exchanged a message would lead astray.


@pytest.mark.parametrize(
    ("solution", "answer", "given", "wanted"),
    [
        (lambda x: 5, lambda x: 3, "your function returns 3", "expected is 5"),
        (
            lambda x: torch.tensor([5.0, 2, 8]),
            lambda x: torch.tensor([5.0, 3, 8]),
            "it is 3",
            "expected is 2",
        ),
        (lambda x: torch.ones(3), lambda x: torch.rand(4, 7), "returns shape (4, 7)", "expected is (3,)"),
        (lambda x: torch.ones(7), lambda x: torch.zeros(3, 3), "returns shape (3, 3)", "expected is (7,)"),
    ],
)
def test_what_is_returned_and_what_is_expected_are_not_exchanged(solution, answer, given, wanted) -> None:
    torch.manual_seed(0)
    check = Exercise(solution=solution, cases=[(1.0,)], right="")
    result = answer(1.0)
    told = check.verdict(lambda x: result).text
    assert given in told
    assert wanted in told
    assert told.index(given) < told.index(wanted)


def test_of_two_results_each_is_told_by_its_own_name() -> None:
    check = Exercise(
        solution=lambda x: (x, 5 + x * x), cases=[(1.0,), (2.0,)], parts=("the first", "the second"), right=""
    )
    told = check.verdict(lambda x: (x, 3.0 if x == 1 else 7.7)).text
    assert (
        "The first is right. The second is wrong: for the first case that is wrong it is 3, expected is 6"
        in told
    )
    told = check.verdict(lambda x: x).text
    assert "It is the first alone. The task asks for 2 results: the first and the second." in told


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state["fc.0.weight"].zero_(),
        lambda state: state.pop("fc.0.weight"),
        lambda state: state.update(more=1),
        lambda state: state.update({"fc.0.weight": 2 * state["fc.0.weight"]}),
    ],
)
def test_a_dict_that_is_changed_within_is_told(change) -> None:
    def answer(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        right = {name: w.clone() for name, w in CHECKS["check_move"].solution(state).items()}
        change(state)
        return right

    verdict = CHECKS["check_move"].verdict(answer)
    assert verdict.kind == "mistake"
    assert "changes state in place" in verdict.text


# Rules of the way.


def test_a_helper_of_the_learner_s_own_may_have_a_forbidden_name_and_a_copied_function_may_not() -> None:
    helper = "def excite(z, w):\n    return (w @ z.T).relu()\n"
    own = f"{helper}def f(z, w1, w2):\n    return torch.sigmoid(w2 @ excite(z, w1)).T"
    assert exercises.check_excite.verdict(cell(own)).kind == "right"
    above = cell("def f(z, w1, w2):\n    return torch.sigmoid((z @ w1.T).relu() @ w2.T)")
    named = types.FunctionType(above.__code__.replace(co_name="excite"), above.__globals__)
    told = exercises.check_excite.verdict(lambda z, w1, w2: named(z, w1, w2)).text
    assert "without `excite`" in told


# Errors: the line, what stood there, what is behind it.


@pytest.mark.parametrize(
    ("name", "source", "words"),
    [
        ("check_view", "def f(network, x):\n    x = x.clone().requires_grad_()\n    y = network(x)\n"
         "    return (x.grad[0, 2] != 0).sum()", ["line 4", "x.grad is None", "backward"]),
        ("check_rescale", "def f(u, s):\n    # two axes short\n    return u[:, :, :3] * s",
         ["line 3", "u[:, :, :3] is (4, 4, 3, 4)", "s is (4, 4)", "lined up from the right"]),
        ("check_excite", "def helper(z, w):\n    return z @ w\n\ndef f(z, w1, w2):\n    return helper(z, w1)",
         ["line 2", "z is (2, 6)", "w is (2, 6)", "w.T"]),
        ("check_squeeze", "def f(u):\n    return u.sum((2, 3)) / n", ["line 2", "name 'n'", "spelt"]),
        ("check_squeeze", "def f(u):\n    return u.summ((2, 3))", ["line 2", "Did you mean `sum`"]),
        ("check_move", "def f(state):\n    return state['fc.0.wieght']", ["line 2", "mean 'fc.0.weight'"]),
        ("check_rate", "def f(step, steps, peak):\n    return peak / step", ["line 2", "divided by 0"]),
        ("check_field", "def f(kernels, dilations):\n    return f(kernels, dilations)", ["without end"]),
        ("check_rescale", "def f(u):\n    return u", ["with u and s", "it takes u"]),
        ("check_gate_weights", "def f(w1):\n    return w1", ["with nothing", "it takes w1"]),
        ("check_squeeze", "def f(u):\n    a, b, c, d, e = u\n    return b", ["line 2", "names on the left"]),
        ("check_squeeze", "def f(u):\n    return u[len(u) / 2:]", ["line 2", "whole number"]),
    ],
)  # fmt: skip
def test_an_error_is_told_by_the_learner_s_own_line(name: str, source: str, words: list[str]) -> None:
    verdict = CHECKS[name].verdict(cell(source))
    assert verdict.kind == "error"
    assert "\n" not in verdict.text
    for word in words:
        assert word in verdict.text


@pytest.mark.parametrize("call", [(), (len, len), (len, 3, 4)])
def test_a_check_called_with_other_than_one_answer_says_so(call, capsys: pytest.CaptureFixture[str]) -> None:
    exercises.check_squeeze(*call)
    assert "Hand over one function" in capsys.readouterr().out


def test_a_check_that_does_not_work_itself_calls_nothing_right() -> None:
    def broken(x: float) -> float:
        raise OSError

    check = Exercise(solution=broken, cases=[(1.0,)], right="")
    assert "not your function's fault" in check.verdict(lambda x: x).text
    assert check.verdict(broken).kind != "right"


# Endless answers.


def forever(*_: object) -> None:
    while True:
        pass


def stubborn(*_: object) -> None:
    while True:
        try:
            time.sleep(0.01)
        except:  # noqa: E722
            pass


def asleep(*_: object) -> None:
    time.sleep(2)


@pytest.mark.parametrize("answer", [forever, stubborn, asleep])
def test_an_endless_answer_is_told_after_a_time(answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "SECONDS", 0.2)
    begun = time.monotonic()
    verdict = exercises.check_squeeze.verdict(answer)
    assert time.monotonic() - begun < 1.9
    assert verdict.kind == "mistake"
    assert "had not ended after 0.2 seconds" in verdict.text


@pytest.mark.parametrize("name", CHECKS)
def test_no_check_hangs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "SECONDS", 0.05)
    assert "had not ended" in CHECKS[name].verdict(forever).text


def test_an_answer_may_change_the_way_gradients_are_kept_only_for_itself() -> None:
    with torch.no_grad():
        assert limit.limited(5, torch.is_grad_enabled) is False
    assert limit.limited(5, torch.is_grad_enabled) is True


@contextlib.contextmanager
def doubles() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    try:
        yield
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    "elsewhere", [torch.no_grad, torch.inference_mode, functools.partial(torch.device, "meta"), doubles]
)
@pytest.mark.parametrize("name", ["check_view", "check_squeeze", "check_back_through_max", "check_pair"])
def test_what_is_set_elsewhere_does_not_reach_a_check(
    name: str, elsewhere: Callable[[], contextlib.AbstractContextManager[object]]
) -> None:
    check = CHECKS[name]
    with elsewhere():
        assert check.verdict(check.solution).kind == "right"
        assert check.verdict(lambda *_: torch.zeros(2, 3, 20, 20)).kind in ("wrong", "mistake", "error")


def test_an_interrupt_ends_the_cell_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(limit, "_wait", interrupted)
    assert exercises.check_squeeze(asleep) is None
    assert capsys.readouterr().out == "Interrupted: the answer was not checked.\n"


# Progress.


def test_each_answer_is_recorded_by_its_check_s_name_and_an_empty_stub_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noted = []
    monkeypatch.setattr(exercise, "record", lambda name, right: noted.append((name, right)))
    exercises.check_rescale(lambda u, s: (torch.diag_embed(s) @ u.flatten(2)).view_as(u))
    exercises.check_rescale(lambda u, s: u)
    exercises.check_rescale(cell("def f(u, s): ..."))
    exercises.check_rescale(3)
    assert noted == [("check_rescale", True), ("check_rescale", False), ("check_rescale", False)]
