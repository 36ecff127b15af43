/** Methods of MCP by what they are about, as plugins that decide tell them apart. */
import type { TargetKind } from '@sluice/sdk';

/** Methods of MCP that are about nothing by themselves. What lists show is decided entry by entry. */
export const WITHOUT_TARGET: ReadonlySet<string> = new Set([
  'initialize',
  'logging/setLevel',
  'ping',
  'prompts/list',
  'resources/list',
  'resources/templates/list',
  'server/discover',
  'subscriptions/listen',
  'tools/list',
]);

/** Methods that are about something; what it is of, where nobody knows the name. */
export const WITH_TARGET: ReadonlyMap<string, readonly TargetKind[]> = new Map([
  ['completion/complete', ['prompt', 'resource']],
  ['prompts/get', ['prompt']],
  ['resources/read', ['resource']],
  ['resources/subscribe', ['resource']],
  ['resources/unsubscribe', ['resource']],
  ['tools/call', ['tool']],
]);
