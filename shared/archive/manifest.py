"""The manifest: what a backup is and the hash of every immutable object, signed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from shared.archive.encoding import canonical, from_hex, read_canonical, shaped
from shared.archive.errors import TruncatedError, UnsupportedError, UntrustedError
from shared.archive.index import ArchiveName
from shared.archive.keys import Trust, WorkerCertificate, WorkerIdentity, verify

MANIFEST_DOMAIN = b"holdfast/manifest@v1\x00"
Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What was backed up and how. Stands in clear in the store: nothing secret, no personal data.

    So `database_id` is opaque; the database's name stands in the encrypted header of `data`.
    `consistency_point` is the engine's own word (an LSN, a binlog position, a snapshot name),
    `identity` its own name for this one server (a system identifier, a uuid).
    """

    engine: str
    method: Literal["logical", "physical"]
    type: Literal["full", "incremental", "differential"] = "full"
    tool: str = ""
    tool_version: str = ""
    server_version: str = ""
    database_id: str = ""
    consistency_point: str = ""
    identity: str = ""
    created_at: datetime | None = None
    chain: str = ""
    parent: ArchiveName | None = None


class ObjectRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One immutable object: name within the archive, bytes as stored, SHA-256 in hex."""

    name: Annotated[str, Meta(pattern=r"^(data\.(0|[1-9][0-9]{0,5})|index|log)$")]
    size: int
    sha256: str


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """The signed part. `objects` holds the data volumes in order, then index and log."""

    backup_id: Id
    attempt: Id
    about: About
    objects: tuple[ObjectRecord, ...]
    checkpoint: str = ""
    format: Literal["HFB1"] = "HFB1"

    @property
    def volumes(self) -> tuple[ObjectRecord, ...]:
        return tuple(one for one in self.objects if one.name.startswith("data."))

    def find(self, name: str) -> ObjectRecord:
        for one in self.objects:
            if one.name == name:
                return one
        raise TruncatedError(f"the manifest names no object `{name}`")


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The body, the certificate of the worker that signs, and its Ed25519 signature in hex."""

    body: Body
    certificate: WorkerCertificate
    signature: str

    def encode(self) -> bytes:
        return canonical(self)


def sign_manifest(body: Body, worker: WorkerIdentity) -> Manifest:
    """Vouch for the body with a worker's key."""
    blank = Manifest(body=body, certificate=worker.certificate, signature="")
    signature = worker.key.sign(MANIFEST_DOMAIN + canonical(blank))
    return msgspec.structs.replace(blank, signature=signature.hex())


def read_manifest(data: bytes, trusted: Trust) -> Body:
    """The body of a manifest, believed only if a trusted platform certified its signer.

    `UntrustedError` for anything else, one changed byte included; `UnsupportedError` for a newer
    form of it.
    """
    try:
        value = read_canonical(data)
        manifest = shaped(value, Manifest)
        worker = from_hex(manifest.certificate.public_key)
    except ValueError as error:
        raise UntrustedError("the manifest is not well formed, or was changed") from error
    trusted.check(value["certificate"])
    verify(worker, value, MANIFEST_DOMAIN)
    _check_objects(manifest.body)
    return manifest.body


def _check_objects(body: Body) -> None:
    volumes = len(body.volumes)
    expected = [*(f"data.{number}" for number in range(volumes)), "index", "log"]
    if not volumes or [one.name for one in body.objects] != expected:
        raise UnsupportedError("the manifest lists other objects than this release knows")
