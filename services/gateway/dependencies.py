"""What every route may use."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec

from services.gateway.accounts import Accounts
from services.gateway.api_keys import Uses
from services.gateway.attempts import Attempts
from services.gateway.identities import Identities
from services.gateway.links import Links
from services.gateway.live import Live
from services.gateway.monitoring import Monitoring
from services.gateway.passwords import Passwords
from services.gateway.proofs import Proofs
from services.gateway.rates import Rates
from services.gateway.secret_key import SecretKey
from services.gateway.sessions import Sessions
from services.gateway.settings import Settings
from services.gateway.tokens import AccessTokens
from shared.bus import Bus
from shared.faults import Point, no_point
from shared.keys.vault import Vault
from shared.messages.base import now
from shared.readmodel.reader import ReadModel


class Dependencies(msgspec.Struct, frozen=True, kw_only=True):
    """The gateway's connections and secrets. It owns no state: any replica may answer."""

    settings: Settings
    bus: Bus
    read_model: ReadModel
    vault: Vault
    secret: SecretKey
    passwords: Passwords
    sessions: Sessions
    tokens: AccessTokens
    accounts: Accounts
    identities: Identities
    attempts: Attempts
    uses: Uses
    rates: Rates
    live: Live
    monitoring: Monitoring
    proofs: Proofs
    links: Links
    clock: Callable[[], datetime]
    point: Point = no_point


def wire(
    settings: Settings,
    bus: Bus,
    read_model: ReadModel,
    vault: Vault,
    *,
    clock: Callable[[], datetime] = now,
) -> Dependencies:
    """Everything that follows from the four connections."""
    secret = SecretKey(settings.secret_key)
    sessions = Sessions(bus.kv("sessions"), clock, settings.limits)
    return Dependencies(
        settings=settings,
        bus=bus,
        read_model=read_model,
        vault=vault,
        secret=secret,
        passwords=Passwords(),
        sessions=sessions,
        tokens=AccessTokens(secret, clock),
        accounts=Accounts(read_model, vault, secret),
        identities=Identities(read_model, sessions, clock),
        attempts=Attempts(bus.kv("attempts"), secret, clock),
        uses=Uses(bus.kv("key_uses"), clock),
        rates=Rates(),
        live=Live(bus, read_model),
        monitoring=Monitoring(bus, read_model, clock),
        proofs=Proofs(read_model),
        links=Links(bus.kv("idempotency"), secret, clock),
        clock=clock,
    )
