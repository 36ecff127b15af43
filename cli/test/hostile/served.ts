/** Serves what was accepted, and asks it. */
import { type DataPlane, startDataPlane } from '@sluice/data-plane';
import { compile } from '@sluice/data-plane/compiler';
import { type ResourceState, sees } from '@sluice/proto/cluster';
import { pino } from 'pino';

/** What a node finds where resources only refer to something: right as an address, in a header and as a secret. */
const FOUND = `http://127.0.0.1:1/${'0123456789abcdef'.repeat(4)}`;

/** Of the gateway itself; the servers behind it are all away. */
const INITIALIZE = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
};

/** Undefined when it is. */
export async function whyNotServed(state: ResourceState): Promise<string | undefined> {
  const regions = new Set(['', ...[...state.entries()].flatMap(({ resource }) => resource.regions)]);
  for (const region of regions) {
    const view = { region, tenants: undefined };
    const changed = [...state.entries()].filter(({ resource }) => sees(view, resource));
    const { configuration } = compile(
      undefined,
      { changed, removed: [] },
      { lookup: { variable: () => FOUND, file: () => FOUND } },
    );
    const { tls: _, ...listen } = configuration.gateway.listen;
    const { metrics: _m, health: _h, admin: _a, stateDir: _s, ...gateway } = configuration.gateway;
    const own = { ...listen, host: '127.0.0.1', port: 0, workerCount: 1, listener: 'node' as const };
    const plane = await startDataPlane({
      configuration: { ...configuration, gateway: { ...gateway, listen: own } },
      key: new Uint8Array(32),
      log: pino({ level: 'silent' }),
    });
    try {
      const why = await whyUnanswered(plane);
      if (why !== undefined) return `in the region "${region}": ${why}`;
    } finally {
      await plane.stop(0);
    }
  }
  return undefined;
}

async function whyUnanswered({ url }: DataPlane): Promise<string | undefined> {
  const health = await fetch(`${url}/health`);
  await health.text();
  if (health.status !== 200) return `/health answers ${health.status}`;
  const answer = await fetch(`${url}/mcp`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json, text/event-stream' },
    body: JSON.stringify(INITIALIZE),
  });
  const text = await answer.text();
  // Whoever says not who they are, or asks too much, is refused; nothing is the gateway's own fault.
  return answer.status < 500 ? undefined : `initialize is answered with ${answer.status}: ${text}`;
}
