"""TLS to a database: verified, or refused; on a server of the system, the wheel's know no TLS."""

from __future__ import annotations

import datetime
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from services.executor.engines import Postgresql
from services.executor.engines.base import TlsError
from services.executor.runners import Local
from services.executor.runners.base import Session, Workplace
from tests.support.postgres import QUICK, Postgres

INSTALLED = sorted(
    (int(path.parts[-3]), path.parent)
    for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")
    if path.with_name("pg_dump").exists()
)


class Certificate(NamedTuple):
    """A certificate and its key, in PEM."""

    certificate: bytes
    key: bytes


def self_signed(name: str) -> Certificate:
    """An authority of its own that vouches for one host name."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Certificate(made.public_bytes(Encoding.PEM), private)


if INSTALLED:  # elsewhere there is nothing to try it on, so it is not collected

    @pytest.fixture(scope="module")
    def certificate() -> Certificate:
        return self_signed("localhost")

    @pytest.fixture(scope="module")
    def server(
        tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
    ) -> Iterator[Postgres]:
        directory = tmp_path_factory.mktemp("tls")
        settings = {**QUICK, "ssl": "on", "ssl_cert_file": "cert.pem", "ssl_key_file": "key.pem"}
        server = Postgres(directory, log=directory / "log", major=16, settings=settings)
        server.major, server.bin = INSTALLED[-1]
        server.create()
        for name, content in (("cert.pem", certificate.certificate), ("key.pem", certificate.key)):
            (server.data / name).write_bytes(content)
            (server.data / name).chmod(0o600)
            owner = server.data.stat()
            os.chown(server.data / name, owner.st_uid, owner.st_gid)
        server.start()
        yield server
        server.kill9()

    @pytest.fixture
    async def session(tmp_path: Path) -> AsyncIterator[Session]:
        async with Local().session(
            Workplace(folder=tmp_path / "work", allow_loopback=True)
        ) as session:
            yield session

    def engine(server: Postgres, **fields: Any) -> Postgresql:
        login = {"port": server.port, "user": server.user, "password": server.password}
        return Postgresql(**{"host": "localhost"} | login | fields)

    async def test_a_dump_goes_through_a_verified_connection(
        session: Session, server: Postgres, certificate: Certificate
    ) -> None:
        given = engine(server, ca_certificate=certificate.certificate.decode())
        owner = await asyncpg.connect(server.dsn())
        await owner.execute("create table t as select 1 as a")

        async with given.dump(session, "postgres") as dump:
            content = b"".join([piece async for piece in dump.output()])
            encrypted = await owner.fetch(
                "select application_name, ssl from pg_stat_ssl join pg_stat_activity using (pid)"
                " where application_name in ('holdfast', 'pg_dump')"
            )
            await dump.ended()
        await owner.close()

        assert content.startswith(b"PGDMP")
        assert encrypted
        assert all(row["ssl"] for row in encrypted)

    @pytest.mark.parametrize("fault", ["unknown authority", "another name", "not a certificate"])
    async def test_a_certificate_that_proves_nothing_is_refused(
        session: Session, server: Postgres, certificate: Certificate, fault: str
    ) -> None:
        trusted = certificate.certificate.decode()
        fields = {
            "unknown authority": {"ca_certificate": self_signed("localhost").certificate.decode()},
            "another name": {"ca_certificate": trusted, "host": "127.0.0.1"},
            "not a certificate": {"ca_certificate": "nonsense"},
        }[fault]

        with pytest.raises(TlsError) as raised:
            await engine(server, **fields).test(session)

        assert raised.value.fix
