/** What stands in a configuration of `auth-jwt`. */
import { type ConfigProblem, Duration, durationMs, Secret, type Static, Type } from '@sluice/sdk';
import { ClaimMapping } from '../tokens/claims.js';
import { ALGORITHMS, type VerificationKey } from '../tokens/keys.js';
import { isLoopback, urlOf } from '../tokens/urls.js';
import { verificationKey } from './given-key.js';

const MAX_CLOCK_SKEW_MS = 300_000;

const AlgorithmName = (description?: string) =>
  Type.Union(
    ALGORITHMS.map((name) => Type.Literal(name)),
    description === undefined ? {} : { description },
  );

export const Key = Type.Object(
  {
    kid: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        description: 'How tokens name it; without it the key is tried for every token of its kind.',
      }),
    ),
    algorithm: Type.Optional(
      AlgorithmName(
        'The one algorithm that it is for. Default HS256 for a secret, else all that go with its type.',
      ),
    ),
    secret: Type.Optional(
      Secret({
        minLength: 1,
        maxLength: 4_096,
        description:
          'A secret shared with the issuer, for HS256, HS384 or HS512: write ${SLUICE_JWT_SECRET}.',
      }),
    ),
    secret_encoding: Type.Union([Type.Literal('text'), Type.Literal('base64')], {
      default: 'text',
      description: 'Whether the bytes of the secret are its text, or what that means as base64.',
    }),
    pem: Type.Optional(
      Type.String({ maxLength: 16_384, description: 'Public key or certificate, -----BEGIN …' }),
    ),
    jwk: Type.Optional(
      Type.Record(Type.String(), Type.Unknown(), { description: 'Public JSON Web Key (RFC 7517).' }),
    ),
  },
  { additionalProperties: false },
);
export type Key = Static<typeof Key>;

const RequiredClaim = Type.Object(
  {
    claim: Type.String({ minLength: 1, maxLength: 256, description: 'Its path, for example org.id.' }),
    values: Type.Optional(
      Type.Array(Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
        minItems: 1,
        maxItems: 1_000,
        description: 'It has one of these; of a claim that is a list, one entry is enough. Default anything.',
      }),
    ),
  },
  { additionalProperties: false },
);
export type RequiredClaim = Static<typeof RequiredClaim>;

/** A bar ends the issuer in the id of an identity. */
const Issuer = Type.String({ minLength: 1, maxLength: 512, pattern: '^[^|]+$' });
const Audience = Type.String({ minLength: 1, maxLength: 512 });

export const Config = Type.Object(
  {
    issuer: Type.Union([Issuer, Type.Array(Issuer, { minItems: 1, maxItems: 64 })], {
      description: 'What `iss` says, letter by letter as the issuer writes it; one, or a list.',
    }),
    audience: Type.Optional(
      Type.Union([Audience, Type.Array(Audience, { minItems: 1, maxItems: 64 })], {
        description: 'What `aud` says, or one of its entries: the name of this gateway at the issuer.',
      }),
    ),
    any_audience: Type.Boolean({
      default: false,
      description: 'Takes tokens that were made for others too; only where the issuer serves nobody else.',
    }),
    algorithms: Type.Array(AlgorithmName(), {
      default: [...ALGORITHMS],
      minItems: 1,
      description: 'Algorithms that tokens may be signed with. Each key is good only for those of its type.',
    }),
    keys: Type.Array(Key, { default: [], maxItems: 64, description: 'The keys of the issuer.' }),
    jwks_uri: Type.Optional(
      Type.String({
        maxLength: 2_048,
        description:
          'Where the issuer publishes its keys, instead of `keys`: https://issuer.example.com/jwks.',
      }),
    ),
    allow_http: Type.Boolean({
      default: false,
      description:
        'Takes http:// for `jwks_uri`, on a network that nobody else is in. Loopback needs no leave.',
    }),
    clock_skew: Duration({
      default: '30s',
      description: 'How much the clock of the issuer may differ from ours, at most 5m.',
    }),
    required_claims: Type.Array(RequiredClaim, {
      default: [],
      maxItems: 64,
      description: 'What a token has beside iss, sub, exp and aud.',
    }),
    claims: ClaimMapping,
  },
  { additionalProperties: false },
);
export type Config = Static<typeof Config>;

export function listed(one: string | readonly string[] | undefined): readonly string[] {
  return typeof one === 'string' ? [one] : (one ?? []);
}

/** What the schema cannot say. */
export function configProblems(config: Config): readonly ConfigProblem[] {
  const { audience, any_audience, keys, jwks_uri, allow_http, clock_skew } = config;
  const problems: ConfigProblem[] = [];
  const add = (path: string, message: string, hint: string) => problems.push({ path, message, hint });
  if (audience === undefined && !any_audience)
    add('audience', 'is missing', 'name this gateway as the issuer does; without it tokens for others count');
  if (audience !== undefined && any_audience)
    add('any_audience', 'contradicts `audience`', 'leave one of them out');
  if (durationMs(clock_skew) > MAX_CLOCK_SKEW_MS) add('clock_skew', 'is too long', 'at most 5m');
  if (keys.length === 0 && jwks_uri === undefined)
    add('keys', 'are missing, and so is `jwks_uri`', 'say what signatures are checked with');
  if (keys.length > 0 && jwks_uri !== undefined)
    add('jwks_uri', 'stands beside `keys`', 'leave one of them out');
  const problem = jwks_uri === undefined ? undefined : urlProblem(jwks_uri, allow_http);
  if (problem !== undefined) add('jwks_uri', problem, 'for example https://issuer.example.com/jwks');
  return [...problems, ...keys.flatMap((key, index) => keyProblems(key, `keys[${index}]`, config))];
}

function keyProblems(key: Key, path: string, { algorithms }: Config): readonly ConfigProblem[] {
  const forms = (['secret', 'pem', 'jwk'] as const).filter((form) => key[form] !== undefined);
  const [form] = forms;
  if (form === undefined || forms.length > 1)
    return [{ path, message: `has ${forms.length} of secret, pem and jwk`, hint: 'give it exactly one' }];
  let made: VerificationKey;
  try {
    made = verificationKey(key);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const hint =
      'a secret of 32 bytes or more, or the public part of RSA (2048 bits), P-256, P-384, P-521, Ed25519';
    return [{ path: `${path}.${form}`, message: error.message, hint }];
  }
  if (algorithms.some((each) => made.algorithms.includes(each))) return [];
  const hint = `add one of ${made.algorithms.join(', ')} to \`algorithms\``;
  return [{ path, message: 'goes with none of the algorithms that are taken', hint }];
}

/** The answer never repeats the URL: it may hold a credential. */
function urlProblem(text: string, allowHttp: boolean): string | undefined {
  const url = urlOf(text);
  if (url === undefined) return 'is no URL';
  if (url.username !== '' || url.password !== '') return 'holds a credential';
  if (url.protocol === 'https:') return undefined;
  if (url.protocol !== 'http:') return 'is no URL of https';
  return allowHttp || isLoopback(url)
    ? undefined
    : 'is not encrypted, and whoever answers there can sign tokens: https is wanted outside of this machine';
}
