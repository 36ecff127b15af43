/** Memory that the workers of a node share for their plugins: made by whoever starts them, before they need it. */
import { builtIn } from '@sluice/plugins';
import type { ResolvedConfiguration } from '@sluice/proto';

/** By the name of the binding. */
export type SharedMemory = ReadonlyMap<string, SharedArrayBuffer>;

/** What was there before is kept where its size stays the same, and with it what it counts. */
export function sharedMemory(
  { plugins }: ResolvedConfiguration,
  before: SharedMemory = new Map(),
): SharedMemory {
  const memory = new Map<string, SharedArrayBuffer>();
  for (const { name, plugin: wanted, config } of plugins) {
    const plugin = builtIn(wanted);
    const checked = plugin?.checked(config);
    if (plugin === undefined || checked?.ok !== true) continue;
    const bytes = plugin.sharedBytes(checked.config);
    const old = before.get(name);
    memory.set(name, old?.byteLength === bytes ? old : new SharedArrayBuffer(bytes));
  }
  return memory;
}
