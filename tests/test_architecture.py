"""The rules of the architecture, executed."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SERVICES = (
    "auditor",
    "executor",
    "gateway",
    "health",
    "notifier",
    "retention",
    "scheduler",
    "storage",
)
BANNED_NAMES = {"utils", "helpers", "helper", "manager", "common", "misc"}
WRITING = {"insert", "update", "delete", "text", "DDL"}


def modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if ".venv" not in path.parts)


def imports(path: Path) -> Iterator[tuple[str, str]]:
    """(module, name) of everything that the file imports, however deep the statement stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield from ((node.module or "", alias.name) for alias in node.names)


def tracked() -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_is_a_process_of_its_own(service: str) -> None:
    folder = ROOT / "services" / service

    assert (folder / "__main__.py").is_file()
    assert (folder / "service.py").is_file() or service == "gateway"


def test_no_service_imports_another() -> None:
    for path in modules("services"):
        own = path.relative_to(ROOT / "services").parts[0]
        allowed = {own} | ({"launcher"} if own == "cli" else set())
        for module, name in imports(path):
            parts = [*module.split("."), name]
            if parts[0] == "services":
                assert parts[1] in allowed, f"{path.relative_to(ROOT)} imports {module}"


def test_shared_names_no_service() -> None:
    for path in modules("shared"):
        for module, _ in imports(path):
            assert not module.startswith("services"), f"{path.relative_to(ROOT)} imports {module}"


def test_only_the_auditor_writes_postgres() -> None:
    for folder in ("services", "shared"):
        for path in modules(folder):
            inside = path.relative_to(ROOT).parts
            if inside[:2] == ("services", "auditor") or "migrations" in inside:
                continue
            taken = {name for module, name in imports(path) if module.startswith("sqlalchemy")}
            assert not taken & WRITING, f"{path.relative_to(ROOT)} can write to Postgres"


def test_workers_at_the_edge_have_no_postgres() -> None:
    for path in modules("services/executor"):
        for module, _ in imports(path):
            assert not module.startswith(("shared.readmodel", "sqlalchemy")), path


def test_the_nats_folder_holds_data_only() -> None:
    assert not list((ROOT / "nats").rglob("*.py"))


def test_no_module_is_an_attic() -> None:
    for path in tracked():
        if path.suffix == ".py":
            assert path.stem not in BANNED_NAMES, path


def test_everything_imports_absolutely_and_postpones_annotations() -> None:
    for folder in ("services", "shared"):
        for path in modules(folder):
            source = path.read_text()
            list(imports(path))
            if "def " in source or "class " in source:
                assert "from __future__ import annotations" in source or "gateway" in path.parts


def test_lock_files_hold_versions_and_hashes_only() -> None:
    locks = [path for path in tracked() if path.name.endswith((".lock", "package-lock.json"))]

    assert locks
    for path in locks:
        assert not re.search(r"(?i)://(?!.*(fund|sponsor|opencollective))", path.read_text()), path


def test_every_direct_dependency_of_the_lock_is_pinned_with_hashes() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"(?m)^([a-z0-9._-]+)(?:\[[a-z,]+\])?==", lock)

    declared = re.findall(r'(?m)^  "([a-z0-9_-]+)', (ROOT / "pyproject.toml").read_text())
    assert "litestar" in pinned
    assert "nats-py" in declared
    assert lock.count("--hash=sha256:") > len(pinned)
