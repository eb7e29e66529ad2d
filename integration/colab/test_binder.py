"""What Binder installs: `pip install -r .binder/requirements.txt` in the repository's folder."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = (ROOT / ".binder" / "runtime.txt").read_text(encoding="utf-8").strip().removeprefix("python-")


def test_binder_installs_what_was_tested() -> None:
    lines = (ROOT / ".binder" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["-r ../requirements.txt"]


@pytest.mark.skipif(
    not os.environ.get("WHOLE"), reason="`make whole` asks pip; the pins are those of `make test`"
)
@pytest.mark.skipif(
    f"{sys.version_info.major}.{sys.version_info.minor}" != RUNTIME, reason=f"Binder's Python is {RUNTIME}"
)
def test_the_requirements_resolve_to_the_tested_versions(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    asked = [
        "--quiet",
        "--dry-run",
        "--ignore-installed",
        "--report",
        report,
        "-r",
        ".binder/requirements.txt",
    ]
    subprocess.run([sys.executable, "-m", "pip", "install", *asked], cwd=ROOT, check=True)
    found = [each["metadata"] for each in json.loads(report.read_text(encoding="utf-8"))["install"]]
    versions = {each["name"].lower().replace("_", "-"): each["version"].partition("+")[0] for each in found}
    pins = re.findall(
        r"^([\w-]+)==(\S+)$", (ROOT / "requirements.txt").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert len(pins) > 10
    assert {name: versions[name] for name, _ in pins} == dict(pins)
    assert "seblock" in versions
