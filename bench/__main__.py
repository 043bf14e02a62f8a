"""All benches, one after the other; exits 1 when a figure misses its bar."""

from __future__ import annotations

from bench import api, backups, events, projection, retention


def main() -> int:
    """Run every bench, also after one that missed."""
    return max([api.main(), backups.main(), events.main(), projection.main(), retention.main()])


if __name__ == "__main__":
    raise SystemExit(main())
