/**
 * Knows callers by API keys in `X-API-Key` or `Authorization: Bearer`. The configuration holds no key, only what
 * HMAC-SHA-256 makes of it under a secret of the gateway's own, so a copy of the configuration opens nothing.
 */
import { createHmac, randomBytes } from 'node:crypto';
import { definePlugin, type Identity, Refusal, Secret, type Static, Type } from '@sluice/sdk';
import { consumerName, ENDPOINTS_BELOW, IDENTITY_FIELDS } from '../identity-fields.js';
import { bearerToken } from '../tokens/bearer.js';

/** How every key begins, so that scanners of source code and logs find one that leaked. */
const KEY_START = 'slk_';
/** Characters that tell keys apart in logs; with what follows them 256 bits of chance remain secret. */
const PREFIX_LENGTH = KEY_START.length + 8;
const KEY_BYTES = 32;
/** Keys that were right are remembered, since hashing one costs more than all else; so many, then from the start. */
const MAX_REMEMBERED_COUNT = 10_000;
const KEY = /^slk_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$/;

const Key = Type.Object(
  {
    prefix: Type.String({
      pattern: '^slk_[0-9a-f]{8}$',
      description: 'How the key begins; names it in logs.',
    }),
    hash: Type.String({
      pattern: '^[A-Za-z0-9_-]{43}$',
      description: 'What `sluice keys create` printed for it.',
    }),
    consumer: consumerName('Who holds it; several keys may name one.'),
    ...IDENTITY_FIELDS,
    endpoints_below: ENDPOINTS_BELOW,
    expires_at: Type.Optional(
      Type.String({ description: 'When it stops to count, for example 2027-01-31T00:00:00Z.' }),
    ),
  },
  { additionalProperties: false },
);

const Config = Type.Object(
  {
    hash_key: Secret({
      minLength: 32,
      maxLength: 1024,
      description:
        'The secret under which keys are hashed, at least 32 characters: write ${SLUICE_KEY_SECRET}.',
    }),
    keys: Type.Array(Key, { default: [], maxItems: 100_000, description: 'The keys that are known.' }),
  },
  { additionalProperties: false },
);

/** A new key, and what the configuration holds of it. The key itself is nowhere else. */
export interface NewApiKey {
  readonly key: string;
  readonly prefix: string;
  readonly hash: string;
}

export function createApiKey(hashKey: string): NewApiKey {
  const prefix = KEY_START + randomBytes(4).toString('hex');
  const key = `${prefix}_${randomBytes(KEY_BYTES).toString('base64url')}`;
  return { key, prefix, hash: hashOf(key, hashKey) };
}

function hashOf(key: string, hashKey: string): string {
  return createHmac('sha256', hashKey).update(key).digest('base64url');
}

function identityOf({ prefix, consumer, tenant, scopes, claims, expires_at }: Static<typeof Key>): Identity {
  return Object.freeze({
    // Consumers of two tenants may have one name, and are two callers.
    id: `auth-api-key:${tenant === undefined ? '' : `${JSON.stringify(tenant)}/`}${consumer}`,
    consumer,
    tenant,
    scopes,
    claims: claims as Identity['claims'],
    credential: prefix,
    expiresAtMs: expires_at === undefined ? undefined : Date.parse(expires_at),
  });
}

export default definePlugin({
  name: 'auth-api-key',
  version: '1.0.0',
  description: 'Knows callers by API keys in X-API-Key or Authorization: Bearer.',
  phase: 'identity',
  config: Config,
  reads: ['endpoint', 'headers.authorization', 'headers.x-api-key', 'repeatedHeaders'],
  changes: [],

  check({ keys }) {
    const seen = new Map<string, number>();
    return keys.flatMap(({ hash, expires_at, endpoints_below = '' }, index) => {
      const own = `${hash} ${endpoints_below}`;
      const first = seen.get(own);
      seen.set(own, index);
      if (first !== undefined)
        return [
          {
            path: `keys[${index}].hash`,
            message: `is that of keys[${first}] too`,
            hint: 'leave one of them out',
          },
        ];
      if (expires_at === undefined || !Number.isNaN(Date.parse(expires_at))) return [];
      return [
        {
          path: `keys[${index}].expires_at`,
          message: 'is no time',
          hint: 'for example 2027-01-31T00:00:00Z',
        },
      ];
    });
  },

  hooks({ hash_key, keys }, { clock }) {
    // Found by its digest: how long that takes says nothing about any key.
    const known = knownKeys(keys);
    const remembered = new Map<string, Known>();

    function identify({ endpoint, headers, repeatedHeaders }: Ctx): Identity | Refusal | undefined {
      const key = headers['x-api-key'] ?? bearerToken(headers.authorization);
      if (key === undefined) return undefined;
      if (repeatedHeaders.includes('x-api-key') || repeatedHeaders.includes('authorization'))
        return refused('the credential was sent more than once');
      const identity = hereOf(remembered.get(key) ?? found(key), endpoint, key);
      if (identity instanceof Refusal || identity === undefined) {
        // A token of another kind is for another plugin to know; whatever is in X-API-Key is ours.
        return (
          identity ?? (headers['x-api-key'] === undefined ? undefined : refused('X-API-Key holds no API key'))
        );
      }
      if (identity.expiresAtMs === undefined || clock.now() < identity.expiresAtMs) return identity;
      return refused(`API key ${key.slice(0, PREFIX_LENGTH)} has expired`);
    }

    /** Undefined for what is no API key. */
    function found(key: string): Known | Refusal | undefined {
      if (!KEY.test(key)) return undefined;
      const keysOfHash = known.get(hashOf(key, hash_key));
      if (keysOfHash === undefined) return unknown(key);
      const one = keysOfHash.map(holderOf).sort((a, b) => b.below.length - a.below.length);
      if (remembered.size >= MAX_REMEMBERED_COUNT) remembered.clear();
      remembered.set(key, one);
      return one;
    }

    return { identify, challenge: () => 'Bearer realm="sluice"' };
  },
});

/** Whose key it is, by the paths below which it counts; the longest is asked first. */
type Known = readonly Holder[];

interface Holder {
  readonly below: string;
  readonly identity: Identity;
}

/** Of keys that go on when others come and go. */
const holders = new WeakMap<Static<typeof Key>, Holder>();

function holderOf(key: Static<typeof Key>): Holder {
  let holder = holders.get(key);
  if (holder === undefined) {
    holder = { below: key.endpoints_below ?? '', identity: identityOf(key) };
    holders.set(key, holder);
  }
  return holder;
}

/** By their hashes. Whose they are is made out when they are used: there may be very many of them. */
function knownKeys(keys: readonly Static<typeof Key>[]): ReadonlyMap<string, readonly Static<typeof Key>[]> {
  const known = new Map<string, readonly Static<typeof Key>[]>();
  for (const key of keys) {
    const others = known.get(key.hash);
    known.set(key.hash, others === undefined ? [key] : [...others, key]);
  }
  return known;
}

function hereOf(
  found: Known | Refusal | undefined,
  endpoint: string,
  key: string,
): Identity | Refusal | undefined {
  if (found === undefined || found instanceof Refusal) return found;
  for (const { below, identity } of found) if (endpoint.startsWith(below)) return identity;
  return unknown(key);
}

function unknown(key: string): Refusal {
  return refused(`API key ${key.slice(0, PREFIX_LENGTH)} is not known here`);
}

interface Ctx {
  readonly endpoint: string;
  readonly headers: { readonly authorization: string | undefined; readonly 'x-api-key': string | undefined };
  readonly repeatedHeaders: readonly string[];
}

function refused(message: string): Refusal {
  return new Refusal('unauthenticated', message, {
    headers: [['WWW-Authenticate', 'Bearer realm="sluice", error="invalid_token"']],
  });
}
