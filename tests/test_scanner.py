"""The scanner's network beside numbers from elsewhere, what goes into it, and what its tables say."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from seblock import blocks, cost, functional, gates, lines, scanner, trained


@pytest.fixture(scope="module")
def network() -> scanner.TextDirection:
    return scanner.load()


@pytest.fixture(scope="module")
def line() -> torch.Tensor:
    """Four lines, both ways."""
    return scanner.pack(lines.both_ways(lines.random_lines(4, seed=2)))


def waves() -> torch.Tensor:
    """Four images that are no text, from a formula: (4, 3, 48, 192)."""
    n, c, i, j = torch.meshgrid(*map(torch.arange, (4.0, 3.0, 48.0, 192.0)), indexing="ij")
    return torch.sin(0.05 * (n + 1) * i + 0.11 * j * (1 + 0.2 * n) + c) * torch.cos(0.3 * i - 0.02 * n * j)


def test_the_network_says_what_onnxruntime_says_of_the_file_that_its_weights_are_from(network) -> None:
    """onnxruntime 1.32.0 on ch_ppocr_mobile_v2.0_cls_infer.onnx gave these; `make peers` asks it anew."""
    upright = torch.tensor([0.372834, 0.571101, 0.601369, 0.375158])
    expected = torch.stack([upright, 1 - upright], dim=1)
    torch.testing.assert_close(network(waves()).softmax(1), expected, atol=1e-5, rtol=0)


def test_the_nine_gates_are_found_with_their_808_channels(network, line) -> None:
    assert gates.find(network, line) == scanner.gate_names()
    sizes = [network.get_submodule(name).n_features for name in scanner.gate_names()]
    assert sizes == [8, 32, 88, 88, 40, 48, 104, 200, 200]
    assert sum(sizes) == 808
    assert cost.parameters(network) == sum(p.numel() for p in network.parameters())
    assert not any(p.requires_grad for p in network.parameters())
    assert not network.training


def test_a_gate_is_sqex_with_a_hard_sigmoid_of_slope_one_fifth(network) -> None:
    gate = network.get_submodule(scanner.gate_names()[1])
    assert isinstance(gate, blocks.SqEx)
    u = torch.randn(2, 32, 6, 5, generator=torch.Generator().manual_seed(0))
    hidden = F.relu(F.linear(u.mean((2, 3)), gate.linear1.weight, gate.linear1.bias))
    a = F.linear(hidden, gate.linear2.weight, gate.linear2.bias)
    s = F.hardtanh(a / 5 + 0.5, 0, 1)
    torch.testing.assert_close(gate(u), functional.rescale(u, s))
    steep = torch.tensor([-3.0, -2.5, -1, 0, 2, 2.5, 9])
    assert scanner.HardSigmoid()(steep).tolist() == pytest.approx([0, 0, 0.3, 0.5, 0.9, 1, 1])


def test_lines_are_packed_blue_first_from_minus_one_to_one_with_grey_on_the_right() -> None:
    image = torch.zeros(3, 48, 5)
    image[0] = 1  # red
    x = scanner.pack([image])
    assert x.shape == (1, 3, 48, 192)
    assert x[0, :, 7, 2].tolist() == [-1, -1, 1]
    assert not x[:, :, :, 5:].any()
    assert scanner.pack([image], width=7).shape == (1, 3, 48, 7)
    with pytest.raises(ValueError, match="48 × 4"):
        scanner.pack([image], width=4)
    with pytest.raises(ValueError, match="48"):
        scanner.pack([image[:, 1:]])


def test_plain_words_are_told_from_turned_ones() -> None:
    network = scanner.load()
    made = lines.random_lines(20, seed=8, **lines.PLAIN)
    x = scanner.pack(lines.both_ways(made))
    assert scanner.is_right(network, x).mean() >= 0.9
    # the answers are given in their order, whatever the batches
    alone = torch.cat([scanner.answer(network, image[None]) for image in x])
    torch.testing.assert_close(scanner.answer(network, x), alone, atol=1e-5, rtol=0)


def test_is_right_takes_upright_lines_first() -> None:
    class Always(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.tensor([[0.0, 1.0]]).expand(len(x), 2)  # “turned”

    right = scanner.is_right(Always(), torch.zeros(6, 3, 48, 192))
    assert right.tolist() == [[0, 0, 0], [1, 1, 1]]


def test_the_difference_counts_a_line_once_with_its_two_directions() -> None:
    own = torch.ones(2, 4, dtype=torch.double)
    right = torch.tensor([[1.0, 0, 1, 1], [1, 0, 0, 1]], dtype=torch.double)
    mean, half = scanner.difference(right, own)
    assert mean == pytest.approx(-37.5)
    changes = [0, -100, -50, 0]
    spread = math.sqrt(sum((c + 37.5) ** 2 for c in changes) / 3)
    assert half == pytest.approx(1.96 * spread / 2)


def test_the_table_is_of_a_thousand_lines_and_its_own_gates_come_first() -> None:
    table = trained.table("scanner")
    assert {row["count"] for row in table} == {1000, 500}
    assert all(0 <= float(row["right"]) <= 100 for row in table)
    assert [row["difference"] for row in table if row["gates"] == "own"] == [0] * 11


def test_rows_are_those_of_a_kind_and_a_contrast() -> None:
    assert scanner.rows("grey", 0.08)["own"]["contrast"] == 0.08
    assert len(scanner.rows("short, 192 wide")) == 2
    assert {f"own, {c:g}" for c in (0.7, 0.05)} <= set(scanner.rows("grey"))
    assert scanner.rows("no such kind") == {}


def test_the_table_s_rows_can_be_made_again() -> None:
    """Fifty of the thousand lines, within what fifty lines can say."""
    network = scanner.load()
    chosen = lines.random_lines(1000, 0, colour=0, noise=0, contrast=0.08)[:50]
    x = scanner.pack(lines.both_ways(chosen))
    others = scanner.pack(lines.both_ways(lines.random_lines(50, 10_000)))
    recorded = gates.record(network, others.split(25), scanner.gate_names())
    frozen = {name: recorded.s[name].double().mean(0) for name in scanner.gate_names()[:2]}
    with gates.replaced(network, frozen):
        right = scanner.is_right(network, x)
    row = scanner.rows("grey", 0.08)["means, 1 and 2"]
    assert 100 * float(right.mean()) == pytest.approx(float(row["right"]), abs=12)
    own = scanner.rows("grey", 0.08)["own"]
    assert 100 * float(scanner.is_right(network, x).mean()) == pytest.approx(float(own["right"]), abs=5)


def test_constants_take_the_gates_places_and_never_look() -> None:
    held = trained.tensors("scanner_constants")
    for kind in ("ordinary", "mixed"):
        sizes = [held[f"{kind}.{name}"].shape for name in scanner.gate_names()]
        assert sum(size[0] for size in sizes) == 808
    assert len(held) == 18
    assert all(((0 < s) & (s < 1)).all() for s in held.values())


def test_the_weights_come_with_their_licence_and_a_notice() -> None:
    folder = Path(trained.__file__).parent
    licence = (folder / "scanner_LICENSE.txt").read_text(encoding="utf-8")
    notice = (folder / "scanner_NOTICE.txt").read_text(encoding="utf-8")
    assert licence.startswith("Copyright (c) 2016 PaddlePaddle Authors")
    assert "END OF TERMS AND CONDITIONS" in licence
    for word in ("scanner.safetensors", "PaddlePaddle Authors", "Apache License", "Changes:"):
        assert word in notice
