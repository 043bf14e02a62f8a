"""The gateway's certificate as files, and what happens when they are renewed."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import structlog

from services.gateway.settings import Settings
from shared.certificates import CertificateError, check_pair

LOOK_EVERY_S = 20.0

_log = structlog.get_logger()


class Certificate(msgspec.Struct, frozen=True):
    """Where the certificate with its chain and its key lie, in PEM."""

    cert: Path
    key: Path

    def content(self) -> tuple[bytes, bytes]:
        return self.cert.read_bytes(), self.key.read_bytes()


@contextmanager
def certificate(settings: Settings) -> Iterator[Certificate | None]:
    """The files of the settings; values without a file stand in a private folder meanwhile."""
    if not settings.tls:
        yield None
    elif settings.tls_cert_file and settings.tls_key_file:
        yield Certificate(Path(settings.tls_cert_file), Path(settings.tls_key_file))
    else:
        with tempfile.TemporaryDirectory(prefix="holdfast-tls-") as folder:  # 0700
            made = Certificate(Path(folder, "cert.pem"), Path(folder, "key.pem"))
            made.cert.write_text(settings.tls_cert)
            made.key.write_text(settings.tls_key)
            yield made


async def watch(
    files: Certificate, take: Callable[[], None], *, every_s: float = LOOK_EVERY_S
) -> None:
    """Call `take` whenever both files hold a new pair that fits together; for ever.

    Whoever renews a certificate writes two files: between the two nothing fits, so nothing happens.
    """
    seen = await asyncio.to_thread(files.content)
    while True:
        await asyncio.sleep(every_s)
        try:
            found = await asyncio.to_thread(files.content)
            if found == seen:
                continue
            check_pair(*found)
        except (OSError, CertificateError) as error:
            _log.warning("certificate_not_renewed", cause=str(error))
            continue
        seen = found
        take()
        _log.info("certificate_renewed")
