/** Which scopes the use of a tool, a prompt or a resource needs. */
import type { ConfigProblem, Target, TargetKind } from '@sluice/sdk';
import { compilePattern, type Matches, patternProblem } from '../patterns.js';
import { plainUri } from './spelling.js';

/** What has been found is remembered for this many targets, and for names of this length. */
const MAX_REMEMBERED_COUNT = 4_096;
const MAX_REMEMBERED_NAME_LENGTH = 256;

/** Scopes by pattern `upstream:name`. */
export type Patterns = Readonly<Record<string, readonly string[]>>;

/** What a use needs: of each list one scope or all, as the mode says. */
export type Need = readonly (readonly string[])[];

interface Permission {
  readonly upstream: string;
  readonly name: string;
  readonly matches: Matches;
  /** The same for a URI that was made plain. */
  readonly matchesPlain: Matches;
  readonly scopes: readonly string[];
  /** It speaks of this kind alone. */
  readonly isOwn: boolean;
}

export function patternProblems(field: string, patterns: Patterns): ConfigProblem[] {
  return Object.keys(patterns).flatMap((pattern) => {
    const message = /[\0-\x1f\x7f]/.test(pattern) ? 'holds a control character' : patternProblem(pattern);
    return message === undefined ? [] : [{ path: `${field}.${pattern}`, message }];
  });
}

/**
 * What uses need, by target. Undefined: nothing permits it.
 *
 * Of the patterns that match, one that covers less overrides one that covers all of that and more; of two that cover
 * the same, that of the kind alone counts; where neither covers the other, both count. So the order in which they are
 * written says nothing.
 */
export class Permissions {
  private readonly byKind: Readonly<Record<TargetKind, readonly Permission[]>>;
  private remembered = new Map<string, Map<string, Need | undefined>>();
  private rememberedCount = 0;

  constructor(all: Patterns, own: Readonly<Record<TargetKind, Patterns>>) {
    const ofKind = (kind: TargetKind) => [...compiled(all, false), ...compiled(own[kind], true)];
    this.byKind = { tool: ofKind('tool'), prompt: ofKind('prompt'), resource: ofKind('resource') };
  }

  needOf(target: Target): Need | undefined {
    const { kind, upstream, name } = target;
    const place = `${kind}:${upstream}`;
    const names = this.remembered.get(place);
    const known = names?.get(name);
    if (known !== undefined || names?.has(name)) return known;
    const need = this.find(target);
    if (name.length <= MAX_REMEMBERED_NAME_LENGTH) this.remember(place, name, need);
    return need;
  }

  private remember(place: string, name: string, need: Need | undefined): void {
    // Whoever asks for one name after the other costs the others a second look, and no memory.
    if (this.rememberedCount === MAX_REMEMBERED_COUNT) {
      this.remembered = new Map();
      this.rememberedCount = 0;
    }
    const names = this.remembered.get(place);
    if (names === undefined) this.remembered.set(place, new Map([[name, need]]));
    else names.set(name, need);
    this.rememberedCount += 1;
  }

  private find(target: Target): Need | undefined {
    const { kind, upstream, name } = target;
    const asWritten = decisive(this.byKind[kind].filter(({ matches }) => matches(target)));
    if (kind !== 'resource' || asWritten.length === 0 || asWritten.some(isExact)) return needs(asWritten);
    // A server may read the URI as its plain spelling, so what that needs is needed too.
    const plain = { upstream, name: plainUri(name) };
    if (plain.name === name) return needs(asWritten);
    const asRead = decisive(this.byKind[kind].filter(({ matchesPlain }) => matchesPlain(plain)));
    return asRead.length === 0 ? undefined : needs([...new Set([...asWritten, ...asRead])]);
  }
}

function compiled(patterns: Patterns, isOwn: boolean): Permission[] {
  return Object.entries(patterns).map(([pattern, scopes]) => {
    const colon = pattern.indexOf(':');
    const [upstream, name] = [pattern.slice(0, colon), pattern.slice(colon + 1)];
    const matchesPlain = compilePattern(`${upstream}:${plainUri(name)}`);
    return { upstream, name, matches: compilePattern(pattern), matchesPlain, scopes, isOwn };
  });
}

function isExact({ upstream, name }: Permission): boolean {
  return !upstream.includes('*') && !name.includes('*');
}

/** Those that no other overrides. */
function decisive(matching: readonly Permission[]): readonly Permission[] {
  return matching.filter((each) => !matching.some((other) => overrides(other, each)));
}

/** Only a wildcard takes the `*` of another pattern, so a pattern that matches another as a text covers it. */
function overrides(one: Permission, other: Permission): boolean {
  if (one === other || !other.matches(one)) return false;
  const coverTheSame = one.matches(other);
  return coverTheSame ? one.isOwn && !other.isOwn : true;
}

function needs(permissions: readonly Permission[]): Need | undefined {
  return permissions.length === 0 ? undefined : permissions.map(({ scopes }) => scopes);
}
