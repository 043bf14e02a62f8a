"""What the gateway refuses to start with."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.settings import Settings, check
from shared.settings import ConfigurationError

KEY = "k" * 32


def settings(**changes: Any) -> Settings:
    base = {
        "database_url": "postgresql+asyncpg://x",
        "encryption_key": "canary-1",
        "secret_key": KEY,
    }
    return Settings(**{**base, **changes})


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_tls(host: str) -> None:
    check(settings(gateway_host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example.com"])
def test_another_address_needs_tls_or_a_declared_proxy(host: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check(settings(gateway_host=host))
    assert "TLS_CERT_FILE" in refused.value.fix

    check(settings(gateway_host=host, behind_proxy=True))
    check(settings(gateway_host=host, tls_cert_file="c", tls_key_file="k"))


def test_half_a_tls_setting_and_a_short_secret_key_are_refused() -> None:
    with pytest.raises(ConfigurationError):
        check(settings(tls_cert_file="c"))
    with pytest.raises(ConfigurationError):
        check(settings(secret_key="short"))


def test_no_secret_is_in_the_repr() -> None:
    assert "canary" not in repr(settings())
    assert KEY not in repr(settings())
