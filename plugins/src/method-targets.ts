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

/** Methods that a mistyped one may stand for; undefined for one of MCP, and for others, which extensions may bring. */
export function likelyMethods(method: string): readonly string[] | undefined {
  const known = [...WITHOUT_TARGET, ...WITH_TARGET.keys()];
  if (known.includes(method)) return undefined;
  const [family = ''] = method.split('/', 1);
  // `tool/call`, `tools/cal`, `Tools/call`.
  const near = known.filter((each) => {
    const [own = ''] = each.split('/', 1);
    return own === family.toLowerCase() || own === `${family.toLowerCase()}s`;
  });
  return near.length === 0 ? undefined : near;
}
