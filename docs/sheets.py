"""Draw the sheet for the wall and the form of the unplugged lesson, as SVG and PDF: `make sheet`."""

from pathlib import Path

from seblock.plots import sheet

FOLDER = Path(__file__).parent

if __name__ == "__main__":
    sheet.store(FOLDER)
