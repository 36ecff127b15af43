import { hashPassword } from '@sluice/plugins/credentials';
import { EXIT } from './exit-codes.js';
import type { Output } from './health.js';
import { Interrupted, type PasswordInput, readHidden, readPiped } from './password-input.js';

const MAX_PASSWORD_BYTES = 512;

/**
 * Reads a password and prints the hash that stands for it in the configuration of auth-basic. Prompts go to `err`, so
 * that `out` holds the hash alone.
 *
 * @returns the exit code
 */
export async function printPasswordHash(input: PasswordInput, out: Output, err: Output): Promise<number> {
  const wrong = (message: string) => {
    err.write(`sluice: ${message}\n`);
    return EXIT.usage;
  };
  let password: string;
  try {
    if (input.isTTY === true) {
      password = await readHidden(input, err, 'Password: ');
      if (password !== (await readHidden(input, err, 'Again: '))) return wrong('these were two passwords');
    } else password = await readPiped(input, MAX_PASSWORD_BYTES);
  } catch (error) {
    if (error instanceof Interrupted) return EXIT.unexpected;
    if (error instanceof RangeError) return wrong(error.message);
    throw error;
  }
  if (password === '') return wrong('there is no password on stdin');
  if (Buffer.byteLength(password) > MAX_PASSWORD_BYTES)
    return wrong(`a password has ${MAX_PASSWORD_BYTES} bytes at most`);
  // RFC 7617, section 2: no client could send it.
  if (/\p{Cc}/u.test(password)) return wrong('a password has no control characters, and one line');
  out.write(`${await hashPassword(password)}\n`);
  return EXIT.ok;
}
