"""One encrypted object: header, then a Cobblestone-256 message, written and read as a stream."""

from __future__ import annotations

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from shared.archive.errors import ChunkCorruptError, TruncatedError, WrongKeyError
from shared.archive.header import HEADER_BYTES, FileHeader, Role

CHUNK = 16_384
SEALED_CHUNK = CHUNK + 16
PREFACE = 56  # salt 24, key commitment 32
_SALT = 24
_SUITE_INFO = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\x00"


def object_key(archive_key: bytes, role: Role, file_id: bytes) -> bytes:
    """HKDF-SHA-512 of the archive key: salt is the file id, info names the role."""
    info = b"holdfast/object-key@v1\x00" + role.encode()
    return HKDF(SHA512(), 32, salt=file_id, info=info).derive(archive_key)


def context(role: Role, header: FileHeader, backup_id: str) -> bytes:
    """What binds a message to its place: never a path, so archives may move."""
    return f"holdfast/{role}@v1".encode() + b"\x00" + header.encode() + backup_id.encode()


def sealed_size(plain_bytes: int) -> int:
    """Bytes of an object that holds so many bytes of content."""
    return HEADER_BYTES + PREFACE + plain_bytes + 16 * (plain_bytes // CHUNK + 1)


def plain_size(object_bytes: int) -> int:
    """The inverse of `sealed_size`; `TruncatedError` where no message has that length."""
    message = object_bytes - HEADER_BYTES - PREFACE
    full, rest = divmod(message, SEALED_CHUNK)
    if message < 0 or rest < SEALED_CHUNK - CHUNK:
        raise TruncatedError("the object ends before its last chunk")
    return full * CHUNK + rest - 16


class SealingStream:
    """Encrypts one object. Not for use by two threads at once."""

    def __init__(self, archive_key: bytes, role: Role, backup_id: str) -> None:
        header = FileHeader.new()
        self.file_id = header.file_id
        self._encryptor = Cobblestone256Encryptor(
            object_key(archive_key, role, header.file_id), context(role, header, backup_id)
        )
        self._preface = header.encode()

    def update(self, data: bytes) -> bytes:
        """The next bytes of the object; the first ones begin with the header."""
        preface, self._preface = self._preface, b""
        return preface + self._encryptor.update(data)

    def finish(self) -> bytes:
        """The short last chunk. Without it the object can never be taken for whole."""
        return self._encryptor.finalize()


class OpeningStream:
    """Decrypts one object from its first byte. Only authenticated bytes come out.

    `WrongKeyError` if the key is not the object's, `ChunkCorruptError` with the chunk's number,
    `TruncatedError` if the end is missing.
    """

    def __init__(self, archive_key: bytes, role: Role, backup_id: str) -> None:
        self._archive_key, self._role, self._backup_id = archive_key, role, backup_id
        self._start = b""
        self._chunks: ChunkReader | None = None
        self._decryptor: Cobblestone256Decryptor | None = None
        self._pending = b""
        self._chunk = 0

    def update(self, data: bytes) -> bytes:
        if self._decryptor is None or self._chunks is None:
            self._start += data
            if len(self._start) < HEADER_BYTES + PREFACE:
                return b""
            data = self._begin()
        assert self._decryptor is not None
        sealed = self._pending + data if self._pending else data
        try:
            plain = self._decryptor.update(data)
        except InvalidTag as error:
            raise ChunkCorruptError(self._role, self._first_corrupt(sealed)) from error
        whole = len(sealed) // SEALED_CHUNK
        self._chunk += whole
        self._pending = bytes(sealed[whole * SEALED_CHUNK :])
        return plain

    def finish(self) -> bytes:
        if self._decryptor is None:
            raise TruncatedError("the object ends inside its header")
        try:
            return self._decryptor.finalize()
        except InvalidTag as error:
            if len(self._pending) < SEALED_CHUNK - CHUNK:
                raise TruncatedError("the object ends before its last chunk") from error
            raise ChunkCorruptError(self._role, self._chunk) from error

    def _begin(self) -> bytes:
        header = FileHeader.decode(self._start[:HEADER_BYTES])
        preface = self._start[HEADER_BYTES : HEADER_BYTES + PREFACE]
        self._chunks = ChunkReader(self._archive_key, self._role, self._backup_id, header, preface)
        key = object_key(self._archive_key, self._role, header.file_id)
        decryptor = Cobblestone256Decryptor(key, context(self._role, header, self._backup_id))
        decryptor.update(preface)
        self._decryptor = decryptor
        rest, self._start = self._start[HEADER_BYTES + PREFACE :], b""
        return rest

    def _first_corrupt(self, sealed: bytes) -> int:
        assert self._chunks is not None
        for number in range(len(sealed) // SEALED_CHUNK):
            try:
                self._chunks.open(
                    self._chunk + number,
                    sealed[number * SEALED_CHUNK : (number + 1) * SEALED_CHUNK],
                )
            except ChunkCorruptError as error:
                return error.chunk
        return self._chunk


class ChunkReader:
    """Opens single chunks of an object, for ranged reads.

    Plain byte i lies in chunk i // 16384, which begins at byte 88 + 16400 x chunk of the object.
    Trust nothing read so before the object's length is known to be the manifest's.
    """

    def __init__(
        self, archive_key: bytes, role: Role, backup_id: str, header: FileHeader, preface: bytes
    ) -> None:
        info = _SUITE_INFO + preface[:_SALT] + context(role, header, backup_id)
        key = object_key(archive_key, role, header.file_id)
        derived = HKDFExpand(SHA512(), 32 + 12 + 32, info).derive(key)
        if not bytes_eq(derived[44:], preface[_SALT:PREFACE]):
            raise WrongKeyError(f"the archive key is not the one `{role}` was encrypted with")
        self._role = role
        self._aead = AESGCM(derived[:32])
        self._nonce = int.from_bytes(derived[32:44])

    def open(self, chunk: int, sealed: bytes) -> bytes:
        """The chunk's content: 16384 bytes, fewer only in the last one."""
        nonce = (self._nonce ^ chunk).to_bytes(12)
        try:
            return self._aead.decrypt(nonce, sealed, b"")
        except (InvalidTag, ValueError) as error:
            raise ChunkCorruptError(self._role, chunk) from error
