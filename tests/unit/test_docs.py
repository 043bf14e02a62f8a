"""What the documentation says of the code is true."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def test_the_feature_table_names_paths_that_exist() -> None:
    rows = re.findall(r"(?m)^\| .* \|$", (ROOT / "docs/features.md").read_text())
    paths = {path for row in rows for path in re.findall(r"`([a-z_]+/[\w./-]+)`", row)}

    assert len(rows) > 60
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_each_feature_is_in_code_and_test_or_is_not_yet() -> None:
    for line in (ROOT / "docs/features.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and len(cells) == 3 and cells[0] != "feature":
            works = "`" in cells[1] and ("`tests/" in cells[2] or ".spec.ts`" in cells[2])
            assert works or cells[1] == "not yet", line


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} -> {target}"


def test_the_table_of_plug_ins_is_what_the_registries_say() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, check=False, capture_output=True
    )

    assert checked.returncode == 0, checked.stdout.decode()


def test_the_table_of_variables_has_all_that_was_promised() -> None:
    page = (ROOT / "docs/configuration.md").read_text()
    promised = (
        *("DATABASE_URL", "NATS_URL", "SECRET_KEY", "ENCRYPTION_KEY", "TLS_CERT", "TLS_KEY"),
        *("S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY", "S3_BUCKET", "S3_REGION"),
    )

    assert [name for name in promised if f"| `{name}` |" not in page] == []
