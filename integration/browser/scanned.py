"""What the live figure of the scanner's gates ought to say and show, worked out by the package alone."""

from functools import cache
from typing import Any

from torch import Tensor

from seblock import gates, lines, scanner
from seblock.live import figures

LISTED = 4
"""So many lines are shown that open a gate widest, and so many that close it."""


@cache
def scanned() -> tuple[list[tuple[str, str, bool]], list[Tensor], Tensor, list[Tensor]]:
    """The scanner's lines: (text, change, turned), images, probabilities, and for each block all gates."""
    changed = [figures.line_changes(line) for line in figures.PLAIN_LINES]
    names = [
        (line.text, change, turned)
        for turned in (False, True)
        for change in changed[0]
        for line in figures.PLAIN_LINES
    ]
    upright = [lines.draw(each[change]) for change in changed[0] for each in changed]
    images = upright + [lines.turn(image) for image in upright]
    network, x = scanner.load(), scanner.pack(images)
    recorded = gates.record(network, x.split(20), scanner.gate_names())
    return names, images, scanner.answer(network, x), [s.float() for s in recorded.s.values()]


def told(n: int) -> str:
    """How a line is called beside its words."""
    _, change, turned = scanned()[0][n]
    return change + ", turned" * turned


def away(n: int) -> list[float]:
    """How far each block's gates are from those of the same words as they are, in % of another line's way."""
    names, found = scanned()[0], []
    plain = [names.index((line.text, "as it is", False)) for line in figures.PLAIN_LINES]
    same = names.index((names[n][0], "as it is", False))
    for s in scanned()[3]:
        own = s[plain]
        far = (s[n] - s[same]).square().mean().sqrt()
        another = sum((own[i] - own[j]).square().mean().sqrt() for i, j in ((0, 1), (1, 2), (2, 0))) / 3
        found.append(float(100 * far / another))
    return found


def listed(block: int, gate: int, sign: int) -> tuple[list[int], list[int], int]:
    """A gate's values in hundredths, the lines where they are largest (−1) or smallest (1), further equals.

    Of equal ones the first come first.
    """
    values = (100 * scanned()[3][block - 1][:, gate - 1]).round().int().tolist()
    shown = sorted(range(len(values)), key=lambda n: sign * values[n])[:LISTED]
    last = values[shown[-1]]
    return values, shown, values.count(last) - [values[n] for n in shown].count(last)


def sentence(state: dict[str, Any]) -> str:
    """What the figure says in a state."""
    now = state | (state["over"] or {})
    names, _, answers, _ = scanned()
    n, (block, gate) = now["line"] + now["turned"] * len(names) // 2, (now["block"], now["gate"])
    p = float(answers[n])
    says = f"“turned”, {100 * p:.0f} %" if p > 0.5 else f"“upright”, {100 * (1 - p):.0f} %"
    said = f"“{names[n][0]}”, {told(n)}: the network says {says}, which is "
    said += "right. " if (p > 0.5) == now["turned"] else "wrong. "
    far = away(n)
    if max(far):
        said += (
            f"Its gates differ most in block {far.index(max(far)) + 1} from those of the same words as they "
            f"are: by {max(far):.0f} % of the way to another line’s. "
            f"Block by block: {', '.join(f'{value:.0f}' for value in far)}. "
        )
    else:
        said += "The other lines with these words are compared with it. "
    ends = []
    for title, sign in (("open widest", -1), ("open least", 1)):
        values, shown, more = listed(block, gate, sign)
        changes = [told(each) for each in shown]
        counted = [
            f"{changes.count(name)} × “{name}”" if changes.count(name) > 1 else f"“{name}”"
            for name in dict.fromkeys(changes)
        ]
        first, last = (f"{values[each] / 100:.2f}" for each in (shown[0], shown[-1]))
        others = f", and {more} more at {last}" if more else ""
        ends.append(f"{title}, {first} to {last}, for {', '.join(counted)}{others}")
    return f"{said}Block {block}, gate {gate} is {values[n] / 100:.2f} here. It is {'; '.join(ends)}."
