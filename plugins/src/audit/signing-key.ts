/** The key of a node, which signs the end of its chain and its checkpoints. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export interface SigningKey {
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** Names the key: the first 16 hexadecimal digits of the digest of its public part. */
  readonly id: string;
}

/** Where the key of a file is when the configuration does not say; the public part is in the same place with `.pub`. */
export function keyFileOf(file: string): string {
  return `${file}.key`;
}

/**
 * Reads the key, or makes it when there is none.
 *
 * @throws Error with a readable message when there is something else, or it can be neither read nor written.
 */
export function signingKey(file: string): SigningKey {
  try {
    const key = read(file);
    writePublic(file, key.publicKey);
    return key;
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'ENOENT') throw thrown;
  }
  make(file);
  return read(file);
}

/** Reads public keys in PEM. @throws Error with a readable message */
export function publicKeyIn(file: string): KeyObject {
  const text = readFileSync(file);
  let key: KeyObject;
  try {
    key = createPublicKey(text);
  } catch (thrown) {
    throw new Error(`${file} holds no key in PEM`, { cause: thrown });
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new Error(`${file} holds a key that is not of Ed25519`);
  return key;
}

export function keyId(publicKey: KeyObject): string {
  const bytes = publicKey.export({ type: 'spki', format: 'der' });
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

function read(file: string): SigningKey {
  const text = readFileSync(file);
  let privateKey: KeyObject;
  try {
    privateKey = createPrivateKey(text);
  } catch (thrown) {
    throw new Error(`${file} holds no private key in PEM`, { cause: thrown });
  }
  if (privateKey.asymmetricKeyType !== 'ed25519')
    throw new Error(
      `${file} holds a key that is not of Ed25519; make one with: openssl genpkey -algorithm ed25519`,
    );
  const publicKey = createPublicKey(privateKey);
  return { privateKey, publicKey, id: keyId(publicKey) };
}

/** For whoever verifies. Nothing needs it here, so it is no trouble where it cannot be written. */
function writePublic(file: string, publicKey: KeyObject): void {
  try {
    writeFileSync(`${file}.pub`, publicKey.export({ type: 'spki', format: 'pem' }), {
      mode: 0o644,
      flag: 'wx',
    });
  } catch {
    // It is there, or the folder is for reading alone.
  }
}

/** Several threads may do so at the same time: the first one's stays. */
function make(file: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const own = `${file}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  writeFileSync(own, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600, flag: 'wx' });
  try {
    linkSync(own, file);
    writePublic(file, publicKey);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code !== 'EEXIST') throw thrown;
  } finally {
    unlinkSync(own);
  }
}
