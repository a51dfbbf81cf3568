// Encryption at rest for Secrets and tokens in the store: a disk taken out of a node, or a backup of the store folder
// alone, gives none of them away. The key stands in a file of its own, beside the store and never in it.
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto';
import { link, readFile, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { syncFolder, writeNewFile } from '../runtime/durable-file.ts';
import { SealError } from './errors.ts';

/** Record: version (1 byte) · nonce (12) · ciphertext · tag (16). AES-256-GCM; the context is authenticated with it. */
const version = 1;
const nonceBytes = 12;
const tagBytes = 16;
const keyBytes = 32;

export class Seal {
  readonly #key: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
  }

  /** Reads the key in `file`, made on first use with mode 0600. Throws SealError (ERR_SEAL_KEY) if it cannot be used. */
  static async open(file: string): Promise<Seal> {
    try {
      await createKey(file);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'EEXIST')
        throw new SealError(
          'ERR_SEAL_KEY',
          `the key file ${file} cannot be made (${code}); see that its folder is writable`,
          error,
        );
    }
    return new Seal(await readKey(file));
  }

  /** `context` says what the record belongs to (its store key): opening it under another one fails. */
  seal(plain: Buffer, context: string): Buffer {
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: tagBytes });
    cipher.setAAD(Buffer.from(context));
    const head = Buffer.from([version]);
    return Buffer.concat([head, nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()]);
  }

  /** Throws SealError (ERR_SEAL_RECORD): cut short, altered, sealed with another key or for another context. */
  open(sealed: Buffer, context: string): Buffer {
    if (sealed.length < 1 + nonceBytes + tagBytes || sealed[0] !== version)
      throw new SealError('ERR_SEAL_RECORD', 'the record is no sealed record of version 1');
    const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(1, 1 + nonceBytes), {
      authTagLength: tagBytes,
    });
    decipher.setAAD(Buffer.from(context));
    decipher.setAuthTag(sealed.subarray(-tagBytes));
    try {
      return Buffer.concat([decipher.update(sealed.subarray(1 + nonceBytes, -tagBytes)), decipher.final()]);
    } catch (error) {
      throw new SealError('ERR_SEAL_RECORD', 'the record was altered, or sealed with another key', error);
    }
  }
}

/** Fails with EEXIST when the file is there. A crash leaves no file or a whole one: it appears by link, after fsync. */
async function createKey(file: string): Promise<void> {
  if (await exists(file)) throw Object.assign(new Error(`${file} exists`), { code: 'EEXIST' });
  const temporary = `${file}.${randomUUID()}.new`;
  try {
    await writeNewFile(temporary, randomBytes(keyBytes), 0o600);
    await link(temporary, file);
    await syncFolder(path.dirname(file));
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
    throw error;
  }
}

async function readKey(file: string): Promise<Buffer> {
  let mode: number;
  let key: Buffer;
  try {
    mode = (await stat(file)).mode & 0o777;
    key = await readFile(file);
  } catch (error) {
    throw new SealError('ERR_SEAL_KEY', `the key file ${file} cannot be read: ${(error as Error).message}`, error);
  }
  if (mode !== 0o600) {
    throw new SealError(
      'ERR_SEAL_KEY',
      `the key file ${file} has mode ${mode.toString(8)}, others may have read it; run: chmod 600 ${file}`,
    );
  }
  if (key.length !== keyBytes) {
    throw new SealError(
      'ERR_SEAL_KEY',
      `the key file ${file} has ${key.length} bytes and not ${keyBytes}; restore it, or remove it (what was sealed with it is lost and fetched again)`,
    );
  }
  return key;
}
