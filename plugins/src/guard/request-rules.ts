/** The rules about what callers send, compiled. */
import { BlockList, isIP, isIPv6 } from 'node:net';
import type { Json, JsonObject, Target } from '@sluice/sdk';
import { CompiledTextPatterns } from '../matching/text-patterns.js';
import { WITH_TARGET } from '../method-targets.js';
import { compilePatterns, type Matches } from '../patterns.js';
import { parsePointer } from '../pointer.js';
import { addressesIn, HOST_MEMBER, hostsIn } from './addresses.js';
import { type Config, JSON_RULES } from './config.js';
import { hasPrototypeMember, hasRepeatedName } from './json-text.js';
import { readings } from './readings.js';
import { type BuiltInRule, RULE_SETS, type RuleSet, type Text } from './rules/index.js';

/** A rule that a call falls under. */
export interface Hit {
  readonly id: string;
  /** What the caller is told. */
  readonly reason: string;
  readonly action: 'deny' | 'flag';
}

/** What is held against the rules. */
export interface Asked {
  readonly method: string;
  readonly targets: readonly Pick<Target, 'upstream' | 'name'>[];
  /** Where texts are looked for: the arguments, or the parameters of what has none. */
  readonly value: JsonObject;
  readonly params: JsonObject;
  readonly paramsJson: string;
}

/** Texts of one request that are looked at; more are an attack by themselves, and refused. */
const MAX_TEXT_COUNT = 100_000;
const MAX_DEPTH = 64;

interface Located extends Text {
  readonly path: readonly string[];
}

interface ScopedSet {
  readonly isFor: Matches;
  readonly action: Hit['action'];
  readonly rules: readonly BuiltInRule[];
  readonly read: RuleSet['read'];
}

interface OwnRule {
  readonly isFor: Matches;
  readonly hit: Hit;
  readonly at: readonly (readonly string[])[];
  readonly isAlways: boolean;
  readonly isIn: (text: Text) => boolean;
}

export class RequestRules {
  private readonly sets: readonly ScopedSet[];
  private readonly json: readonly {
    readonly isFor: Matches;
    readonly ids: readonly string[];
    readonly action: Hit['action'];
  }[];
  private readonly own: readonly OwnRule[];

  constructor({ sets, rules }: Pick<Config, 'sets' | 'rules'>) {
    this.sets = sets.flatMap(({ set, targets, exclude, action }) => {
      const found = RULE_SETS.find(({ name }) => name === set);
      if (found === undefined) return [];
      const own = found.rules.filter(({ id }) => !exclude.includes(id));
      return [{ isFor: compilePatterns(targets), action, rules: own, read: found.read }];
    });
    this.json = sets
      .filter(({ set }) => set === 'json')
      .map(({ targets, exclude, action }) => ({
        isFor: compilePatterns(targets),
        ids: Object.keys(JSON_RULES).filter((id) => !exclude.includes(id)),
        action,
      }));
    this.own = rules.map(ownRule);
  }

  /** All rules that a request falls under, those that refuse it first; once there is one, no other of its set. */
  hits(asked: Asked): readonly Hit[] {
    const { method, targets } = asked;
    // What reaches a server without anybody knowing whose it is falls under all rules but those for certain targets.
    const isUnknown = targets.length === 0 && WITH_TARGET.has(method);
    const isFor = (matches: Matches) => isUnknown || targets.some(matches);
    const sets = this.sets.filter((each) => isFor(each.isFor));
    const own = this.own.filter((each) => (each.isAlways ? targets.some(each.isFor) : isFor(each.isFor)));
    const hits = this.json
      .filter((each) => targets.length === 0 || isFor(each.isFor))
      .flatMap((each) => jsonHits(each, asked));
    if (sets.length > 0 || own.length > 0) {
      const texts: Located[] = [];
      collect(asked.value, [], '', texts, own.length > 0);
      if (texts.length >= MAX_TEXT_COUNT)
        hits.push({ id: 'json-size', reason: 'it has more texts than are looked at', action: 'deny' });
      for (const set of sets) hits.push(...setHits(set, texts));
      for (const rule of own) if (isOwnHit(rule, texts)) hits.push(rule.hit);
    }
    return hits.length < 2
      ? hits
      : [...hits].sort((a, b) => Number(a.action === 'flag') - Number(b.action === 'flag'));
  }

  /** The rule by which nobody may call a target, whatever the arguments. */
  blocked(target: Pick<Target, 'upstream' | 'name'>): Hit | undefined {
    return this.own.find((each) => each.isAlways && each.hit.action === 'deny' && each.isFor(target))?.hit;
  }
}

function jsonHits(
  { ids, action }: { readonly ids: readonly string[]; readonly action: Hit['action'] },
  { params, paramsJson }: Asked,
): Hit[] {
  return ids.flatMap((id) => {
    const isHit =
      id === 'json-repeated-name'
        ? hasRepeatedName(paramsJson, params)
        : hasPrototypeMember(params, paramsJson);
    return isHit
      ? [{ id, reason: `the arguments hold ${JSON_RULES[id as keyof typeof JSON_RULES]}`, action }]
      : [];
  });
}

function setHits({ rules, read, action }: ScopedSet, texts: readonly Located[]): Hit[] {
  for (const { text, member } of texts) {
    for (const each of readings(text, read)) {
      const found = rules.find((rule) => rule.isIn({ text: each, member }));
      if (found !== undefined) return [{ id: found.id, reason: `the arguments hold ${found.finds}`, action }];
    }
  }
  return [];
}

function isOwnHit({ at, isAlways, isIn }: OwnRule, texts: readonly Located[]): boolean {
  if (isAlways) return true;
  return texts.some(
    ({ text, member, path }) =>
      (at.length === 0 || at.some((pointer) => isBelow(path, pointer))) &&
      readings(text).some((each) => isIn({ text: each, member })),
  );
}

function isBelow(path: readonly string[], pointer: readonly string[]): boolean {
  return (
    path.length >= pointer.length && pointer.every((step, index) => step === '*' || step === path[index])
  );
}

function ownRule({
  id,
  reason,
  targets,
  at,
  patterns,
  ignore_case,
  paths,
  hosts,
  action,
}: Config['rules'][number]): OwnRule {
  const compiled = new CompiledTextPatterns(
    patterns.map((pattern, index) => ({ id: String(index), pattern, ignoresCase: ignore_case })),
  );
  const isPath = pathTest(paths);
  const isHost = hostTest(hosts);
  return {
    isFor: compilePatterns(targets),
    hit: { id, reason, action },
    at: at.map(parsePointer),
    isAlways: patterns.length + paths.length + hosts.length === 0,
    isIn: (text) => compiled.found(text.text).length > 0 || isPath(text.text) || isHost(text),
  };
}

/** Paths are compared as they are resolved; whether capital letters count is a matter of the system, so they do not. */
function pathTest(paths: readonly string[]): (text: string) => boolean {
  if (paths.length === 0) return () => false;
  const known = paths.map((path) => resolved(path).replace(/\/$/, ''));
  return (text) =>
    text.split(/[\s"'=,;()<>|]+/).some((word) => {
      const own = resolved(word.replace(/^file:\/{2,3}(?=\/|[a-z]:)/i, ''));
      return known.some((path) => own === path || own.startsWith(`${path}/`));
    });
}

function resolved(path: string): string {
  const out: string[] = [];
  const own = path.replace(/\\/g, '/').toLowerCase();
  for (const step of own.split('/')) {
    if (step === '' || step === '.') continue;
    if (step === '..') out.pop();
    else out.push(step);
  }
  return (own.startsWith('/') ? '/' : '') + out.join('/');
}

function hostTest(hosts: readonly string[]): (text: Text) => boolean {
  if (hosts.length === 0) return () => false;
  const list = new BlockList();
  const names: Matches[] = [];
  for (const host of hosts) {
    const [address = '', prefix] = host.split('/');
    const family = isIPv6(address) ? 'ipv6' : 'ipv4';
    if (prefix !== undefined) list.addSubnet(address, Number(prefix), family);
    else if (isIP(address) !== 0) list.addAddress(address, family);
    else names.push(compilePatterns([`*:${host.toLowerCase()}`]));
  }
  return (text) =>
    hostsIn(text).some((name) =>
      names.some((matches) => matches({ upstream: '', name: name.replace(/\.$/, '') })),
    ) || addressesIn(text).some((each) => list.check(each.text, each.family));
}

/**
 * Texts, names of members, and numbers as texts.
 *
 * @param withNumbers false where only those count that can be an address.
 */
function collect(
  value: Json | undefined,
  path: readonly string[],
  member: string,
  texts: Located[],
  withNumbers: boolean,
): void {
  if (texts.length >= MAX_TEXT_COUNT) return;
  if (typeof value === 'string') texts.push({ text: value, member, path });
  else if (typeof value === 'number') {
    // Of the rules that come with the plugin a number can be an address, and nothing else.
    if (withNumbers || HOST_MEMBER.test(member)) texts.push({ text: String(value), member, path });
  } else if (typeof value !== 'object' || value === null) return;
  else if (path.length >= MAX_DEPTH) texts.push({ text: JSON.stringify(value), member, path });
  else if (Array.isArray(value)) {
    // An entry of a list is called as the list is.
    for (const [index, each] of value.entries())
      collect(each as Json, [...path, String(index)], member, texts, withNumbers);
  } else {
    for (const [name, each] of Object.entries(value)) {
      texts.push({ text: name, member: '', path: [...path, name] });
      collect(each as Json, [...path, name], name, texts, withNumbers);
    }
  }
}
