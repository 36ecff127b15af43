/** Conditions of a list: `name=files*`, `label.team=search`, `region=eu`, joined by commas. */
import type { Resource, ResourceKey } from '@sluice/proto/cluster';
import { AdminError } from '../admin-error.js';

export type Filter = (key: ResourceKey, resource: Resource) => boolean;

const MAX_FILTER_LENGTH = 1_000;

/** @throws AdminError for a condition that is none */
export function parseFilter(text: string): Filter {
  if (text.length > MAX_FILTER_LENGTH)
    throw AdminError.field('filter', `has more than ${MAX_FILTER_LENGTH} characters`);
  const conditions = text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
    .map(condition);
  return (key, resource) => conditions.every((holds) => holds(key, resource));
}

function condition(text: string): Filter {
  const [, field = '', pattern = ''] = /^([^=]+)=(.*)$/.exec(text) ?? [];
  const matches = glob(pattern.trim());
  const name = field.trim();
  if (name === 'name') return (key) => matches(key.name);
  // What names no region is for all of them.
  if (name === 'region') return (_, { regions }) => regions.length === 0 || regions.some(matches);
  if (name.startsWith('label.')) {
    const label = name.slice('label.'.length);
    return (_, { labels }) => Object.hasOwn(labels, label) && matches(labels[label] as string);
  }
  throw AdminError.field(
    'filter',
    `${JSON.stringify(text)} is no condition; write name=files*, label.team=search or region=eu`,
  );
}

/** `*` stands for any characters. Each piece is taken at its first place, so that nothing is ever gone over twice. */
function glob(pattern: string): (text: string) => boolean {
  const [first = '', ...others] = pattern.split('*');
  const last = others.pop();
  if (last === undefined) return (text) => text === pattern;
  return (text) => {
    if (!text.startsWith(first)) return false;
    let from = first.length;
    for (const piece of others) {
      const found = text.indexOf(piece, from);
      if (found === -1) return false;
      from = found + piece.length;
    }
    return text.length - last.length >= from && text.endsWith(last);
  };
}
