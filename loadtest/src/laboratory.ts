import { fileURLToPath } from 'node:url';
import { Generator } from './generator-client.js';
import type { Era } from './mcp-request.js';
import { NODE_PROGRAM } from './node-program.js';
import { proportionalBytes, residentBytes } from './process-usage.js';
import { CHAIN_HEADERS } from './relays/chain.js';
import { findNginx, startNginx } from './relays/nginx.js';
import type { Relay, RelayKind, Row } from './relays/relay.js';
import { startSluice } from './relays/sluice.js';
import type { IdleMemory, RowState } from './result.js';
import { pause, type RunningProcess, type StartedProcesses } from './running-process.js';

const UPSTREAM_READY_MS = 10_000;
/** What a gateway does after it listens (asking its upstreams, collecting garbage) is over by then. */
const IDLE_AFTER_MS = 3_000;

/** Everything that runs during the benchmark, in processes of its own. */
export interface Laboratory {
  upstream: RunningProcess;
  upstreamListener: string;
  generator: Generator;
  /** Rows that answer rightly, with the relay that is in front; none for `direct`. */
  rows: { row: Row; relay?: Relay }[];
  states: RowState[];
  idleMemory: IdleMemory[];
}

export interface LaboratoryPlan {
  rows: readonly Row[];
  /** Sessions to open at each legacy target: one for each connection. */
  sessions: number;
  /** For files of the processes. */
  folder: string;
  /** Variables for the gateways. */
  gatewayEnv: NodeJS.ProcessEnv;
  note: (text: string) => void;
}

/**
 * Starts the upstream, the relays and the load generator, and calls every row once. A relay that does not start
 * costs its own rows.
 * @throws Error when the upstream or the generator does not start.
 */
export async function setUp(processes: StartedProcesses, plan: LaboratoryPlan): Promise<Laboratory> {
  const { upstream, url, listener } = await startUpstream(processes);
  const relays = await startRelays(processes, plan, url);
  const idleMemory = await measureIdleMemory(relays, plan.note);
  const generator = new Generator(processes);
  const laboratory: Laboratory = {
    upstream,
    upstreamListener: listener,
    generator,
    rows: [],
    states: [],
    idleMemory,
  };
  for (const row of plan.rows) {
    const state = { id: row.id, title: row.title, relay: row.relay, era: row.era };
    const outcome = relays.get(relayKey(row));
    try {
      if (outcome instanceof Error) throw outcome;
      if (outcome === 'not installed') {
        laboratory.states.push({ ...state, state: 'not installed' });
        continue;
      }
      plan.note(`opening ${row.id} ...`);
      const headers = row.plugins ? CHAIN_HEADERS : {};
      const target = { url: `${outcome?.origin ?? url.origin}${row.path}`, era: row.era, headers };
      await generator.open(row.id, target, plan.sessions);
      laboratory.rows.push({ row, relay: outcome });
      laboratory.states.push({ ...state, state: 'measured' });
    } catch (error) {
      laboratory.states.push({ ...state, state: 'failed', reason: (error as Error).message });
    }
  }
  return laboratory;
}

/**
 * Starts the upstream of the benchmark.
 * @param tells whether it says that it tells of changes, and keeps streams open for that.
 */
export async function startUpstream(processes: StartedProcesses, tells = false) {
  const script = fileURLToPath(new URL('./upstream.js', import.meta.url));
  const args = tells ? [script, '--tells'] : [script];
  const spec = { name: 'the upstream', command: NODE_PROGRAM, args, ipc: true };
  const upstream = processes.start(spec);
  const line = await upstream.waitForLine(
    (text) => (text.startsWith('{') ? text : undefined),
    UPSTREAM_READY_MS,
  );
  const { url, listener } = JSON.parse(line) as { url: string; listener: string };
  return { upstream, url: new URL(url), listener };
}

/** A relay, why there is none, or nothing for `direct`. */
type RelayOutcome = Relay | Error | 'not installed' | undefined;

/** The gateway runs once for each era, so that each is measured alone; nginx does not know of eras. */
function relayKey({ relay, era, plugins }: { relay: RelayKind; era: Era; plugins?: boolean }): string {
  if (relay !== 'sluice') return relay;
  return plugins ? `${relay} ${era} with plugins` : `${relay} ${era}`;
}

async function startRelays(
  processes: StartedProcesses,
  { rows, folder, gatewayEnv, note }: LaboratoryPlan,
  upstream: URL,
): Promise<Map<string, RelayOutcome>> {
  const relays = new Map<string, RelayOutcome>();
  for (const row of rows) {
    const key = relayKey(row);
    if (relays.has(key)) continue;
    note(`starting ${key} ...`);
    relays.set(key, await startRelay(row).catch((error: Error) => error));
  }
  return relays;

  async function startRelay({ relay, era, plugins }: Row): Promise<RelayOutcome> {
    if (relay === 'direct') return undefined;
    if (relay === 'sluice')
      return startSluice(processes, { era, upstream, folder, env: gatewayEnv, plugins });
    const program = findNginx();
    return program ? startNginx(processes, program, upstream, folder) : 'not installed';
  }
}

async function measureIdleMemory(
  relays: ReadonlyMap<string, RelayOutcome>,
  note: (text: string) => void,
): Promise<IdleMemory[]> {
  const gateways = (['modern', 'legacy'] as const).flatMap((era) => {
    const relay = relays.get(relayKey({ relay: 'sluice', era }));
    return relay && typeof relay === 'object' && 'process' in relay ? [{ era, process: relay.process }] : [];
  });
  if (gateways.length === 0) return [];
  note('waiting until the gateways are idle ...');
  await pause(IDLE_AFTER_MS);
  return gateways.map(({ era, process }) => {
    const tree = process.usage();
    const processes = tree.map(({ pid, rssBytes }) => ({
      pid,
      role: pid === process.pid ? ('parent' as const) : ('child' as const),
      rssBytes,
      pssBytes: proportionalBytes(pid),
    }));
    return { relay: 'sluice', era, processes, rssBytes: residentBytes(tree) };
  });
}
