/** The scopes of a caller: those of the credential, and those that the facts about the caller are mapped to. */
import type { Attribute, ConfigProblem, Json, JsonObject } from '@sluice/sdk';

export interface Mappings {
  /** Names of claims that are looked at. Empty: what stands before the first colon of each mapping. */
  readonly claims: readonly string[];
  /** Scopes by `claim:value`. */
  readonly mappings: Readonly<Record<string, readonly string[]>>;
}

interface Mapping {
  readonly claim: string;
  readonly value: string;
  readonly scopes: readonly string[];
}

export function mappingProblems({ claims, mappings }: Mappings): ConfigProblem[] {
  return Object.keys(mappings).flatMap((key) => {
    const message = mappingProblem(key, claims);
    return message === undefined ? [] : [{ path: `mappings.${key}`, ...message }];
  });
}

function mappingProblem(
  key: string,
  claims: readonly string[],
): { message: string; hint: string } | undefined {
  const hint = 'write claim:value, for example groups:Admin';
  const claim = claimOf(key, claims);
  if (claim === undefined && claims.length > 0)
    return { message: 'begins with none of `claims`', hint: `${hint}, and name the claim in \`claims\`` };
  if (claim === undefined) return { message: 'has no colon', hint };
  if (claim === '' || claim.length + 1 === key.length) return { message: 'lacks a claim or a value', hint };
  if (claims.length === 0 && /^https?:\/\//.test(key))
    return { message: 'begins with a URL, so its colon says nothing', hint: 'name the claim in `claims`' };
  return undefined;
}

/** The claim that a mapping speaks of: the longest that is named, for `a` and `a:b` may both be claims. */
function claimOf(key: string, claims: readonly string[]): string | undefined {
  if (claims.length > 0)
    return claims
      .filter((claim) => key.startsWith(`${claim}:`))
      .sort((a, b) => b.length - a.length)
      .at(0);
  const colon = key.indexOf(':');
  return colon === -1 ? undefined : key.slice(0, colon);
}

function compiled({ claims, mappings }: Mappings): Mapping[] {
  return Object.entries(mappings).map(([key, scopes]) => {
    const claim = claimOf(key, claims) ?? key;
    return { claim, value: key.slice(claim.length + 1), scopes };
  });
}

/** What has to be declared to look at the claims. */
export function claimReads(config: Mappings): Attribute[] {
  const names = new Set(compiled(config).flatMap(({ claim }) => [claim, rootOf(claim)]));
  return [...names].map((name) => `principal.claims.${name}` as const);
}

/** `realm_access.roles` stands in `realm_access`, unless a claim has just that name. */
function rootOf(claim: string): string {
  const dot = claim.indexOf('.');
  return dot <= 0 || claim.includes('/') ? claim : claim.slice(0, dot);
}

interface Caller {
  readonly scopes: readonly string[];
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Makes the function that says what a caller was granted. */
export function compileGranted(config: Mappings): (caller: Caller) => ReadonlySet<string> {
  const mappings = compiled(config);
  const values = new Map(mappings.map(({ claim }) => [claim, new Map<string, string[]>()]));
  for (const { claim, value, scopes } of mappings) values.get(claim)?.set(value, [...scopes]);
  const claims = [...values.entries()];
  // Credentials are remembered by those who check them, so the same arrays come again and again, for every entry of a
  // list too. What was remembered counts only while every claim that was looked at is the very same value.
  const known = new WeakMap<readonly string[], { facts: unknown[]; granted: ReadonlySet<string> }>();
  return function grantedTo({ scopes, claims: said }) {
    const last = known.get(scopes);
    if (last?.facts.every((fact, index) => fact === claimValue(said, claims[index]?.[0] as string)))
      return last.granted;
    const granted = new Set(scopes);
    const facts = claims.map(([claim, mapped]) => {
      const fact = claimValue(said, claim);
      for (const value of Array.isArray(fact) ? fact : [fact])
        for (const scope of mapped.get(textOf(value) ?? '') ?? []) granted.add(scope);
      return fact;
    });
    known.set(scopes, { facts, granted });
    return granted;
  };
}

function claimValue(said: Caller['claims'], claim: string): unknown {
  const whole = said[claim];
  const root = rootOf(claim);
  if (root === claim || whole !== undefined) return whole;
  let value: unknown = said[root];
  for (const part of claim.slice(root.length + 1).split('.')) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    if (!Object.hasOwn(value, part)) return undefined;
    value = (value as JsonObject)[part] as Json;
  }
  return value;
}

/** Only plain values are compared: what an object inherits is none. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : undefined;
}
