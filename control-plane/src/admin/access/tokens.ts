import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Caller } from '../caller.js';
import { callerOf, type Grant } from './access.js';

/** A token that a program or a person keeps. */
export interface ApiToken extends Grant {
  /** Who holds it; stands in the history. */
  readonly name: string;
  /** SHA-256 of the token, in hex; so the settings hold nothing that opens anything. */
  readonly sha256?: string;
  /** A file that holds the token, read at the start; or this. */
  readonly file?: string;
}

/** What can be guessed protects nothing. */
const MIN_TOKEN_LENGTH = 32;

/** Looks tokens up by their digest, so that the time it takes says nothing of any token. */
export function tokenCallers(tokens: readonly ApiToken[]): (token: string) => Caller | undefined {
  const callers = new Map<string, Caller>();
  for (const token of tokens) {
    const caller = callerOf(`token/${token.name}`, token);
    const digest = digestOf(token);
    const other = callers.get(digest);
    if (other !== undefined) throw new TypeError(`${caller.name} and ${other.name} are the same token`);
    callers.set(digest, caller);
  }
  return (token) => callers.get(sha256(token));
}

function digestOf({ name, sha256: digest, file }: ApiToken): string {
  if ((digest === undefined) === (file === undefined))
    throw new TypeError(`token/${name}: give either sha256 or file`);
  if (digest !== undefined) {
    if (!/^[0-9a-f]{64}$/i.test(digest))
      throw new TypeError(`token/${name}: sha256 has to be 64 hexadecimal digits`);
    return digest.toLowerCase();
  }
  const token = readFileSync(file as string, 'utf8').trim();
  if (token.length < MIN_TOKEN_LENGTH)
    throw new TypeError(`token/${name}: ${file} holds fewer than ${MIN_TOKEN_LENGTH} characters`);
  return sha256(token);
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
