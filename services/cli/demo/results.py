"""What the demo measured and proved, as one object and as a page to read."""

from __future__ import annotations

import msgspec


class BackupFigures(msgspec.Struct, kw_only=True):
    """Of the first backup: bytes before and after, wall time from request to completion."""

    raw_bytes: int
    stored_bytes: int
    seconds: float
    mb_per_s: float


class RestoreFigures(msgspec.Struct, kw_only=True):
    """Of its restore into a new database, and whether both databases are equal."""

    seconds: float
    tables: int
    rows: int
    equal: bool


class Killed(msgspec.Struct, kw_only=True):
    """Of the backup whose executor was killed: attempts it took, and whether it restores equal."""

    attempts: int
    equal: bool


class Tamper(msgspec.Struct, kw_only=True):
    """Whether a changed archive and a changed audit log are refused."""

    archive_refused: bool
    audit_refused: bool


class Audit(msgspec.Struct, kw_only=True):
    """Of the exported audit log: its entries, and whether it verifies offline."""

    entries: int
    verified: bool


class Results(msgspec.Struct, kw_only=True):
    """The whole demo."""

    ready_s: float
    run_s: float
    backup: BackupFigures
    restore: RestoreFigures
    killed: Killed
    tamper: Tamper
    recovered_without_platform: bool
    audit: Audit

    @property
    def good(self) -> bool:
        """Whether everything was proved."""
        return (
            self.restore.equal
            and self.killed.equal
            and self.killed.attempts > 1
            and self.tamper.archive_refused
            and self.tamper.audit_refused
            and self.recovered_without_platform
            and self.audit.verified
        )


def page(results: Results) -> str:
    """The summary for a person."""
    backup, restore = results.backup, results.restore
    lines = [
        ("platform ready", f"{results.ready_s:.1f} s"),
        (
            "backup",
            f"{_mb(backup.raw_bytes)} read, {_mb(backup.stored_bytes)} stored encrypted,"
            f" {backup.seconds:.1f} s, {backup.mb_per_s:.0f} MB/s",
        ),
        (
            "restore",
            f"{restore.tables} tables, {restore.rows:,} rows, {restore.seconds:.1f} s,"
            f" {_word(restore.equal, 'equal to the source', 'DIFFERENT from the source')}",
        ),
        (
            "executor killed",
            f"completed by attempt {results.killed.attempts},"
            f" {_word(results.killed.equal, 'restored equal', 'restored DIFFERENT')}",
        ),
        ("one bit flipped", _word(results.tamper.archive_refused, "refused", "NOT NOTICED")),
        ("audit line edited", _word(results.tamper.audit_refused, "refused", "NOT NOTICED")),
        (
            "without Holdfast",
            _word(results.recovered_without_platform, "decrypted, restored, equal", "FAILED"),
        ),
        (
            "audit log",
            f"{results.audit.entries} entries, "
            + _word(results.audit.verified, "verified offline", "NOT VERIFIED"),
        ),
        ("everything", f"{results.run_s:.1f} s"),
    ]
    return "\n".join(f"  {name:<18} {text}" for name, text in lines)


def _word(fact: bool, good: str, bad: str) -> str:
    return f"✓ {good}" if fact else f"✗ {bad}"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
