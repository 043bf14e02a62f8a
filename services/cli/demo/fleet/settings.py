"""Sample data: what the fleet's administrator has set up, by calls that any client makes."""

from __future__ import annotations

from typing import Any

from services.cli.demo.api import Api
from services.cli.demo.fleet.databases import FLEET, MB, Fleet

ENVIRONMENTS = {"pg-staging": "staging"}
GROUPS = {
    "Shop": ("What customers order with.", 4_000, ("pg-prod-1", "pg-prod-2", "pg-staging")),
    "Reporting": ("May be a day old.", None, ("pg-analytics", "pg-legacy")),
}
WORDS = """*{{ database }} on {{ server }}*: {{ type }}{% if problem %}
> {{ problem.cause }}
> Likely fix: {{ problem.fix }}{% endif %}"""


async def make_places(api: Api) -> Fleet:
    stores = {}
    s3: dict[str, Any] = {
        "kind": "s3",
        "bucket": "backups-eu",
        "region": "eu-central-1",
        "access_key_id": "sample",
        "secret_access_key": "sample",
        "lock_days": 14,
    }
    for name, store, quota_gb in (
        ("vault-eu", s3, 1_640),
        ("cellar", {"kind": "local", "root": "/srv/backups"}, 5_060),
    ):
        body: dict[str, Any] = {
            "name": name,
            "store": store,
            "quota_bytes": quota_gb * 1000 * MB,
            "region": "",
        }
        stores[name] = (await api.post("/stores", body))["id"]
    groups = {}
    for name, (about, gigabytes, _) in GROUPS.items():
        quota = gigabytes and gigabytes * 1000 * MB
        group: dict[str, Any] = {"name": name, "description": about, "quota_bytes": quota}
        groups[name] = (await api.post("/server-groups", group))["id"]
    servers = {}
    for name in dict.fromkeys(one.server for one in FLEET):
        engine: dict[str, Any] = {
            "kind": "postgresql",
            "host": f"{name}.internal",
            "user": "holdfast",
            "password": "sample",
        }
        body = {
            "name": name,
            "environment": ENVIRONMENTS.get(name, "production"),
            "group_ids": [groups[one] for one, (*_, held) in GROUPS.items() if name in held],
            "runner": {"kind": "local"},
            "endpoints": [{"name": "main", "engine": engine}],
        }
        servers[name] = (await api.post("/servers", body))["id"]
    channels = {}
    secret = "whsec_" + "c2FtcGxlLXNhbXBsZS1zYW1wbGUtc2FtcGxl"
    for name, channel in (
        ("On-call", {"kind": "webhook", "url": "https://hooks.example/on-call", "secret": secret}),
        ("#databases", {"kind": "slack", "url": "https://hooks.example/slack"}),
    ):
        body = {"name": name, "channel": channel}
        channels[name] = (await api.post("/notifications/channels", body))["id"]
    keys = await api.get("/keys/master")
    recipients = [keys["key_id"], keys["recovery_key_id"]]
    return Fleet(servers=servers, stores=stores, channels=channels, recipients=recipients)


async def make_rules(api: Api, fleet: Fleet) -> None:
    """What needs the databases to be known: policies, schedules, objectives, rules, people."""
    standard = {"name": "Standard", "keep_last": 3, "keep_daily": 7, "keep_weekly": 4}
    policy = (await api.post("/policies", standard | {"keep_monthly": 12}))["id"]
    critical = {"name": "Critical", "keep_last": 7, "keep_days": 14, "keep_daily": 30}
    strict = (await api.post("/policies", critical | {"keep_monthly": 24, "keep_yearly": 7}))["id"]
    known = [one["id"] for one in (await api.get("/databases?limit=100"))["items"]]
    for name, cron, rest in (
        ("Every night", "0 2 * * *", {"database_ids": known}),
        ("Critical, every six hours", "30 */6 * * *", {"tags": ["critical"]}),
    ):
        targets = [
            {"store_id": fleet.stores["vault-eu"], "policy_id": strict},
            {"store_id": fleet.stores["cellar"], "policy_id": policy},
        ]
        body: dict[str, Any] = {
            "name": name,
            "cron": cron,
            "time_zone": "Europe/Berlin",
            "targets": targets,
        }
        await api.post("/schedules", body | rest)
    office = {"name": "Office hours", "cron": "0 9 * * 1-5", "minutes": 480}
    await api.post("/blackouts", office | {"time_zone": "Europe/Berlin"})
    daily = {"name": "A day at most", "rpo_s": 30 * 3600, "rto_s": 4 * 3600}
    await api.post("/objectives", daily)
    words = {"name": "Quoted cause", "channel_kind": "slack", "body": WORDS}
    await api.post("/notifications/templates", words)
    for name, channel, facts, severity in (
        ("Wake somebody", "On-call", ["backup.failed", "objective.missed"], "error"),
        ("Tell the team", "#databases", ["backup.*", "restore.*", "store.filling"], "warning"),
    ):
        rule = {"name": name, "channel_id": fleet.channels[channel], "facts": facts}
        await api.post("/notifications/rules", rule | {"min_severity": severity})
    for name, role in (("Grace Hopper", "operator"), ("Edgar Codd", "viewer")):
        email = f"{name.split()[0].lower()}@example.com"
        body = {
            "name": name,
            "email": email,
            "role": role,
            "password": "a sample of a password",
        }
        await api.post("/users", body)
    template = "VACUUM (ANALYZE) {{ table }}"
    command: dict[str, Any] = {
        "name": "Vacuum a table",
        "description": "After large deletions.",
        "kind": "shell",
        "template": f"psql -c '{template}' {{{{ database }}}}",
        "roles": ["admin", "operator"],
        "variables": [{"name": "table"}, {"name": "database"}],
    }
    await api.post("/commands", command)
