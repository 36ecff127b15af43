import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Era } from '../mcp-request.js';
import { NODE_PROGRAM } from '../node-program.js';
import type { StartedProcesses } from '../running-process.js';
import { CHAIN } from './chain.js';
import { type Relay, UPSTREAM_NAME } from './relay.js';

const PROGRAM = fileURLToPath(new URL('../../../cli/bin/sluice.js', import.meta.url));
const READY_TIMEOUT_MS = 30_000;
/** Connections and sessions beside the streams. */
const SPARE_COUNT = 1_000;

/** One gateway in front of one upstream. */
interface SluicePlan {
  /** Of the upstream. */
  era: Era;
  upstream: URL;
  /** For its configuration. */
  folder: string;
  /** Variables beside those of this process. */
  env?: NodeJS.ProcessEnv;
  /** Streams for which there has to be room. */
  streams?: number;
  /** With the plugins of `chain.ts` in front. */
  plugins?: boolean;
}

/**
 * Starts the gateway with one worker and one upstream, pinned to an era so that every row relays within it.
 * @throws Error when it does not start, with what it wrote.
 */
export async function startSluice(processes: StartedProcesses, plan: SluicePlan): Promise<Relay> {
  const { era, folder } = plan;
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} does not exist`);
  const file = join(folder, `sluice-${era}${plan.plugins ? '-plugins' : ''}.json`);
  writeFileSync(file, JSON.stringify(configuration(plan)));
  const args = [PROGRAM, 'serve', '--config', file, '--port', '0', '--workers', '1', '--log-format', 'json'];
  // What somebody set for a gateway of their own must not change what is measured.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SLUICE_'));
  const env = { ...Object.fromEntries(inherited), ...plan.env };
  const running = processes.start({ name: 'sluice', command: NODE_PROGRAM, args, env });
  const { url, listener } = await running.waitForLine(readListening, READY_TIMEOUT_MS);
  return { process: running, origin: new URL(url).origin, listener };
}

function configuration({ era, upstream, streams, plugins }: SluicePlan): object {
  const http = {
    url: upstream.href,
    ...(streams !== undefined && { max_connections: streams + SPARE_COUNT }),
  };
  return {
    ...(streams !== undefined && { gateway: roomFor(streams + SPARE_COUNT) }),
    upstreams: [{ name: UPSTREAM_NAME, era, http }],
    ...(plugins && { plugins: CHAIN }),
  };
}

function roomFor(count: number): object {
  return {
    limits: { max_connections: count, max_requests_in_flight: count },
    // Streams on which nothing is ever written: comments on them would be work, and this is about memory.
    sessions: { max_sessions: count, max_sessions_per_principal: count, keep_alive: '1h' },
  };
}

/** The log line that says that the gateway listens, where, and with which library. */
function readListening(line: string): { url: string; listener: string } | undefined {
  try {
    const { msg, url, listener } = JSON.parse(line) as Record<string, unknown>;
    return msg === 'listening' && typeof url === 'string' ? { url, listener: String(listener) } : undefined;
  } catch {
    return undefined;
  }
}
