"""Several kernels at once that run the same lesson from top to bottom, as a class on one server does.

Everyone starts at the same moment, which is the worst case. "MB a student": a kernel's share of memory when
all are done and none has left. The seconds are the slowest student's.
"""

import argparse
import asyncio
import os
from pathlib import Path

from benchmarks.measure import Row, report
from benchmarks.notebooks import NOTEBOOKS, Lesson, lesson

CLASS = 30


async def class_of(students: int, path: Path) -> list[Lesson]:
    """The lesson in as many kernels at once; one that fails ends all."""
    together = asyncio.Barrier(students)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(lesson(path, together)) for _ in range(students)]
    return [task.result() for task in tasks]


def row(students: int, path: Path) -> Row:
    lessons = asyncio.run(class_of(students, path))
    return {
        "students": students,
        "MB a student": sum(one.share for one in lessons) / students / 1e6,
        "first picture after s": max(one.first_picture or float("nan") for one in lessons),
        "end after s": max(one.seconds for one in lessons),
    }


def sentence(largest: Row) -> str:
    """What a server for a class needs, from the largest class that was measured."""
    gigabytes = CLASS * largest["MB a student"] / 1000
    wait = CLASS / largest["students"] * (os.cpu_count() or 1) * largest["first picture after s"]
    return (
        f"A server for {CLASS} needs about {gigabytes:.0f} GB for their kernels; if all start at the same "
        f"moment, the last has the first picture after {wait:.0f} s divided by its cores."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--students", type=int, nargs="+", default=[1, 2, 4, 8], help="kernels at once")
    parser.add_argument("--lesson", default="03_squeeze", help="a notebook's name (default: 03_squeeze)")
    options = parser.parse_args()
    (path,) = (path for path in NOTEBOOKS if path.stem == options.lesson)
    rows = [row(students, path) for students in options.students]
    report("classroom", rows, lesson=options.lesson)
    print("\n" + sentence(rows[-1]))


if __name__ == "__main__":
    main()
