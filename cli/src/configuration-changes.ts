import { isDeepStrictEqual } from 'node:util';
import type { ResolvedConfiguration, ResolvedGateway } from '@sluice/proto';

/** Names in one field of a log line; more of them nobody reads there. */
const MAX_NAME_COUNT = 20;

interface Named {
  readonly name: string;
}

/** What a change of the configuration changes, as fields of a log line: names only, and nothing of their settings. */
export function configurationChanges(
  before: ResolvedConfiguration,
  after: ResolvedConfiguration,
): Readonly<Record<string, unknown>> {
  return {
    upstreams: after.upstreams.length,
    ...changesOf('upstreams', before.upstreams, after.upstreams),
    plugins: after.plugins.length,
    ...changesOf('plugins', before.plugins, after.plugins),
    ...field('gatewayChanged', changedSettings(before.gateway, after.gateway)),
  };
}

function changesOf(what: string, before: readonly Named[], after: readonly Named[]): Record<string, unknown> {
  const earlier = new Map(before.map((each) => [each.name, each]));
  const later = new Map(after.map((each) => [each.name, each]));
  const stays = ({ name }: Named) => earlier.has(name) && later.has(name);
  const order = (all: readonly Named[]) => all.filter(stays).map(({ name }) => name);
  const wasMoved = !isDeepStrictEqual(order(before), order(after));
  const isOther = (each: Named) => !isDeepStrictEqual(earlier.get(each.name), each);
  return {
    ...namesField(
      `${what}Added`,
      after.filter(({ name }) => !earlier.has(name)),
    ),
    ...namesField(
      `${what}Removed`,
      before.filter(({ name }) => !later.has(name)),
    ),
    ...namesField(
      `${what}Changed`,
      after.filter((each) => stays(each) && isOther(each)),
    ),
    ...(wasMoved && { [`${what}Reordered`]: true }),
  };
}

function namesField(name: string, all: readonly Named[]): Record<string, unknown> {
  return field(
    name,
    all.map((each) => each.name),
  );
}

function field(name: string, all: readonly string[]): Record<string, unknown> {
  if (all.length === 0) return {};
  const rest = all.length - MAX_NAME_COUNT;
  return { [name]: rest > 0 ? [...all.slice(0, MAX_NAME_COUNT), `and ${rest} more`] : all };
}

/** Groups of settings, and those that stand alone, as a file spells them. */
function changedSettings(before: ResolvedGateway, after: ResolvedGateway): string[] {
  const names = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof ResolvedGateway>;
  return [...names]
    .filter((name) => !isDeepStrictEqual(before[name], after[name]))
    .map((name) => name.replace(/Ms$/, '').replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`))
    .sort();
}
