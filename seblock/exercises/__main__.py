"""python -m seblock.exercises FILES: the progress files of a class in one table"""

import argparse
from pathlib import Path

from seblock.exercises.progress import collect


def main() -> None:
    """Print the table of the files that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m seblock.exercises", description=collect.__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a reader's .progress.json")
    print(repr(collect(parser.parse_args().files)))


if __name__ == "__main__":
    main()
