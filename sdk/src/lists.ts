/** The methods whose results are lists, and how their entries are used. */
import type { Call, Target, TargetKind } from './exchange.js';
import type { JsonObject } from './identity.js';
import type { Outcome } from './outcome.js';
import type { ListEntry } from './plugin.js';

export interface ListRow {
  /** Member of the result that holds the entries, and of an entry that names it. */
  readonly member: string;
  readonly key: string;
  readonly kind: TargetKind;
  /** The method with which an entry is used. */
  readonly usedBy: string;
}

const ROWS: ReadonlyMap<string, ListRow> = new Map([
  ['tools/list', { member: 'tools', key: 'name', kind: 'tool', usedBy: 'tools/call' }],
  ['prompts/list', { member: 'prompts', key: 'name', kind: 'prompt', usedBy: 'prompts/get' }],
  ['resources/list', { member: 'resources', key: 'uri', kind: 'resource', usedBy: 'resources/read' }],
  [
    'resources/templates/list',
    { member: 'resourceTemplates', key: 'uriTemplate', kind: 'resource', usedBy: 'resources/read' },
  ],
]);

export function listRow(method: string): ListRow | undefined {
  return ROWS.get(method);
}

/** The entries of a result that is a list, with what each is at its upstream; undefined when it is no list. */
export function listOf(call: Pick<Call, 'targetOf'>, { member }: ListRow, came: Outcome) {
  const { result } = came;
  const entries = result?.[member];
  if (result === undefined || !Array.isArray(entries)) return undefined;
  const before = entries as readonly JsonObject[];
  const known: ListEntry[] = [];
  for (const entry of before) {
    const target = call.targetOf(entry);
    // What nobody can say where it comes from, nobody can decide about either.
    if (target !== undefined) known.push({ target, entry });
  }
  return {
    known,
    /** The result with these entries in place of its own. */
    with(own: readonly ListEntry[]): Outcome {
      const isSame = own.length === before.length && own.every(({ entry }, index) => entry === before[index]);
      return isSame ? came : came.withResult({ ...result, [member]: own.map(({ entry }) => entry) });
    },
  };
}

/**
 * What entries of a method's list are, by how their exposed names are found again.
 *
 * @param find upstream and name there of an exposed name; undefined when nobody has it.
 */
export function entryTargets(
  method: string,
  find: (exposed: string, kind: TargetKind) => Pick<Target, 'upstream' | 'name'> | undefined,
): Call['targetOf'] {
  const row = listRow(method);
  return (entry) => {
    if (row === undefined) return undefined;
    const exposed = entry[row.key];
    if (typeof exposed !== 'string') return undefined;
    const found = find(exposed, row.kind);
    return found === undefined ? undefined : { kind: row.kind, upstream: found.upstream, name: found.name };
  };
}
