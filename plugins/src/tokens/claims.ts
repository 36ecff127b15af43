/** From the claims of a token to the identity of its caller, as the configuration says it for the issuer. */
import { type Identity, type Json, type JsonObject, type Static, Type } from '@sluice/sdk';

const Path = Type.String({ minLength: 1, maxLength: 256 });
const Paths = (paths: readonly string[], description: string) =>
  Type.Array(Path, { default: [...paths], maxItems: 16, description });

/** A claim is named by its path: `scope`, `realm_access.roles`, `https://example.com/roles`. */
export const ClaimMapping = Type.Object(
  {
    subject: Paths(['sub'], 'Claims that name the caller; the first that is there counts.'),
    consumer: Paths(
      ['client_id', 'azp', 'appid', 'cid'],
      'Claims that name the client; the first that is there counts.',
    ),
    tenant: Paths(
      ['tid', 'org_id', 'tenant'],
      'Claims that name the tenant; the first that is there counts.',
    ),
    scopes: Paths(
      ['scope', 'scp'],
      'Claims with what the caller may do: text with spaces or a list. All that are there count.',
    ),
    scope_prefix: Type.String({
      default: '',
      maxLength: 2048,
      description:
        'What clients write in front of a scope when they ask for it, and the issuer leaves out in its tokens: with it, a scope has one name everywhere.',
    }),
  },
  {
    default: {},
    additionalProperties: false,
    description: 'Where in the claims of a token is what Sluice knows of a caller.',
  },
);
export type ClaimMapping = Static<typeof ClaimMapping>;

/** OpenID Connect Core, section 2, has 255 for `sub`; what is longer would be so in every line of a log. */
const MAX_NAME_LENGTH = 255;

/** A text that can name a caller, and stand in a line of a log. */
export function isName(value: unknown): value is string {
  return (
    typeof value === 'string' && value !== '' && value.length <= MAX_NAME_LENGTH && !/\p{C}/u.test(value)
  );
}

/** What a mapping makes of claims. */
export type MappedClaims = Pick<Identity, 'consumer' | 'tenant' | 'scopes'> & {
  readonly subject: string | undefined;
};

export function mapClaims(
  claims: JsonObject,
  { subject, consumer, tenant, scopes, scope_prefix }: ClaimMapping,
): MappedClaims {
  return {
    subject: firstText(claims, subject),
    consumer: firstText(claims, consumer),
    tenant: firstText(claims, tenant),
    scopes: [
      ...new Set(scopes.flatMap((path) => texts(claimAt(claims, path))).map((each) => scope_prefix + each)),
    ],
  };
}

/**
 * The claim at a path. Names of claims may have dots themselves (`https://example.com/roles`), so the longest name that
 * is there counts. Only what came with the token is looked at, never what all objects have.
 */
export function claimAt(claims: Json | undefined, path: string): Json | undefined {
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) return undefined;
  const object = claims as JsonObject;
  if (Object.hasOwn(object, path)) return object[path];
  for (let dot = path.lastIndexOf('.'); dot > 0; dot = path.lastIndexOf('.', dot - 1)) {
    const head = path.slice(0, dot);
    if (!Object.hasOwn(object, head)) continue;
    const found = claimAt(object[head], path.slice(dot + 1));
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Text alone: a caller named 1 and one named "1" are two. */
function firstText(claims: JsonObject, paths: readonly string[]): string | undefined {
  for (const path of paths) {
    const value = claimAt(claims, path);
    if (typeof value === 'string' && value !== '') return value;
  }
  return undefined;
}

function texts(value: Json | undefined): readonly string[] {
  if (typeof value === 'string') return value.split(' ').filter((each) => each !== '');
  if (Array.isArray(value)) return value.filter((each): each is string => typeof each === 'string');
  return [];
}
