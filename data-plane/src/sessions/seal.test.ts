import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createSealer, keyRing, MAX_TOKEN_BYTES, RotatingSealer, SEAL_PURPOSES } from './seal.js';

const secret = randomBytes(32);
const sealer = createSealer({ current: secret, previous: [] });
const purpose = fc.constantFrom(...SEAL_PURPOSES);
const bytes = fc.uint8Array({ maxLength: 300 });
const context = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('', '\ud800', '\ud801'),
);

describe('sealed handles', () => {
  it('give back what was sealed, in characters for URLs and headers', () => {
    fc.assert(
      fc.property(purpose, bytes, context, (use, payload, bound) => {
        const token = sealer.seal(use, payload, bound);
        expect(token).toMatch(/^1[A-Za-z0-9_-]+$/);
        expect(Uint8Array.from(sealer.open(use, token, bound) ?? [1])).toEqual(payload);
      }),
    );
    expect(sealer.open('task', sealer.seal('task', 'größer'))?.toString()).toBe('größer');
  });

  it('show nothing of the payload and are never the same twice', () => {
    const first = sealer.seal('session', 'secret secret secret secret');
    expect(first).not.toBe(sealer.seal('session', 'secret secret secret secret'));
    expect(Buffer.from(first.slice(1), 'base64url').includes('secret')).toBe(false);
  });

  it('open for their purpose and context only', () => {
    fc.assert(
      fc.property(purpose, purpose, context, context, bytes, (use, otherUse, bound, otherBound, payload) => {
        const opened = sealer.open(otherUse, sealer.seal(use, payload, bound), otherBound);
        expect(opened !== undefined).toBe(use === otherUse && bound === otherBound);
      }),
    );
  });

  it('do not open after any change', () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \u0000é';
    fc.assert(
      fc.property(bytes, fc.nat(), fc.constantFrom(...alphabet), fc.nat(2), (payload, at, char, kind) => {
        const token = sealer.seal('cursor', payload);
        const index = at % token.length;
        const tail = token.slice(kind === 0 ? index + 1 : index);
        const changed = kind === 2 ? token.slice(0, index) : token.slice(0, index) + char + tail;
        fc.pre(changed !== token);
        expect(sealer.open('cursor', changed)).toBeUndefined();
      }),
      { numRuns: 2_000 },
    );
  });

  it('are refused without a throw when they are none', () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: 'binary' }),
      fc.base64String().map((encoded) => `1${encoded}`),
      fc
        .uint8Array({ minLength: 30, maxLength: 60 })
        .map((raw) => `1${Buffer.from(raw).toString('base64url')}`),
    );
    fc.assert(fc.property(purpose, text, (use, token) => sealer.open(use, token) === undefined));
  });

  it('open while their secret is in the ring, and no longer', () => {
    const token = sealer.seal('session', 'kept');
    const rotated = createSealer({ current: randomBytes(32), previous: [randomBytes(48), secret] });
    expect(rotated.open('session', token)?.toString()).toBe('kept');
    expect(sealer.open('session', rotated.seal('session', 'new'))).toBeUndefined();
    expect(createSealer({ current: randomBytes(32), previous: [] }).open('session', token)).toBeUndefined();
  });

  it('open on another node with the same secret', () => {
    const other = createSealer({ current: Uint8Array.from(secret), previous: [] });
    expect(other.open('session', sealer.seal('session', 'kept', 'alice'), 'alice')?.toString()).toBe('kept');
  });

  it('have a bounded length', () => {
    const longest = 49_119;
    const token = sealer.seal('request-state', Buffer.alloc(longest));
    expect(token.length).toBeLessThanOrEqual(MAX_TOKEN_BYTES);
    expect(sealer.open('request-state', token)?.length).toBe(longest);
    expect(() => sealer.seal('request-state', Buffer.alloc(longest + 1))).toThrow(
      /request-state: .* 65536 bytes/,
    );
    expect(sealer.open('request-state', '1'.repeat(MAX_TOKEN_BYTES + 1))).toBeUndefined();
  });

  it('need a secret that is long enough', () => {
    expect(() => createSealer({ current: randomBytes(31), previous: [] })).toThrow(/at least 32/);
    expect(() => createSealer({ current: secret, previous: [randomBytes(8)] })).toThrow(/at least 32/);
  });
});

describe('keys that change while the gateway runs', () => {
  const [first, second] = ['1', '2'].map((each) => each.repeat(32)) as [string, string];

  it('open what any of them sealed, and nothing that one sealed which is gone', () => {
    const rotating = new RotatingSealer(keyRing([first], secret));
    const token = rotating.seal('session', 'before');
    rotating.rotate(keyRing([second, first], secret));
    expect(rotating.open('session', token)?.toString()).toBe('before');
    const newer = rotating.seal('session', 'after');
    rotating.rotate(keyRing([second], secret));
    expect([rotating.open('session', token), rotating.open('session', newer)?.toString()]).toEqual([
      undefined,
      'after',
    ]);
  });

  it('are the own one of the process where none is configured', () => {
    const token = new RotatingSealer(keyRing([], secret)).seal('session', 'mine');
    expect(sealer.open('session', token)?.toString()).toBe('mine');
  });
});
