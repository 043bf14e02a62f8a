"""Certificates for TLS: do they fit their key, and until when do they hold."""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate, load_pem_x509_certificates

from shared.errors import PlatformError


class CertificateError(PlatformError):
    """A certificate or its key cannot be used."""

    code = "tls.certificate"
    default_fix = "give the certificate with its chain, and its key, both in PEM"


def check_pair(certificate: bytes, key: bytes) -> None:
    """Raise CertificateError unless both can be read and belong together."""
    first = read_certificate(certificate)
    try:
        public = load_pem_private_key(key, password=None).public_key()
    except (ValueError, TypeError):
        raise CertificateError("the key cannot be read as PEM without a password") from None
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if public.public_bytes(*form) != first.public_key().public_bytes(*form):
        raise CertificateError("the key is not the one of the certificate")


def read_certificate(certificate: bytes) -> Certificate:
    """The first certificate of a chain; raises CertificateError."""
    try:
        return load_pem_x509_certificates(certificate)[0]
    except (ValueError, IndexError):
        raise CertificateError("the certificate cannot be read as PEM") from None


def valid_until(certificate: bytes) -> datetime:
    """When the first certificate of a chain ends; raises CertificateError."""
    return read_certificate(certificate).not_valid_after_utc
