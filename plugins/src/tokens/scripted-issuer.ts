/** An issuer that a test plays: it signs tokens, publishes keys, rotates them, and goes out of reach. */
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { FetchAnswer, FetchOptions } from '@sluice/sdk';
import { type JWTPayload, SignJWT } from 'jose';
import type { Algorithm } from './keys.js';

export const ISSUER = 'https://issuer.example.com';
export const AUDIENCE = 'https://gateway.example.com/mcp';
export const JWKS_URL = `${ISSUER}/jwks.json`;
/** Where the clock of the harness begins. */
export const NOW_S = 1_700_000_000;

export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

export function rsaKeys(modulusLength = 2_048): KeyPair {
  return generateKeyPairSync('rsa', { modulusLength });
}

export function pemOf({ publicKey }: KeyPair): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

export function jwkOf({ publicKey }: KeyPair, more: object = {}): Record<string, unknown> {
  return { ...publicKey.export({ format: 'jwk' }), ...more };
}

/** A good token but for what is said. */
export function signed(
  key: KeyObject | Uint8Array,
  alg: Algorithm,
  claims: JWTPayload = {},
  header: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const usual = { iss: ISSUER, aud: AUDIENCE, sub: 'ada', iat: NOW_S, exp: NOW_S + 600 };
  return new SignJWT({ ...usual, ...claims }).setProtectedHeader({ alg, typ: 'JWT', ...header }).sign(key);
}

/** A token that is put together by hand, with whatever signature. */
export function forged(header: object, claims: object = {}, signature = ''): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const usual = { iss: ISSUER, aud: AUDIENCE, sub: 'ada', iat: NOW_S, exp: NOW_S + 600 };
  return `${part(header)}.${part({ ...usual, ...claims })}.${signature}`;
}

/** The keys of an issuer as they are fetched. */
export class ScriptedIssuer {
  readonly asked: string[] = [];
  isOut = false;
  private readonly keys = new Map<string, KeyPair>();
  private waiting: (() => void)[] | undefined;

  constructor(...kids: readonly string[]) {
    for (const kid of kids) this.publish(kid);
  }

  publish(kid: string): void {
    this.keys.set(kid, generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  }

  withdraw(kid: string): void {
    this.keys.delete(kid);
  }

  token(kid: string, claims: JWTPayload = {}): Promise<string> {
    return signed((this.keys.get(kid) as KeyPair).privateKey, 'ES256', claims, { kid });
  }

  /** Answers wait until {@link release}. */
  hold(): void {
    this.waiting = [];
  }

  release(): void {
    for (const go of this.waiting ?? []) go();
    this.waiting = undefined;
  }

  readonly fetch = async (url: string, _options: FetchOptions): Promise<FetchAnswer> => {
    this.asked.push(url);
    if (this.waiting !== undefined) await new Promise<void>((go) => this.waiting?.push(go));
    if (this.isOut) throw new Error('connection refused');
    const keys = [...this.keys].map(([kid, pair]) => jwkOf(pair, { kid, use: 'sig', alg: 'ES256' }));
    return { status: 200, headers: {}, text: JSON.stringify({ keys }) };
  };
}
