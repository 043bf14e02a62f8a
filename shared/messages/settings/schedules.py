"""The settings that say when, and what to keep."""

from __future__ import annotations

import msgspec

from shared.messages.base import Setting
from shared.messages.values import BackupType, Check, Method


class PolicySetting(Setting, frozen=True, kw_only=True):
    """What to keep of each database in each store: whatever one of the rules keeps.

    `keep_last` the newest N good backups, `keep_days` those of the last N days, and the newest
    of each of the last N days, weeks (from Monday), months and years that have one, in the
    schedule's time zone. Nothing younger than `min_age_s` expires.
    """

    name: str
    keep_last: int
    keep_days: int = 0
    keep_daily: int = 0
    keep_weekly: int = 0
    keep_monthly: int = 0
    keep_yearly: int = 0
    min_age_s: int = 0


class ScheduleTarget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A store of a schedule, and the policy that keeps its backups there."""

    store_id: str
    policy_id: str | None = None


class ScheduleSetting(Setting, frozen=True, kw_only=True):
    """When to back up what.

    `cron` has five fields, in `time_zone` (IANA). What: the databases that are named, of the
    groups that are named, or with one of the tags. The dump goes to the first target and from
    there to the others. `missed`: skip, run_once or run_all; slots older than `missed_within_s`
    are always skipped. After `chain_limit` backups of a chain the next one is a full. `jitter_s`
    spreads the start, the same for the same slot and database. At the times of `test_restore` (five
    fields, in the same zone; empty: never) the newest backup of each database is restored as a
    test, and every restore test of its backups asks `checks`.
    """

    name: str
    cron: str
    time_zone: str = "UTC"
    database_ids: list[str] = []
    group_ids: list[str] = []
    tags: list[str] = []
    targets: list[ScheduleTarget]
    type_wanted: BackupType = BackupType.FULL
    method: Method = Method.LOGICAL
    codec: str = "zstd"
    chain_limit: int = 30
    jitter_s: int = 0
    blackout_ids: list[str] = []
    missed: str = "run_once"
    missed_within_s: int = 86_400
    paused: bool = False
    test_restore: str = ""
    checks: list[Check] = []


class BlackoutSetting(Setting, frozen=True, kw_only=True):
    """A window in which its schedules start nothing: at each `cron` time for `minutes`."""

    name: str
    cron: str
    time_zone: str = "UTC"
    minutes: int
    enabled: bool = True
