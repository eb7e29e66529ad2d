"""Copy what notebook 14 shows of `results/` into the package, as `seblock/trained/speed.csv`.

Run it after `make bench`: python -m benchmarks.shown. "share" is a time as a share of the fastest eager
peer's, or of the network's without gates ("step"); "from", "up to": where the noise leaves it. "load" is the
block alone and beside two busy neighbours, "image by image" the same of an earlier block, which no command
measures again.
"""

import csv
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.block import JUDGED, LAYOUTS
from benchmarks.measure import RESULTS

TABLE = Path(__file__).parents[1] / "seblock" / "trained" / "speed.csv"
OURS = ("SELayer", "FastSELayer")
Row = dict[str, Any]


def read(name: str) -> list[Row]:
    """The rows of a table in `results`."""
    with open(RESULTS / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def is_peer(name: str) -> bool:
    """Whether it is a block of another library or publication, compiled or not."""
    return name not in ("none", *OURS, *(f"{ours}, compiled" for ours in OURS))


def fastest(rows: list[Row], column: str, wanted: Callable[[str], bool]) -> Row:
    """The row with the least time among those whose name is wanted."""
    return min((row for row in rows if wanted(row[column])), key=lambda row: float(row["ms"]))


def shown() -> list[Row]:
    """The rows of the table in the package."""
    found: list[Row] = []

    def add(table: str, maps: str, layout: str, kind: str, row: Row, share: str, which: str = "") -> None:
        kept = {"share": row[share], "from": row.get("from", ""), "up to": row.get("up to", "")}
        names = {"table": table, "maps": maps, "layout": layout, "kind": kind}
        found.append(names | kept | {"MB": row.get("MB", ""), "which": which})

    compiled, loads = read("block_compiled"), {"quiet": read("block"), "busy": read("block_2_neighbours")}
    judged = ["×".join(map(str, shape)) for shape in JUDGED]
    for layout, shape in product(LAYOUTS, judged):
        where = {"shape": shape, "layout": layout, "passes": "forward + backward"}
        rows = [row for row in compiled if where.items() <= row.items()]
        hand = next(row for row in rows if row["block"] == "FastSELayer")
        eager = fastest(rows, "block", lambda name: is_peer(name) and "compiled" not in name)
        other = fastest(rows, "block", lambda name: is_peer(name) and "compiled" in name)
        add("block", shape, layout, "eager", eager, "to peer", eager["block"])
        add("block", shape, layout, "by hand", hand, "to peer", hand["block"])
        add("block", shape, layout, "compiled", other, "to peer", other["block"].split(",")[0])
    for (kind, measured), layout, shape in product(loads.items(), LAYOUTS, judged):
        where = {"shape": shape, "layout": layout, "passes": "forward + backward", "block": "FastSELayer"}
        (row,) = (row for row in measured if where.items() <= row.items())
        add("load", shape, layout, kind, row, "to peer", "FastSELayer")
    for row in read("load"):
        add("image by image", row["shape"], row["layout"], row["neighbours"], row, "to peer", "FastSELayer")
    network = read("network")
    for layout in LAYOUTS:
        for name in ("ResNet-20", "ResNet-50"):
            rows = [row for row in network if (row["network"], row["layout"]) == (name, layout)]
            hand = next(row for row in rows if row["gate"] == "FastSELayer")
            eager = fastest(rows, "gate", is_peer)
            add("step", f"SE-{name}", layout, "eager", eager, "to none", eager["gate"])
            add("step", f"SE-{name}", layout, "by hand", hand, "to none", hand["gate"])
    return found


if __name__ == "__main__":
    rows = shown()
    with open(TABLE, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
