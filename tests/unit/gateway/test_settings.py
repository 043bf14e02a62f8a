"""What the gateway refuses to start with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet

from services.gateway.settings import Defaults, Settings
from shared.bus.connection import BusSettings
from shared.keys.authority import Authority
from shared.settings import ConfigurationError, check_all, load

KEY = "k" * 32
SEALS = Fernet.generate_key().decode()


def settings(**changes: Any) -> Settings:
    base = {
        "database_url": "postgresql://holdfast@db/holdfast",
        "encryption_key": SEALS,
        "secret_key": KEY,
    }
    return Settings(**{**base, **changes})


@pytest.fixture(scope="module")
def pair() -> dict[str, str]:
    """A certificate and its key."""
    made = Authority.make("test").certify("gateway.example.com")
    return {"tls_cert": made.certificate.decode(), "tls_key": made.key.decode()}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.8.8"])
def test_loopback_needs_no_tls(host: str) -> None:
    assert settings(gateway_host=host).faults() == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "gateway.example.com"])
def test_another_address_needs_tls_or_a_declared_proxy(host: str, pair: dict[str, str]) -> None:
    (fault,) = settings(gateway_host=host).faults()

    assert "TLS_CERT" in fault
    assert settings(gateway_host=host, behind_proxy=True).faults() == []
    assert settings(gateway_host=host, **pair).faults() == []


def test_half_a_tls_setting_another_key_and_a_short_secret_key_are_refused(
    pair: dict[str, str],
) -> None:
    other = Authority.make("test").certify("gateway.example.com").key.decode()

    assert "belong together" in settings(tls_cert=pair["tls_cert"]).faults()[0]
    assert "not the one" in settings(tls_cert=pair["tls_cert"], tls_key=other).faults()[0]
    assert "SECRET_KEY" in settings(secret_key="short").faults()[0]


def test_all_that_is_wrong_is_said_at_once_and_no_value_is(tmp_path: Path) -> None:
    environment = {
        "NATS_URL": "nats://me:canary-1@nats",
        "DATABASE_URL": "mysql://root:canary-2@db/x",
        "ENCRYPTION_KEY": "canary-3",
        "SECRET_KEY_FILE": str(tmp_path / "nowhere"),
        "GATEWAY_PORT": "canary-4",
        "S3_ACCESS_KEY": "canary-5",
    }

    with pytest.raises(ConfigurationError) as refused:
        check_all([BusSettings, Settings, Defaults], environment)

    said = str(refused.value)
    for name in ("NATS_URL", "SECRET_KEY_FILE", "GATEWAY_PORT", "S3_BUCKET", "S3_SECRET_KEY"):
        assert name in said
    assert "canary" not in said


def test_faults_of_values_are_said_together_too() -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(Settings, {"DATABASE_URL": "x", "ENCRYPTION_KEY": "y", "SECRET_KEY": "z"})

    for name in ("DATABASE_URL", "ENCRYPTION_KEY", "SECRET_KEY"):
        assert name in str(refused.value)


def test_a_certificate_from_files_is_known_by_content_and_by_place(
    tmp_path: Path, pair: dict[str, str]
) -> None:
    (tmp_path / "cert").write_text(pair["tls_cert"])
    (tmp_path / "key").write_text(pair["tls_key"])
    environment = {
        "DATABASE_URL": "postgres://db/holdfast",
        "ENCRYPTION_KEY": SEALS,
        "SECRET_KEY": KEY,
        "GATEWAY_HOST": "0.0.0.0",
        "TLS_CERT_FILE": str(tmp_path / "cert"),
        "TLS_KEY_FILE": str(tmp_path / "key"),
    }

    read = load(Settings, environment)

    assert read.tls
    assert (read.tls_cert, read.tls_cert_file) == (pair["tls_cert"].strip(), f"{tmp_path}/cert")


def test_a_first_store_needs_all_its_parts_and_plain_http_only_on_purpose() -> None:
    whole = {"s3_bucket": "b", "s3_access_key": "a", "s3_secret_key": "s"}

    assert Defaults().faults() == []
    assert Defaults(**whole).faults() == []
    assert len(Defaults(s3_endpoint="https://minio").faults()) == 3
    assert "S3_ENDPOINT" in Defaults(**whole, s3_endpoint="http://minio").faults()[0]
    assert Defaults(**whole, s3_endpoint="http://minio", s3_allow_http=True).faults() == []


def test_no_secret_is_in_the_repr(pair: dict[str, str]) -> None:
    shown = repr(settings(**pair)) + repr(Defaults(s3_secret_key="canary"))

    for secret in ("canary", KEY, SEALS, "PRIVATE KEY"):
        assert secret not in shown
