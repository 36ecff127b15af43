/** Whether a node may listen where it was told to: beyond this machine somebody has to ask who calls. */
import { builtIn } from '@sluice/plugins';
import type { ResolvedConfiguration, ResolvedPlugin } from '@sluice/proto';
import { findPlugin } from '@sluice/sdk/manifest';
import { isLoopback } from '../front/guard.js';

/** Throws an Error that says what would be right. */
export function refuseExposure({ gateway, plugins }: ResolvedConfiguration): void {
  const { host, insecure } = gateway.listen;
  if (insecure || isLoopback(host) || authenticatesAll(plugins)) return;
  throw new Error(
    `${host} can be reached from other machines, and nothing asks them who they are: use a plugin that knows callers ` +
      'on all endpoints (auth-…), listen on 127.0.0.1, or start the node with --insecure where something in front ' +
      'authenticates',
  );
}

function authenticatesAll(plugins: readonly ResolvedPlugin[]): boolean {
  const identity = plugins.filter((each) => phaseOf(each) === 'identity');
  const letsAnybodyIn = identity.some(({ plugin }) => plugin === 'anonymous');
  return !letsAnybodyIn && identity.some(({ endpoints }) => endpoints.length === 0);
}

/** Manifests are read once for each use of a plugin, and not again for each revision that leaves it as it is. */
const phases = new WeakMap<ResolvedPlugin, string>();

function phaseOf(resolved: ResolvedPlugin): string | undefined {
  const phase = phases.get(resolved) ?? phaseFound(resolved);
  if (phase !== undefined) phases.set(resolved, phase);
  return phase;
}

function phaseFound({ plugin, hash }: ResolvedPlugin): string | undefined {
  const own = builtIn(plugin);
  if (own !== undefined) return own.phase;
  try {
    return findPlugin(plugin, hash ?? '').manifest.phase;
  } catch {
    return undefined;
  }
}
