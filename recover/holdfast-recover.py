#!/usr/bin/env python3
"""Read Holdfast archives without Holdfast: list, verify, decrypt.

Needs Python 3.11, `cryptography` (50 or newer) and, for the codec in use, `zstandard` or `lz4`:

    pip install 'cryptography>=50' zstandard lz4

A folder of a store, or a copy of a bucket, holds one folder <backup id>/<attempt> per archive. What
an incremental or differential backup builds on is looked for in the same store.

    holdfast-recover.py list    STORE   --trust FINGERPRINT
    holdfast-recover.py verify  ARCHIVE --trust FINGERPRINT
    holdfast-recover.py decrypt ARCHIVE --trust FINGERPRINT --key-file FILE --output FILE

The key is what the recovery sheet prints (HFKEY1-...), in a file or on the terminal. Exit codes:
0 done, 2 wrong usage, 3 not supported, 4 no key or a wrong one, 5 damaged, 6 not trusted, 7 the
files cannot be read or written. Any code but 0 means: do not use what was written.
"""

from __future__ import annotations

import argparse
import base64
import getpass
import gzip
import hashlib
import hmac
import io
import json
import os
import re
import struct
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from cryptography.cobblestone import Cobblestone256Decryptor
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PIECE = 1 << 20
FIXED = b"\x89HFB\r\n\x1a\n\x01\x01\x00\x00"
PREFACE = 32 + 56
SEALED_CHUNK = 16_400
TRAILER = struct.Struct("<8sQQ32sQ")


Opener = Callable[[dict[str, Any], bytes], bytes]


class RefusedError(Exception):
    """The archive is not read. `status` is the exit code."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


UNSUPPORTED, KEY, DAMAGED, UNTRUSTED, FILES = 3, 4, 5, 6, 7


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        options.command(options)
    except RefusedError as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return refused.status
    except OSError as error:
        print(f"refused: {error.strerror}: {error.filename}", file=sys.stderr)
        return FILES
    return 0


def parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="list | verify | decrypt")
    for name, command in (("list", list_archives), ("verify", verify), ("decrypt", decrypt)):
        sub = commands.add_parser(name, help=(command.__doc__ or "").splitlines()[0])
        sub.set_defaults(command=command)
        sub.add_argument("folder", type=Path)
        trust = sub.add_mutually_exclusive_group(required=True)
        trust.add_argument("--trust", metavar="FINGERPRINT", action="append", default=[])
        trust.add_argument(
            "--trust-anyone", action="store_true", help="do not check who wrote the archive"
        )
    sub.add_argument("--key-file", type=Path, help="a file with the private key, HFKEY1-...")
    sub.add_argument("--passphrase-file", type=Path, help="a file with the passphrase instead")
    sub.add_argument("--output", default="-", help="a new file, or - for standard output")
    sub.add_argument(
        "--object", choices=["data", "log"], default="data", help="the dump, or its log"
    )
    sub.add_argument("--packed", action="store_true", help="decrypt but do not decompress")
    return parser.parse_args(arguments)


def list_archives(options: argparse.Namespace) -> None:
    """Show every archive below a folder, one JSON object a line."""
    for path in sorted(options.folder.rglob("manifest")):
        line: dict[str, Any] = {"archive": str(path.parent)}
        try:
            body = read_manifest(path.parent, options)
            stored = sum(one["size"] for one in body["objects"])
            line |= {"trusted": True, "stored_bytes": stored, **body["about"]}
        except RefusedError as refused:
            line |= {"trusted": False, "problem": str(refused)}
        print(json.dumps(line, ensure_ascii=False))


def verify(options: argparse.Namespace) -> None:
    """Compare every object's hash with the signed manifest; needs no key."""
    check_objects(options.folder, read_manifest(options.folder, options))
    print("every object is as it was signed", file=sys.stderr)


def decrypt(options: argparse.Namespace) -> None:
    """Write the dump (or the log) to a file or to standard output."""
    opened = opener(options)
    archive = Archive(options.folder, read_manifest(options.folder, options), opened)
    chained = options.object == "data" and archive.body["about"]["type"] != "full"
    if chained and options.packed:
        raise RefusedError(UNSUPPORTED, "what builds on others has no packed form of its own")

    def write(output: IO[bytes]) -> None:
        if chained:
            put_together(archive, lambda folder: Archive.of(folder, options, opened), output)
        else:
            copy(archive.content(options.object), output, packed=options.packed)

    if options.output == "-":
        write(sys.stdout.buffer)
        return
    target = Path(options.output)
    part = target.with_name(target.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as output:
            write(output)
            output.flush()
            os.fsync(output.fileno())
        os.link(part, target)
    finally:
        part.unlink()


# The manifest


def read_manifest(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """The body of the manifest, once its signatures fit and a trusted platform certified them."""
    try:
        data = (folder / "manifest").read_bytes()
        manifest = json.loads(data)
        certificate = manifest["certificate"]
        require(canonical(manifest) == data, "not in the form that is signed")
        require(manifest["body"]["format"] == "HFB1", "not a format this script knows")
        platform, worker = unhex(certificate["platform_key"]), unhex(certificate["public_key"])
        check_signature(platform, certificate, b"holdfast/worker-certificate@v1\x00")
        check_signature(worker, manifest, b"holdfast/manifest@v1\x00")
    except FileNotFoundError as error:
        raise RefusedError(DAMAGED, "there is no manifest: this is no finished archive") from error
    except (ValueError, KeyError, TypeError, InvalidSignature) as error:
        raise RefusedError(UNTRUSTED, "the manifest was changed, or is not signed") from error
    if not options.trust_anyone and fingerprint(platform) not in options.trust:
        raise RefusedError(
            UNTRUSTED, f"the platform {fingerprint(platform)} is not the trusted one"
        )
    body: dict[str, Any] = manifest["body"]
    if list(folder.resolve().parts[-2:]) != [body["backup_id"], body["attempt"]]:
        place = f"{body['backup_id']}/{body['attempt']}"
        raise RefusedError(UNTRUSTED, f"the folder is not the archive's: it must be called {place}")
    return body


def require(condition: bool, what: str) -> None:
    if not condition:
        raise ValueError(what)


def canonical(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def check_signature(key: bytes, signed: dict[str, Any], domain: bytes) -> None:
    message = domain + canonical({**signed, "signature": ""})
    Ed25519PublicKey.from_public_bytes(key).verify(unhex(signed["signature"]), message)


def fingerprint(key: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(key).digest())
    return "SHA256:" + digest.decode().rstrip("=")


def unhex(text: str) -> bytes:
    data = bytes.fromhex(text)
    if data.hex() != text:
        raise ValueError("not lower-case hex")
    return data


def check_objects(folder: Path, body: dict[str, Any]) -> None:
    """Every object of the manifest, by length and SHA-256."""
    for one in body["objects"]:
        if not re.fullmatch(r"(data\.\d{1,6}|index|log)", one["name"]):
            raise RefusedError(UNTRUSTED, "the manifest names an object no archive has")
        try:
            with (folder / one["name"]).open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError as error:
            raise RefusedError(DAMAGED, f"`{one['name']}` is missing") from error
        if (size, digest) != (one["size"], one["sha256"]):
            raise RefusedError(DAMAGED, f"`{one['name']}` is not what was written")


# The envelope


def open_envelope(folder: Path, body: dict[str, Any], opened: Opener) -> bytes:
    """The archive key, from the highest envelope that our key opens and whose mac fits."""
    found = {
        int(path.name.split(".")[1]): path
        for path in folder.iterdir()
        if re.fullmatch(r"envelope\.[1-9][0-9]{0,8}", path.name)
    }
    problem = RefusedError(DAMAGED, "the archive has no envelope")
    for number in sorted(found, reverse=True):
        try:
            return read_envelope(found[number].read_bytes(), number, body, opened)
        except RefusedError as refused:
            if problem.status != KEY or "this key" in str(problem):
                problem = refused
    raise problem


def read_envelope(data: bytes, number: int, body: dict[str, Any], opened: Opener) -> bytes:
    try:
        envelope = json.loads(data)
        place = [envelope[field] for field in ("backup_id", "attempt", "number")]
        require(canonical(envelope) == data, "not in the form that was written")
        require(place == [body["backup_id"], body["attempt"], number], "another archive's")
        bound = {field: envelope[field] for field in ("attempt", "backup_id", "file_ids")}
        archive_key = opened(envelope, b"holdfast/envelope@v1\x00" + canonical(bound))
        key = HKDF(SHA512(), 32, salt=None, info=b"holdfast/envelope-mac@v1").derive(archive_key)
        message = b"holdfast/envelope@v1\x00" + canonical({**envelope, "mac": ""})
        mac = hmac.new(key, message, "sha256").hexdigest()
        require(hmac.compare_digest(mac.encode(), envelope["mac"].encode()), "another mac")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RefusedError(DAMAGED, "the envelope was changed, or belongs elsewhere") from error
    return archive_key


def opener(options: argparse.Namespace) -> Opener:
    """What opens an envelope's stanza: the passphrase, or the private key."""
    if options.passphrase_file:
        passphrase = options.passphrase_file.read_text(encoding="utf-8").rstrip("\r\n")
        return lambda envelope, info: open_with_passphrase(envelope, info, passphrase)
    text = (
        options.key_file.read_text(encoding="ascii")
        if options.key_file
        else getpass.getpass("Private key (HFKEY1-...): ")
    )
    private, recipient = private_key(text)
    return lambda envelope, info: open_with_key(envelope, info, private, recipient)


def private_key(text: str) -> tuple[hpke.MLKEM768X25519PrivateKey, str]:
    """The key pair of a printed seed (X-Wing's expansion), and the recipient id of its public."""
    tag, _, digits = "".join(text.split()).upper().partition("-")
    try:
        data = bytes.fromhex(digits.replace("-", ""))
    except ValueError:
        data = b""
    seed, check = data[:32], data[32:]
    if tag != "HFKEY1" or check != hashlib.sha256(tag.encode() + seed).digest()[:4]:
        raise RefusedError(KEY, "the key was mistyped: compare it with the recovery sheet")
    stretched = hashlib.shake_256(seed).digest(96)
    one = mlkem.MLKEM768PrivateKey.from_seed_bytes(stretched[:64])
    two = x25519.X25519PrivateKey.from_private_bytes(stretched[64:])
    public = one.public_key().public_bytes_raw() + two.public_key().public_bytes_raw()
    return hpke.MLKEM768X25519PrivateKey(one, two), hashlib.sha256(public).hexdigest()[:16]


def open_with_key(
    envelope: dict[str, Any], info: bytes, key: hpke.MLKEM768X25519PrivateKey, recipient: str
) -> bytes:
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    for stanza in envelope["stanzas"]:
        if stanza["kind"] == "hpke" and stanza["recipient"] == recipient:
            try:
                return suite.decrypt(unbase64(stanza["sealed"]), key, info)
            except InvalidTag as error:
                raise ValueError("the stanza was changed") from error
    raise RefusedError(KEY, "the archive is not sealed to this key")


def open_with_passphrase(envelope: dict[str, Any], info: bytes, passphrase: str) -> bytes:
    for stanza in envelope["stanzas"]:
        if stanza["kind"] != "argon2id":
            continue
        cost = (stanza["memory_kib"], stanza["passes"], stanza["lanes"])
        if any(not 1 <= one <= most for one, most in zip(cost, (1 << 20, 16, 16), strict=True)):
            raise RefusedError(
                UNSUPPORTED, "the envelope asks for more work than a passphrase may cost"
            )
        key = Argon2id(
            salt=unhex(stanza["salt"]),
            length=32,
            memory_cost=cost[0],
            iterations=cost[1],
            lanes=cost[2],
        ).derive(unicodedata.normalize("NFC", passphrase).encode())
        sealed = unbase64(stanza["sealed"])
        try:
            return AESGCM(key).decrypt(sealed[:12], sealed[12:], info)
        except InvalidTag as error:
            raise RefusedError(KEY, "the passphrase does not open this archive") from error
    raise RefusedError(KEY, "the archive is not sealed to a passphrase")


def unbase64(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)


# The content


class Archive:
    """One archive whose manifest, envelope and objects are as they were written."""

    def __init__(self, folder: Path, body: dict[str, Any], opened: Opener) -> None:
        self.folder, self.body = folder, body
        self._key = open_envelope(folder, body, opened)
        check_objects(folder, body)

    @classmethod
    def of(cls, folder: Path, options: argparse.Namespace, opened: Opener) -> Archive:
        return cls(folder, read_manifest(folder, options), opened)

    def content(self, role: str) -> Content:
        names = [one["name"] for one in self.body["objects"] if one["name"].split(".")[0] == role]
        return Content(self.folder, names, self._key, role, self.body["backup_id"])

    def plain(self, role: str) -> Pieces:
        """The whole decrypted object, as a file."""
        names = [one["name"] for one in self.body["objects"] if one["name"].split(".")[0] == role]
        paths = [self.folder / name for name in names]
        return Pieces(Content.decrypted(paths, self._key, role, self.body["backup_id"]))


class Content(io.RawIOBase):
    """The decrypted frames of an object, as a file: header taken off, trailer kept for the end."""

    def __init__(
        self, folder: Path, names: list[str], archive_key: bytes, role: str, backup_id: str
    ) -> None:
        self._pieces = self.decrypted(
            [folder / name for name in names], archive_key, role, backup_id
        )
        size = sum((folder / name).stat().st_size for name in names) - PREFACE
        full, rest = divmod(size, SEALED_CHUNK)
        self._ahead = b""
        (length,) = struct.unpack("<I", self._take(4))
        if length > 65_536:
            raise RefusedError(UNSUPPORTED, "the inner header is longer than any header can be")
        self.header = json.loads(self._take(length))
        plain = full * 16_384 + rest - 16
        self.packed_length = self._left = plain - 4 - length - TRAILER.size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes of the frames; empty at their end."""
        data = self._take(min(self._left, PIECE if size < 0 else size))
        self._left -= len(data)
        return data

    def readinto(self, buffer: Any) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def exactly(self, size: int) -> bytes:
        """So many bytes of the frames."""
        if size > self._left:
            raise RefusedError(DAMAGED, "the archive ends inside a frame")
        self._left -= size
        return self._take(size)

    def trailer(self) -> tuple[int, int, bytes]:
        """(raw length, packed length, SHA-256 of the raw dump), after the last frame."""
        found = TRAILER.unpack(self._take(TRAILER.size))
        if found[0] != b"HFBTRAIL" or found[4] != 0 or self._ahead or any(self._pieces):
            raise RefusedError(DAMAGED, "the archive does not end with a good trailer")
        return found[1], found[2], found[3]

    def _take(self, length: int) -> bytes:
        while len(self._ahead) < length:
            piece = next(self._pieces, None)
            if piece is None:
                raise RefusedError(DAMAGED, "the archive ends before its end")
            self._ahead += piece
        taken, self._ahead = self._ahead[:length], self._ahead[length:]
        return taken

    @staticmethod
    def decrypted(
        paths: list[Path], archive_key: bytes, role: str, backup_id: str
    ) -> Iterator[bytes]:
        pieces = (piece for path in paths for piece in read_pieces(path))
        start = next(pieces, b"")
        while len(start) < PREFACE and (more := next(pieces, b"")):
            start += more
        if not start.startswith(FIXED) or start[28:32] != bytes(4):
            raise RefusedError(UNSUPPORTED, "this is no archive of a version this script knows")
        info = b"holdfast/object-key@v1\x00" + role.encode()
        key = HKDF(SHA512(), 32, salt=start[12:28], info=info).derive(archive_key)
        context = f"holdfast/{role}@v1".encode() + b"\x00" + start[:32] + backup_id.encode()
        decryptor = Cobblestone256Decryptor(key, context)
        try:
            yield decryptor.update(start[32:])
            for piece in pieces:
                yield decryptor.update(piece)
            yield decryptor.finalize()
        except InvalidTag as error:
            raise RefusedError(
                DAMAGED, "the archive was changed, cut, or has another key"
            ) from error


class Pieces(io.RawIOBase):
    """Pieces as one file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._ahead = pieces, b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Exactly `size` bytes, fewer only at the end."""
        parts = [self._ahead]
        left = size - len(self._ahead)
        while left > 0 and (piece := next(self._pieces, None)) is not None:
            parts.append(piece)
            left -= len(piece)
        data = b"".join(parts)
        self._ahead = data[size:]
        return data[:size]


def read_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def copy(content: Content, output: IO[bytes], *, packed: bool) -> None:
    """Everything to the output, then the comparison with the trailer."""
    reader: Any = content if packed else decompressed(content)
    digest, length = hashlib.sha256(), 0
    try:
        while piece := reader.read(PIECE):
            digest.update(piece)
            length += len(piece)
            output.write(piece)
    except (EOFError, RuntimeError, ValueError, gzip.BadGzipFile) as error:
        raise RefusedError(DAMAGED, "a frame cannot be decompressed") from error
    output.flush()
    while content.read():
        raise RefusedError(DAMAGED, "there is more in the archive than its frames")
    raw_length, packed_length, raw_sha256 = content.trailer()
    if packed_length != content.packed_length or (
        not packed and (length, digest.digest()) != (raw_length, raw_sha256)
    ):
        raise RefusedError(DAMAGED, "the dump is not what the archive's trailer says")


# Chains: a run table says which stretch of the dump lies in which archive


def put_together(
    first: Archive, open_archive: Callable[[Path], Archive], output: IO[bytes]
) -> None:
    """The dump of an archive that builds on others; each of them is read once, forward."""
    header = index_header(first)
    names = [(one["backup_id"], one["attempt"]) for one in header["archives"]]
    require_refused(names[:1] == [(first.body["backup_id"], first.body["attempt"])], "its index")
    store = first.folder.resolve().parents[1]
    members = [first, *(parent(store, name, open_archive) for name in names[1:])]
    sources = [Source(member) for member in members]
    digest, length = hashlib.sha256(), 0
    for archive, offset, size in table(first, b"R"):
        require_refused(archive < len(sources), "the run table")
        for piece in sources[archive].stretch(offset, size):
            digest.update(piece)
            length += len(piece)
            output.write(piece)
    output.flush()
    raw_length, _, raw_sha256 = sources[0].trailer()
    require_refused((length, digest.digest()) == (raw_length, raw_sha256), "the dump")


def require_refused(condition: bool, what: str) -> None:
    if not condition:
        raise RefusedError(DAMAGED, f"{what} is not what was written")


def parent(store: Path, name: tuple[str, str], open_archive: Callable[[Path], Archive]) -> Archive:
    folder = store / name[0] / name[1]
    if not all(re.fullmatch(r"[A-Za-z0-9_-]{1,64}", part) for part in name):
        raise RefusedError(UNTRUSTED, "the index names an archive that cannot be one")
    try:
        return open_archive(folder)
    except RefusedError as refused:
        raise RefusedError(refused.status, f"{folder}, which it builds on: {refused}") from refused


def index_header(archive: Archive) -> dict[str, Any]:
    file = archive.plain("index")
    (length,) = struct.unpack("<I", file.read(4))
    header: dict[str, Any] = json.loads(file.read(length))
    return header


def table(archive: Archive, wanted: bytes) -> Iterator[tuple[int, ...]]:
    """The rows of one table of the index: F (raw, packed length), R (archive, offset, length)."""
    import zstandard

    formats = {b"F": "<{0}I{0}I", b"R": "<{0}I{0}Q{0}Q"}
    file = archive.plain("index")
    (length,) = struct.unpack("<I", file.read(4))
    file.read(length)
    while segment := file.read(9):
        kind, rows, size = struct.unpack("<cII", segment)
        packed = file.read(size)
        if kind == b"E":
            return
        if kind == wanted:
            shape = struct.Struct(formats[kind].format(rows))
            columns = zstandard.ZstdDecompressor().decompress(packed, max_output_size=shape.size)
            values = shape.unpack(columns)
            parts = [values[at : at + rows] for at in range(0, len(values), rows)]
            yield from zip(*parts, strict=True)
    raise RefusedError(DAMAGED, "the index ends before its end")


class Source:
    """One archive's frames, read forward."""

    def __init__(self, archive: Archive) -> None:
        self._content, self._frames = archive.content("data"), table(archive, b"F")
        self._begin = self._end = 0
        self._raw = b""

    def stretch(self, offset: int, length: int) -> Iterator[bytes]:
        """The raw bytes from `offset` on, in parts of frames."""
        end = offset + length
        while offset < end:
            while offset >= self._end:
                self._advance(offset)
            require_refused(offset >= self._begin, "the run table")
            piece = self._raw[offset - self._begin : end - self._begin]
            yield piece
            offset += len(piece)

    def _advance(self, offset: int) -> None:
        raw, packed = next(self._frames, (0, 0))
        require_refused(0 < raw <= 16 * PIECE, "the frame table")
        data = self._content.exactly(packed)
        self._begin, self._end = self._end, self._end + raw
        if offset < self._end:
            self._raw = unpacked(self._content.header["codec"], data, raw)

    def trailer(self) -> tuple[int, int, bytes]:
        while self._content.read():
            pass
        return self._content.trailer()


def unpacked(codec: str, packed: bytes, length: int) -> bytes:
    """One frame; no more than `length` bytes are ever made."""
    try:
        raw: bytes = decompressed(Frame(codec, packed)).read(length + 1) if packed else b""
    except (EOFError, RuntimeError, ValueError, gzip.BadGzipFile) as error:
        raise RefusedError(DAMAGED, "a frame cannot be decompressed") from error
    require_refused(len(raw) == length, "a frame")
    return raw


class Frame(io.BytesIO):
    """A packed frame as `decompressed` takes it."""

    def __init__(self, codec: str, packed: bytes) -> None:
        super().__init__(packed)
        self.header, self.packed_length = {"codec": codec}, len(packed)


def decompressed(content: Any) -> Any:
    """A file-like reader of the raw dump; it gives out pieces, so memory stays small."""
    codec = content.header["codec"]
    if codec == "none" or not content.packed_length:
        return content
    if codec == "gzip":
        return gzip.GzipFile(fileobj=content)
    try:
        if codec == "zstd":
            import zstandard

            source: Any = content
            return zstandard.ZstdDecompressor().stream_reader(source, read_across_frames=True)
        if codec == "lz4":
            import lz4.frame  # type: ignore[import-untyped]  # it ships no types

            return lz4.frame.LZ4FrameFile(content)
    except ImportError as error:
        raise RefusedError(
            UNSUPPORTED, f"install the Python package for {codec}, or use --packed"
        ) from error
    raise RefusedError(UNSUPPORTED, f"the codec {codec} is not known to this script")


if __name__ == "__main__":
    sys.exit(main())
