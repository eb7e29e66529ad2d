"""For all suites: no test and no notebook that a test runs keeps a reader's progress, or shows it."""

import os

os.environ["SEBLOCK_PROGRESS"] = "off"
