"""All benches, one after the other; exits 1 when a figure misses its bar."""

from __future__ import annotations

from bench import (
    api,
    archives,
    backups,
    beside,
    events,
    idle,
    increments,
    projection,
    retention,
    schedules,
)


def main() -> int:
    """Run every bench, also after one that missed."""
    benches = (
        idle,
        api,
        schedules,
        projection,
        events,
        backups,
        beside,
        increments,
        archives,
        retention,
    )
    return max([bench.main() for bench in benches])


if __name__ == "__main__":
    raise SystemExit(main())
