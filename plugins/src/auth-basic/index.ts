/**
 * Knows callers by user and password in `Authorization: Basic` (RFC 7617). The configuration holds scrypt hashes; a
 * pair that was right is remembered for a while under a keyed digest, so that only the first request waits for a hash.
 */
import { createHmac, randomBytes } from 'node:crypto';
import {
  type ConfigProblem,
  Duration,
  definePlugin,
  durationMs,
  frozen,
  type Identity,
  type MaybePromise,
  Refusal,
  Secret,
  type Static,
  Type,
} from '@sluice/sdk';
import { LRUCache } from 'lru-cache';
import { consumerName, ENDPOINTS_BELOW, IDENTITY_FIELDS } from '../identity-fields.js';
import { HashingQueue } from './hashing-queue.js';
import { isPassword, type PasswordHash, parsePasswordHash } from './password.js';

const CHALLENGE = 'Basic realm="sluice", charset="UTF-8"';
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i;
/** Longer ones are refused before anything is computed. */
const MAX_FIELD_LENGTH = 1_024;
const MAX_CACHE_TTL_MS = 3_600_000;
const MAX_REMEMBERED_COUNT = 10_000;
const RETRY_AFTER_S = 5;

const User = Type.Object(
  {
    user: Type.String({ minLength: 1, maxLength: 128, description: 'The name, without a colon.' }),
    password_hash: Secret({
      maxLength: 256,
      description: 'What `sluice keys hash-password` printed: $scrypt$ln=15,r=8,p=3$….',
    }),
    consumer: Type.Optional(consumerName('Who that is; default the user.')),
    ...IDENTITY_FIELDS,
    endpoints_below: ENDPOINTS_BELOW,
  },
  { additionalProperties: false },
);
type User = Static<typeof User>;

const Config = Type.Object(
  {
    users: Type.Array(User, { default: [], maxItems: 10_000, description: 'The users that are known.' }),
    cache_ttl: Duration({
      default: '5m',
      description: 'How long a pair that was right is remembered, at most 1h; 0s hashes for every request.',
    }),
  },
  { additionalProperties: false },
);

interface Ctx {
  readonly endpoint: string;
  readonly headers: { readonly authorization: string | undefined };
  readonly repeatedHeaders: readonly string[];
}

interface Known {
  readonly user: string;
  /** What paths of endpoints have to begin with, for the user to be known there. */
  readonly below: string;
  readonly identity: Identity;
  readonly hash: PasswordHash;
}

export default definePlugin({
  name: 'auth-basic',
  version: '1.0.0',
  description: 'Knows callers by user and password in Authorization: Basic.',
  phase: 'identity',
  config: Config,
  reads: ['endpoint', 'headers.authorization', 'repeatedHeaders'],
  changes: [],

  check({ users, cache_ttl }) {
    const seen = new Map<string, number>();
    const problems = users.flatMap((user, index) => userProblems(user, index, seen));
    if (durationMs(cache_ttl) > MAX_CACHE_TTL_MS)
      problems.push({ path: 'cache_ttl', message: 'is too long', hint: 'at most 1h' });
    return problems;
  },

  hooks(config, { clock }) {
    const all = config.users.map(knownUser);
    const users = new Map<string, Known[]>();
    for (const one of all) users.set(one.user, [...(users.get(one.user) ?? []), one]);
    for (const same of users.values()) same.sort((a, b) => b.below.length - a.below.length);
    const belows = [...new Set(all.map(({ below }) => below))].filter((below) => below !== '');
    const places = new Map<string, string>();
    const cacheTtlMs = durationMs(config.cache_ttl);
    const secret = randomBytes(32);
    const remembered = new LRUCache<string, { readonly identity: Identity; readonly untilMs: number }>({
      max: MAX_REMEMBERED_COUNT,
    });
    const pending = new Map<string, Promise<Identity | Refusal>>();
    const queue = new HashingQueue();
    const digestOf = (text: string) => createHmac('sha256', secret).update(text).digest('base64');

    function identify({
      endpoint,
      headers,
      repeatedHeaders,
    }: Ctx): MaybePromise<Identity | Refusal | undefined> {
      const { authorization } = headers;
      if (authorization === undefined) return undefined;
      if (repeatedHeaders.includes('authorization'))
        return /\bbasic /i.test(authorization)
          ? refused('the credential was sent more than once')
          : undefined;
      if (!/^basic /i.test(authorization)) return undefined;
      if (authorization.length > MAX_FIELD_LENGTH)
        return refused(`user and password are longer than ${MAX_FIELD_LENGTH} bytes`);
      const digest = digestOf(`${placeOf(endpoint)} ${authorization}`);
      const known = remembered.get(digest);
      if (known !== undefined && clock.now() < known.untilMs) return known.identity;
      return pending.get(digest) ?? meet(authorization, endpoint, digest);
    }

    /** The same for endpoints at which the same users are known. */
    function placeOf(endpoint: string): string {
      if (belows.length === 0) return '';
      let place = places.get(endpoint);
      if (place === undefined) {
        place = belows.filter((below) => endpoint.startsWith(below)).join(' ');
        places.set(endpoint, place);
      }
      return place;
    }

    function meet(authorization: string, endpoint: string, digest: string): MaybePromise<Identity | Refusal> {
      const pair = pairOf(authorization);
      if (pair === undefined) return refused('this is no user and password as RFC 7617 has them, in UTF-8');
      const user = users.get(pair.user)?.find(({ below }) => endpoint.startsWith(below));
      // An unknown user costs what some known one costs, and always the same one, so no answer tells the two apart.
      const { hash } = user ?? (all[Number.parseInt(digestHex(pair.user), 16) % all.length] as Known);
      const checked = queue.run(() => isPassword(pair.password, hash));
      if (checked === undefined) return busy();
      const answer = checked
        .then((isRight) => {
          if (!isRight || user === undefined) return refused('user or password is wrong');
          if (cacheTtlMs > 0)
            remembered.set(digest, { identity: user.identity, untilMs: clock.now() + cacheTtlMs });
          return user.identity;
        })
        .finally(() => pending.delete(digest));
      pending.set(digest, answer);
      return answer;
    }

    function digestHex(user: string): string {
      return createHmac('sha256', secret).update(user).digest('hex').slice(0, 12);
    }

    return { identify, challenge: () => CHALLENGE };
  },
});

/** @param seen where each name was first seen. */
function userProblems(each: User, index: number, seen: Map<string, number>): ConfigProblem[] {
  const { user, password_hash, endpoints_below = '' } = each;
  const at = `users[${index}]`;
  // Of one that goes on, only whether there is another of its name is to be looked at.
  const isChecked = knownUsers.has(each);
  const isText = isChecked || !(user.includes(':') || /\p{Cc}/u.test(user) || user !== user.normalize('NFC'));
  if (!isText)
    return [
      { path: `${at}.user`, message: 'has a colon, a control character or is not in Unicode form NFC' },
    ];
  const own = `${user}:${endpoints_below}`;
  const first = seen.get(own);
  if (first !== undefined)
    return [{ path: `${at}.user`, message: `is that of users[${first}] too`, hint: 'leave one of them out' }];
  seen.set(own, index);
  if (isChecked) return [];
  try {
    parsePasswordHash(password_hash);
    return [];
  } catch (error) {
    const hint = 'write what `sluice keys hash-password` prints';
    return [{ path: `${at}.password_hash`, message: (error as TypeError).message, hint }];
  }
}

/** Of users that go on when others come and go. */
const knownUsers = new WeakMap<User, Known>();

function knownUser(each: User): Known {
  const before = knownUsers.get(each);
  if (before !== undefined) return before;
  const { user, password_hash, consumer, tenant, scopes, claims, endpoints_below = '' } = each;
  const identity: Identity = frozen({
    // Users of two tenants may have one name, and are two callers.
    id: `auth-basic:${tenant === undefined ? '' : `${JSON.stringify(tenant)}/`}${user}`,
    consumer: consumer ?? user,
    tenant,
    scopes,
    claims: claims as Identity['claims'],
    credential: user,
  });
  const known = { user, below: endpoints_below, identity, hash: parsePasswordHash(password_hash) };
  knownUsers.set(each, known);
  return known;
}

/** RFC 7617, section 2.1: UTF-8, the same however it was composed, and no control characters. */
function pairOf(authorization: string): { user: string; password: string } | undefined {
  const encoded = BASIC.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  let text: string;
  try {
    text = UTF_8.decode(Buffer.from(encoded, 'base64'));
  } catch {
    return undefined;
  }
  const colon = text.indexOf(':');
  if (colon === -1 || /\p{Cc}/u.test(text)) return undefined;
  return { user: text.slice(0, colon).normalize('NFC'), password: text.slice(colon + 1) };
}

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function refused(message: string): Refusal {
  return new Refusal('unauthenticated', message, { headers: [['WWW-Authenticate', CHALLENGE]] });
}

function busy(): Refusal {
  const message = 'too many passwords are being checked at the moment';
  return new Refusal('limited', message, { headers: [['Retry-After', String(RETRY_AFTER_S)]] });
}
