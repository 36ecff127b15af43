/**
 * The methods of MCP as a table: where the target stands, whom it goes to, and whether it may be repeated.
 * Extensions are rows, not branches.
 */
import type { Era } from './revisions.js';

export interface MethodRow {
  readonly method: string;
  /** In which eras clients may send it. */
  readonly eras: readonly Era[];
  /** Where the name of what it is about stands in `params`. */
  readonly target: 'name' | 'uri' | 'taskId' | 'ref' | undefined;
  /**
   * Who answers: `one` upstream by target; `merge` of all; the gateway itself (`here`); all upstreams that the
   * session knows (`each`).
   */
  readonly goes: 'one' | 'merge' | 'here' | 'each';
  /** True when sending it again cannot do anything twice. */
  readonly repeatable: boolean;
  /** For `merge`: the member of the result that holds the entries, and the capability that it needs. */
  readonly list?: 'tools' | 'prompts' | 'resources' | 'resourceTemplates' | undefined;
  /** Which field `Mcp-Name` repeats (2026-07-28, streamable HTTP, "Standard Request Headers"). */
  readonly nameHeader?: 'name' | 'uri' | undefined;
}

const BOTH: readonly Era[] = ['modern', 'legacy'];
const MODERN: readonly Era[] = ['modern'];
const LEGACY: readonly Era[] = ['legacy'];

const rows: readonly MethodRow[] = [
  { method: 'tools/call', eras: BOTH, target: 'name', goes: 'one', repeatable: false, nameHeader: 'name' },
  { method: 'tools/list', eras: BOTH, target: undefined, goes: 'merge', repeatable: true, list: 'tools' },
  { method: 'prompts/get', eras: BOTH, target: 'name', goes: 'one', repeatable: true, nameHeader: 'name' },
  { method: 'prompts/list', eras: BOTH, target: undefined, goes: 'merge', repeatable: true, list: 'prompts' },
  { method: 'resources/read', eras: BOTH, target: 'uri', goes: 'one', repeatable: true, nameHeader: 'uri' },
  {
    method: 'resources/list',
    eras: BOTH,
    target: undefined,
    goes: 'merge',
    repeatable: true,
    list: 'resources',
  },
  {
    method: 'resources/templates/list',
    eras: BOTH,
    target: undefined,
    goes: 'merge',
    repeatable: true,
    list: 'resourceTemplates',
  },
  { method: 'completion/complete', eras: BOTH, target: 'ref', goes: 'one', repeatable: true },
  { method: 'server/discover', eras: MODERN, target: undefined, goes: 'here', repeatable: true },
  { method: 'subscriptions/listen', eras: MODERN, target: undefined, goes: 'each', repeatable: true },
  { method: 'initialize', eras: LEGACY, target: undefined, goes: 'here', repeatable: true },
  { method: 'ping', eras: LEGACY, target: undefined, goes: 'here', repeatable: true },
  { method: 'logging/setLevel', eras: LEGACY, target: undefined, goes: 'each', repeatable: true },
  { method: 'resources/subscribe', eras: LEGACY, target: 'uri', goes: 'one', repeatable: true },
  { method: 'resources/unsubscribe', eras: LEGACY, target: 'uri', goes: 'one', repeatable: true },
];

const table = new Map(rows.map((row) => [row.method, row]));

/** The row of a method, or undefined: then `/mcp/{upstream}` relays it as it is and `/mcp` does not know it. */
export function methodRow(method: string): MethodRow | undefined {
  return table.get(method);
}

const CLIENT_NOTIFICATIONS: ReadonlySet<string> = new Set([
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/roots/list_changed',
]);

/** True for the notifications that revisions of MCP let clients send. */
export function isClientNotification(method: string): boolean {
  return CLIENT_NOTIFICATIONS.has(method);
}
