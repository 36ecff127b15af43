/** What the upstreams of a configuration list now, for a command that looks at it and serves nobody. */
import { randomBytes } from 'node:crypto';
import type { ResolvedConfiguration } from '@sluice/proto';
import type { JsonObject } from '@sluice/sdk';
import { type Logger, pino } from 'pino';
import { Plugins, type PluginsOptions } from './chain/plugins.js';
import { newNodeId, workerAddress } from './sessions/node-bus.js';
import { createSealer } from './sessions/seal.js';
import { Runtime } from './snapshot/snapshot.js';

const KEY_BYTES = 32;

/** One upstream, and the tools on its list, or why they are not known. */
export type OfferedTools =
  | { readonly upstream: string; readonly tools: readonly JsonObject[] }
  | { readonly upstream: string; readonly error: string };

/** Connects to the upstreams as a gateway does, asks each once, and ends the connections. */
export async function offeredTools(
  configuration: ResolvedConfiguration,
  log: Logger = pino({ level: 'silent' }),
): Promise<readonly OfferedTools[]> {
  const bare: ResolvedConfiguration = { ...configuration, plugins: [], servers: [] };
  const runtime = new Runtime(bare, {
    sealer: createSealer({ current: randomBytes(KEY_BYTES), previous: [] }),
    log,
    worker: workerAddress(newNodeId(), 0),
    // None are used.
    plugins: new Plugins({ log } as PluginsOptions),
    removed() {},
    released() {},
    sharedOfTrial: () => undefined,
    rerouted() {},
  });
  try {
    await runtime.apply(bare);
    runtime.discovery.start();
    await runtime.discovery.settled;
    return runtime.discovery.known.map(({ upstream: { name }, state, error, offer }) =>
      state === 'ready'
        ? { upstream: name, tools: offer.tools as readonly JsonObject[] }
        : { upstream: name, error: error ?? 'no answer in time' },
    );
  } finally {
    await runtime.close();
  }
}
