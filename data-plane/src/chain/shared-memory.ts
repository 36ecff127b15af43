/** Memory that the workers of a node share for their plugins: made by whoever starts them, before they need it. */
import { builtIn } from '@sluice/plugins';
import type { ResolvedConfiguration, ResolvedPlugin } from '@sluice/proto';

/** By the name of the binding; see {@link ofTrial}. */
export type SharedMemory = ReadonlyMap<string, SharedArrayBuffer>;

type WithPlugins = Pick<ResolvedConfiguration, 'plugins' | 'trial'>;

/** Names the memory of a binding that is another one in the revision that some callers are given. */
export function ofTrial(binding: string): string {
  return `${binding} (trial)`;
}

/** All bindings that may have memory, with its names. */
export function* memoryNames({
  plugins,
  trial,
}: WithPlugins): Generator<[string, ResolvedPlugin], void, void> {
  for (const resolved of plugins) yield [resolved.name, resolved];
  if (trial === undefined) return;
  const same = new Set(plugins);
  for (const resolved of trial.configuration.plugins)
    if (!same.has(resolved)) yield [ofTrial(resolved.name), resolved];
}

/** How much each needs; what goes on unchanged is not checked again. */
const sizes = new WeakMap<ResolvedPlugin, number>();

/** What was there before is kept where its size stays the same, and with it what it counts. Yields after each plugin. */
export function* sharedMemory(
  configuration: WithPlugins,
  before: SharedMemory,
): Generator<void, SharedMemory, void> {
  const memory = new Map<string, SharedArrayBuffer>();
  for (const [name, resolved] of memoryNames(configuration)) {
    const bytes = sizes.get(resolved) ?? (yield* sizeOf(resolved));
    sizes.set(resolved, bytes);
    const old = before.get(name);
    if (bytes > 0) memory.set(name, old?.byteLength === bytes ? old : new SharedArrayBuffer(bytes));
    yield;
  }
  return memory;
}

/** 0 also for what cannot be used; whoever makes it says so. */
function* sizeOf({ plugin: wanted, config }: ResolvedPlugin): Generator<void, number, void> {
  const plugin = builtIn(wanted);
  // To check a configuration takes long where it is large.
  if (plugin?.sharesMemory !== true) return 0;
  const checked = yield* plugin.checkedInSteps(config);
  return checked.ok ? plugin.sharedBytes(checked.config) : 0;
}
