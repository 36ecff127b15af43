import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Era } from '../mcp-request.js';
import { NODE_PROGRAM } from '../node-program.js';
import type { StartedProcesses } from '../running-process.js';
import { type Relay, UPSTREAM_NAME } from './relay.js';

const PROGRAM = fileURLToPath(new URL('../../../cli/bin/sluice.js', import.meta.url));
const READY_TIMEOUT_MS = 30_000;

/**
 * Starts the gateway with one worker and one upstream, pinned to an era so that every row relays within it.
 * @param extraEnv variables beside those of this process.
 * @throws Error when it does not start, with what it wrote.
 */
export async function startSluice(
  processes: StartedProcesses,
  era: Era,
  upstream: URL,
  folder: string,
  extraEnv: NodeJS.ProcessEnv,
): Promise<Relay> {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} does not exist`);
  const file = join(folder, `sluice-${era}.yaml`);
  writeFileSync(file, configuration(era, upstream));
  const args = [PROGRAM, 'serve', '--config', file, '--port', '0', '--workers', '1', '--log-format', 'json'];
  // What somebody set for a gateway of their own must not change what is measured.
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SLUICE_'));
  const env = { ...Object.fromEntries(inherited), ...extraEnv };
  const running = processes.start({ name: 'sluice', command: NODE_PROGRAM, args, env });
  const { url, listener } = await running.waitForLine(readListening, READY_TIMEOUT_MS);
  return { process: running, origin: new URL(url).origin, listener };
}

function configuration(era: Era, upstream: URL): string {
  return `upstreams:
  - name: ${UPSTREAM_NAME}
    era: ${era}
    http:
      url: ${upstream.href}
`;
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
