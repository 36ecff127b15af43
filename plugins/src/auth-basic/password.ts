/** Passwords as scrypt hashes (RFC 7914) in the PHC string format: `$scrypt$ln=15,r=8,p=3$<salt>$<hash>`. */
import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';

/** What a new hash costs: 32 MiB, and as much time as the OWASP password storage cheat sheet asks for. */
const NEW = { ln: 15, r: 8, p: 3 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** Node's own defaults are the least that is taken, */
const MIN = { ln: 14, r: 8 } as const;
/** and about two seconds the most: of `N * r * p`. */
const MAX_COST = 2 ** 22;
/** Of `128 * N * r`, for each hash that is being computed. */
const MAX_MEMORY_BYTES = 128 * 2 ** 20;

const PHC =
  /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{22,86})\$([A-Za-z0-9+/]{43,86})$/;

export interface PasswordHash {
  readonly options: ScryptOptions;
  readonly salt: Uint8Array;
  readonly hash: Uint8Array;
}

/** @throws TypeError that says why it is none; the message holds nothing of it. */
export function parsePasswordHash(text: string): PasswordHash {
  const [, ln, r, p, salt, hash] = PHC.exec(text) ?? [];
  if (salt === undefined || hash === undefined)
    throw new TypeError('is no scrypt hash in the form $scrypt$ln=15,r=8,p=3$salt$hash');
  const costs = { ln: Number(ln), r: Number(r), p: Number(p) };
  if (costs.ln < MIN.ln || costs.r < MIN.r || costs.p < 1)
    throw new TypeError(`costs an attacker too little: at least ln=${MIN.ln},r=${MIN.r},p=1`);
  const options = optionsOf(costs);
  const { N = 0 } = options;
  if (N * costs.r * costs.p > MAX_COST)
    throw new TypeError('takes too long: N * r * p is 4194304 at most, where N is 2 to the power of ln');
  if (128 * N * costs.r > MAX_MEMORY_BYTES)
    throw new TypeError('takes too much memory: 128 * N * r is 128 MiB at most');
  return { options, salt: Buffer.from(salt, 'base64'), hash: Buffer.from(hash, 'base64') };
}

function optionsOf({ ln, r, p }: { ln: number; r: number; p: number }): ScryptOptions {
  const N = 2 ** ln;
  return { N, r, p, maxmem: 2 * 128 * N * r };
}

/** What stands in a configuration for a password. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derived(prepared(password), salt, HASH_BYTES, optionsOf(NEW));
  const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replaceAll('=', '');
  return `$scrypt$ln=${NEW.ln},r=${NEW.r},p=${NEW.p}$${text(salt)}$${text(hash)}`;
}

/** On the thread pool of Node; costs the same whether it is right or not. */
export async function isPassword(password: string, { options, salt, hash }: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derived(prepared(password), salt, hash.byteLength, options), hash);
}

/** The same password however a keyboard spells it (RFC 8265, section 4.2.2: OpaqueString). */
function prepared(password: string): string {
  return password.replace(/\p{Zs}/gu, ' ').normalize('NFC');
}

function derived(password: string, salt: Uint8Array, bytes: number, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, bytes, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}
