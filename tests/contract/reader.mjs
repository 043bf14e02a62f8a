// A second reader of the archive format, written from docs/archive-format.md alone, on Node's own
// crypto. It decrypts one object (`data`, its volumes joined, `index` or `log`) of the archive in a
// folder to stdout, or the `dump` in it; the archive key is 64 hex digits on stdin. Anything wrong:
// exit status 1.
//
//     node reader.mjs FOLDER BACKUP_ID ROLE < key
import { createDecipheriv, createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { existsSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import zlib from 'node:zlib'

const HEADER = 32, SALT = 24, PREFACE = 56, CHUNK = 16384, TAG = 16
const FIXED = Buffer.from('894846420d0a1a0a01010000', 'hex') // magic, version, suite, flags
const TRAILER = 64

function refuse(why) {
  process.stderr.write(`${why}\n`)
  process.exit(1)
}

// The bytes of the object as stored, which must be those of the manifest.
function stored(folder, role) {
  const objects = JSON.parse(readFileSync(join(folder, 'manifest'))).body.objects
  const mine = objects.filter(({ name }) => name === role || name.startsWith(`${role}.`))
  if (!mine.length) refuse(`the manifest names no ${role}`)
  return Buffer.concat(mine.map(({ name, size, sha256 }) => {
    const path = join(folder, name)
    const bytes = existsSync(path) ? readFileSync(path) : refuse(`${name} is missing`)
    if (bytes.length !== size) refuse(`${name} is not as long as the manifest says`)
    if (createHash('sha256').update(bytes).digest('hex') !== sha256) refuse(`${name} was changed`)
    return bytes
  }))
}

function expand(key, info, length) { // HKDF-Expand of RFC 5869, which Node has only after an extract
  let block = Buffer.alloc(0), out = Buffer.alloc(0)
  for (let number = 1; out.length < length; number++) {
    block = createHmac('sha512', key).update(block).update(info).update(Buffer.of(number)).digest()
    out = Buffer.concat([out, block])
  }
  return out.subarray(0, length)
}

// C2SP chunked-encryption, instance Cobblestone-256.
function* opened(message, key, context) {
  const salt = message.subarray(0, SALT)
  const suite = Buffer.from('c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0')
  const derived = expand(key, Buffer.concat([suite, salt, context]), 32 + 12 + 32)
  if (!timingSafeEqual(derived.subarray(44), message.subarray(SALT, PREFACE))) refuse('wrong key')
  const chunks = message.subarray(PREFACE)
  for (let number = 0, at = 0; ; number++, at += CHUNK + TAG) {
    const sealed = chunks.subarray(at, at + CHUNK + TAG)
    if (sealed.length < TAG) refuse('cut: the last chunk, which is always shorter, is missing')
    const nonce = Buffer.from(derived.subarray(32, 44))
    nonce.writeUInt32BE((nonce.readUInt32BE(8) ^ number) >>> 0, 8)
    const decipher = createDecipheriv('aes-256-gcm', derived.subarray(0, 32), nonce)
    decipher.setAuthTag(sealed.subarray(-TAG))
    try {
      yield Buffer.concat([decipher.update(sealed.subarray(0, -TAG)), decipher.final()])
    } catch {
      refuse(`chunk ${number} was changed`)
    }
    if (sealed.length < CHUNK + TAG) return
  }
}

function read(folder, backupId, role, archiveKey) {
  const object = stored(folder, role)
  const header = object.subarray(0, HEADER)
  if (!header.subarray(0, 12).equals(FIXED)) refuse('not an archive of a version known here')
  if (header.readUInt32BE(28) !== 0) refuse('the header does not end with zeros')
  const info = Buffer.from(`holdfast/object-key@v1\0${role}`)
  const key = Buffer.from(hkdfSync('sha512', archiveKey, header.subarray(12, 28), info, 32))
  const context = Buffer.concat([
    Buffer.from(`holdfast/${role}@v1\0`), header, Buffer.from(backupId),
  ])
  return Buffer.concat([...opened(object.subarray(HEADER), key, context)])
}

// The dump that `data` holds, of the codecs that this Node knows; its trailer must tell of it.
function dump(plain) {
  const begin = 4 + plain.readUInt32LE(0)
  const { codec } = JSON.parse(plain.subarray(4, begin))
  const trailer = plain.subarray(-TRAILER), packed = plain.subarray(begin, -TRAILER)
  if (trailer.toString('latin1', 0, 8) !== 'HFBTRAIL') refuse('there is no trailer')
  if (trailer.readBigUInt64LE(56) !== 0n) refuse('the dump did not end well')
  if (Number(trailer.readBigUInt64LE(16)) !== packed.length) refuse('another packed length')
  const unpack = { none: (it) => it, gzip: zlib.gunzipSync, zstd: zlib.zstdDecompressSync }[codec]
  if (!unpack) return null
  const raw = unpack(packed)
  const sha256 = createHash('sha256').update(raw).digest()
  if (Number(trailer.readBigUInt64LE(8)) !== raw.length) refuse('another length')
  if (!sha256.equals(trailer.subarray(24, 56))) refuse('the dump is not the one of the trailer')
  return raw
}

const [folder, backupId, role] = process.argv.slice(2)
const archiveKey = Buffer.from(readFileSync(0, 'utf8').trim(), 'hex')
if (archiveKey.length !== 32) refuse('the archive key has 64 hex digits')
const object = role === 'dump' ? 'data' : role
let plain = read(folder, backupId, object, archiveKey)
if (object === 'data') {
  const { parent } = JSON.parse(readFileSync(join(folder, 'manifest'))).body.about
  if (parent && role === 'dump') refuse('an increment holds only what is new of its dump')
  const raw = parent ? null : dump(plain)
  if (role === 'dump') plain = raw ?? refuse('this Node does not know the codec')
}
for (let at = 0; at < plain.length;) at += writeSync(1, plain, at)
