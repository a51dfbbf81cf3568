// Encryption at rest for Secrets and tokens in the store: a disk taken out of a node, or a backup of the store folder
// alone, gives none of them away. The key stands in a file of its own, beside the store and never in it, or comes from
// systemd as a credential. While it is rotated the key before it opens what it sealed.
import { createCipheriv, createDecipheriv, createHash, randomBytes, randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeNewFile } from '../../runtime/durable-file.ts';
import { SealError } from '../errors.ts';

/** Record: version (1 byte) · key id (4) · nonce (12) · ciphertext · tag (16). AES-256-GCM; the context is authenticated with it. */
const version = 2;
const keyIdBytes = 4;
const nonceBytes = 12;
const headBytes = 1 + keyIdBytes + nonceBytes;
const tagBytes = 16;
const keyBytes = 32;

interface Key {
  readonly bytes: Buffer;
  /** Says which key a record needs, and nothing of the key. */
  readonly id: Buffer;
}

export interface KeyFile {
  readonly file: string;
  /** Made on first use with mode 0600. False where somebody else gives it: then its absence is a fault. */
  readonly makeIfMissing: boolean;
}

/** Where the key before the present one stands during a rotation. */
export function oldKeyFile(file: string): string {
  return `${file}.old`;
}

export class Seal {
  readonly #key: Key;
  readonly #old: Key | undefined;

  private constructor(key: Key, old: Key | undefined) {
    this.#key = key;
    this.#old = old;
  }

  /** Reads the key, and the one before it if its rotation is not over. Throws SealError (ERR_SEAL_KEY) if one cannot be used. */
  static async open({ file, makeIfMissing }: KeyFile): Promise<Seal> {
    if (makeIfMissing) await ensureKey(file);
    const key = await readKey(file);
    const old = (await exists(oldKeyFile(file))) ? await readKey(oldKeyFile(file)) : undefined;
    // The same: a rotation that a crash ended before it had begun.
    return new Seal(key, old?.id.equals(key.id) === true ? undefined : old);
  }

  /** Records may still be sealed with the key before the present one. */
  get rotating(): boolean {
    return this.#old !== undefined;
  }

  /** `context` says what the record belongs to (its store key): opening it under another one fails. */
  seal(plain: Buffer, context: string): Buffer {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key.bytes, nonce, { authTagLength: tagBytes });
    cipher.setAAD(Buffer.from(context));
    const head = Buffer.concat([Buffer.from([version]), this.#key.id, nonce]);
    return Buffer.concat([head, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** Throws SealError (ERR_SEAL_RECORD): cut short, altered, sealed with another key or for another context. */
  open(sealed: Buffer, context: string): Buffer {
    if (sealed.length < headBytes + tagBytes || sealed[0] !== version)
      throw new SealError('ERR_SEAL_RECORD', `the record is no sealed record of version ${version}`);
    const key = this.#keyOf(sealed);
    if (key === undefined) throw new SealError('ERR_SEAL_RECORD', 'the record was sealed with another key');
    const decipher = createDecipheriv('aes-256-gcm', key.bytes, sealed.subarray(1 + keyIdBytes, headBytes), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(Buffer.from(context));
    decipher.setAuthTag(sealed.subarray(-tagBytes));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(headBytes, -tagBytes)), decipher.final()]);
    } catch (error) {
      throw new SealError('ERR_SEAL_RECORD', 'the record was altered, or belongs elsewhere', error);
    }
  }

  /** True for what the key before the present one has sealed. */
  isOld(sealed: Buffer): boolean {
    return sealed[0] === version && this.#old !== undefined && this.#keyOf(sealed) === this.#old;
  }

  #keyOf(sealed: Buffer): Key | undefined {
    const id = sealed.subarray(1, 1 + keyIdBytes);
    return [this.#key, this.#old].find((key) => key?.id.equals(id) === true);
  }
}

/**
 * The first step of a rotation: a new key in `file`, and the one before it beside. The hub takes it up at its next start. A crash
 * leaves the old key in use, or the new one and the old beside it. Throws SealError (ERR_SEAL_KEY): no key, a rotation
 * that is not over, or a folder that cannot be written.
 */
export async function rotateKey(file: string): Promise<void> {
  await readKey(file);
  const old = oldKeyFile(file);
  if ((await exists(old)) && !(await readKey(old)).id.equals((await readKey(file)).id))
    throw new SealError(
      'ERR_SEAL_KEY',
      `the last rotation is not over: ${old} is still needed; restart the hub and wait until it has removed the file`,
    );
  const next = `${file}.${randomUUID()}.new`;
  try {
    await rm(old, { force: true });
    await writeNewFile(next, randomBytes(keyBytes), 0o600);
    await link(file, old);
    await syncFolder(path.dirname(file));
    await rename(next, file);
    await syncFolder(path.dirname(file));
  } catch (error) {
    await rm(next, { force: true }).catch(() => undefined); // the error itself says more
    const { code } = error as NodeJS.ErrnoException;
    throw new SealError(
      'ERR_SEAL_KEY',
      `the key file ${file} cannot be replaced (${code}); give the new key in its place, and this one as ${old}`,
      error,
    );
  }
}

/** A crash leaves no file or a whole one: it appears by link, after fsync. */
async function ensureKey(file: string): Promise<void> {
  if (await exists(file)) return;
  const temporary = `${file}.${randomUUID()}.new`;
  try {
    await writeNewFile(temporary, randomBytes(keyBytes), 0o600);
    await link(temporary, file);
    await syncFolder(path.dirname(file));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Somebody else was faster.
    if (code === 'EEXIST') return;
    const message = `the key file ${file} cannot be made (${code}); see that its folder is writable`;
    throw new SealError('ERR_SEAL_KEY', message, error);
  } finally {
    await rm(temporary, { force: true });
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw new SealError('ERR_SEAL_KEY', `the key file ${file} cannot be read: ${(error as Error).message}`, error);
  }
}

async function readKey(file: string): Promise<Key> {
  let mode: number;
  let bytes: Buffer;
  try {
    mode = (await stat(file)).mode & 0o777;
    bytes = await readFile(file);
  } catch (error) {
    throw new SealError('ERR_SEAL_KEY', `the key file ${file} cannot be read: ${(error as Error).message}`, error);
  }
  if ((mode & 0o077) !== 0) {
    throw new SealError(
      'ERR_SEAL_KEY',
      `the key file ${file} has mode ${mode.toString(8)}, others may have read it; run: chmod 600 ${file}`,
    );
  }
  if (bytes.length !== keyBytes) {
    throw new SealError(
      'ERR_SEAL_KEY',
      `the key file ${file} has ${bytes.length} bytes and not ${keyBytes}; restore it, or remove it (what was sealed with it is set aside)`,
    );
  }
  return { bytes, id: createHash('sha256').update('holdfast key id').update(bytes).digest().subarray(0, keyIdBytes) };
}
