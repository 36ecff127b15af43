/**
 * Limits how many wrong credentials an address may try. A unit is taken before the credential is looked at and put
 * back when it was right, so guesses that come at once pass no more often than guesses that come in turn.
 */
import { type Attribute, definePlugin, type Identity, Refusal, Type } from '@sluice/sdk';
import { addressKey } from '../buckets/address.js';
import type { Taken, Want } from '../buckets/bucket-store.js';
import { allowanceOf, RATE, rateProblems } from '../buckets/rate.js';
import { SharedBuckets } from '../buckets/shared-buckets.js';

const Config = Type.Object(
  {
    ...RATE,
    rate: Type.Integer({
      ...RATE.rate,
      default: 10,
      description: 'Wrong credentials that pass in each period.',
    }),
    burst: Type.Integer({
      default: 20,
      minimum: 1,
      maximum: 1_000_000,
      description:
        'Wrong credentials that pass at once after a pause. So many callers of one address can be checked at the same time.',
    }),
    credential_headers: Type.Array(Type.String({ pattern: "^[a-z0-9!#$%&'*+.^_`|~-]+$" }), {
      default: ['authorization', 'x-api-key'],
      minItems: 1,
      maxItems: 8,
      description:
        'Header fields, in lower case, that hold credentials. A request without any is no try: it asks which are wanted.',
    }),
    buckets: Type.Integer({
      default: 16_384,
      minimum: 16,
      maximum: 16_777_216,
      description: 'Addresses that there is room for, at 16 bytes each.',
    }),
  },
  { additionalProperties: false },
);

interface Ctx {
  readonly address: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
}

export default definePlugin({
  name: 'login-limit',
  version: '1.0.0',
  description: 'Limits how many wrong credentials an address may try.',
  phase: 'door',
  config: Config,
  reads: ({ credential_headers }) =>
    ['address', ...credential_headers.map((name) => `headers.${name}`)] as Attribute[],
  changes: [],
  sharedBytes: ({ buckets }) => SharedBuckets.bytesFor(buckets),
  check: (config) => rateProblems(config, ''),

  hooks(config, { shared, clock, metrics }) {
    const store = new SharedBuckets(shared, clock);
    const allowance = allowanceOf(config);

    function settle(found: Identity | Refusal, want: Want, taken: Taken): Identity | Refusal {
      if (found instanceof Refusal && found.kind === 'unauthenticated')
        metrics.count('failed_total', 'Wrong credentials.');
      else store.giveBack(want, taken);
      return found;
    }

    return {
      admission(ctx: Ctx, next) {
        if (!config.credential_headers.some((name) => ctx.headers[name] !== undefined)) return next();
        const want = { key: addressKey(ctx.address), allowance };
        const taken = store.take([want]);
        if (!taken.isAllowed) {
          metrics.count(
            'refused_total',
            'Requests that were refused unseen after too many wrong credentials.',
          );
          return refused(taken);
        }
        const found = next();
        return found instanceof Promise
          ? found.then((came) => settle(came, want, taken))
          : settle(found, want, taken);
      },
    };
  },
});

function refused({ states }: Taken): Refusal {
  const retryAfterMs = states[0]?.nextMs ?? 0;
  const seconds = Math.ceil(retryAfterMs / 1_000);
  const message = `too many wrong credentials from this address; try again in ${seconds} s`;
  return new Refusal('limited', message, {
    headers: [['Retry-After', String(seconds)]],
    data: { retry_after_ms: retryAfterMs },
  });
}
