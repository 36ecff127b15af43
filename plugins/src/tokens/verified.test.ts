import { generateKeyPairSync } from 'node:crypto';
import { ANONYMOUS } from '@sluice/sdk';
import { expect, it } from 'vitest';
import { publicKey } from './keys.js';
import { VerifiedTokens } from './verified.js';

it('remembers a token until its end, or until its key is taken back', () => {
  const tokens = new VerifiedTokens();
  const key = publicKey(generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' }));
  tokens.remember('short', ANONYMOUS, 1_000, key);
  tokens.remember('long', ANONYMOUS, 9_000, key);
  expect([tokens.identityOf('short', 999), tokens.identityOf('short', 1_000)]).toEqual([
    ANONYMOUS,
    undefined,
  ]);
  expect([tokens.identityOf('long', 1_000), tokens.identityOf('other', 1_000)]).toEqual([
    ANONYMOUS,
    undefined,
  ]);
  key.isWithdrawn = true;
  expect(tokens.identityOf('long', 1_000)).toBeUndefined();
});

it('forgets the oldest of too many', () => {
  const tokens = new VerifiedTokens();
  const token = (index: number) => `${index}`.padEnd(16_384, '.');
  for (let index = 0; index <= 1_024; index += 1) tokens.remember(token(index), ANONYMOUS, 1_000);
  expect([0, 1, 1_024].map((index) => tokens.identityOf(token(index), 0))).toEqual([
    undefined,
    ANONYMOUS,
    ANONYMOUS,
  ]);
});
