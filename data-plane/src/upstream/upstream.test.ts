import type { ResolvedUpstream } from '@sluice/proto';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { createSealer } from '../sessions/seal.js';
import { ParkedAccount } from './parked/parked-account.js';
import { UNLIMITED } from './parked/scripted-account.js';
import { EgressPolicy } from './transport/egress-policy.js';
import { Upstream } from './upstream.js';

const upstreams: Upstream[] = [];
afterEach(() => Promise.all(upstreams.splice(0).map((upstream) => upstream.close())));

/** A subprocess that runs this program. */
function subprocess(program: string, era: ResolvedUpstream['era'] = 'auto'): Upstream {
  const upstream = new Upstream(
    {
      id: 'id',
      name: 'up',
      era,
      hidden: false,
      onSessionLoss: 'reinitialize',
      timeoutMs: 5_000,
      connectTimeoutMs: 5_000,
      maxMessageBytes: 1_000_000,
      transport: {
        kind: 'stdio',
        command: process.execPath,
        args: ['-e', program],
        env: {},
        cwd: '',
        sharing: 'shared',
        maxProcessCount: 8,
      },
    } as ResolvedUpstream,
    {
      egress: new EgressPolicy([], []),
      egressText: '',
      events: { notification() {}, stale() {} },
      log: pino({ level: 'silent' }),
      sealer: createSealer({ current: Buffer.alloc(32, 1), previous: [] }),
      worker: 0,
      parked: new ParkedAccount(UNLIMITED),
      elsewhere: undefined,
    },
  );
  upstreams.push(upstream);
  return upstream;
}

/** A server that answers every request with what `answer` (an expression over `message`) says. */
const answering = (answer: string) => `
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const message = JSON.parse(line);
    if (message.id !== undefined)
      console.log(JSON.stringify({ jsonrpc: '2.0', id: message.id, ...(${answer}) }));
  });`;

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

describe('a subprocess that cannot be used', () => {
  it.each(['auto', 'modern'] as const)('is not left behind (era %s)', async (era) => {
    // It tells its process id where it should tell its revisions.
    const upstream = subprocess(
      answering(
        "{ error: { code: -32022, message: 'no', data: { supported: ['2099-01-01 in ' + process.pid] } } }",
      ),
      era,
    );
    const error = await upstream.open().then(
      () => undefined,
      (thrown: Error) => thrown.message,
    );
    const pid = Number(/2099-01-01 in (\d+)/.exec(error ?? '')?.[1]);
    expect(pid).toBeGreaterThan(0);
    expect(isAlive(pid)).toBe(false);
  });
});
