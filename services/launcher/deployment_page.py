"""The page that `holdfast init` leaves beside what it made: what is what, and who needs it."""

from __future__ import annotations

from pathlib import Path

_PAGE = """\
# This deployment of Holdfast

Made by `holdfast init`. Nothing here is ever overwritten: run it again, and it makes only what is
missing. Every folder is 0700, every file 0400. The services find all of it below `{at}`.

| what | for whom |
|---|---|
| `env/<service>.env` | the environment of one service; it holds paths, no secret |
| `env/bootstrap.env` | `holdfast bootstrap`: run once NATS has started, and after upgrades |
| `platform.json` | the identity of this installation: public halves of keys only |
| `keys/encryption_key` | gateway, scheduler, storage, notifier, health: opens secrets |
| `keys/secret_key` | gateway: signs access tokens |
| `keys/kek` | scheduler: opens archives |
| `keys/audit_key` | auditor: signs the audit log |
| `keys/worker/core/*` | executor |
| `keys/recovery_key` | nobody: print the recovery sheet, then remove it (see below) |
| `keys/passwords/nats-<user>` | that service; each may say and hear only what it needs |
| `nats/server.conf` | nats-server; it holds the passwords of all users |
| `postgres/roles.sql` | psql as the superuser, once: the database and its two roles |
| `postgres/database_url.writer`, `.reader` | the auditor; every other service with a read model |
| `tls/authority.pem` | whoever connects: browsers, agents, the command line |
| `tls/authority.key` | nobody: keep it offline, it makes new certificates |
| `tls/nats.*`, `tls/gateway.*` | nats-server; gateway |
| `admin_token` | the one-time token of the first administrator |

1. Start PostgreSQL and run `postgres/roles.sql`; start `nats-server -c nats/server.conf`.
2. `holdfast bootstrap`, with the environment of `env/bootstrap.env`.
3. `holdfast serve SERVICE`, each with its own environment; the auditor first.
4. `holdfast setup` with the token; then delete `admin_token`.
5. `HOLDFAST_HOME={out} holdfast recovery-sheet`: print it, keep it elsewhere, and remove the
   private recovery key from here with `--forget`.

Certificates of servers live 397 days. To renew one, delete its two files, run `holdfast init` again
with the same options, and copy them: the gateway takes its new one without a restart.
Passwords, too: delete `keys/passwords/nats-NAME` and `nats/server.conf`, run it again, reload
nats-server (SIGHUP), restart the service.
"""


def page(out: Path, at: Path) -> str:
    """The page for a deployment made in `out` that its services find at `at`."""
    return _PAGE.format(out=out, at=at)
