import type { ResolvedUpstream } from '@sluice/proto';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { RpcError } from '../protocol/errors.js';
import { createSealer } from '../sessions/seal.js';
import { ownCall } from './own-request.js';
import { ParkedAccount } from './parked/parked-account.js';
import { UNLIMITED } from './parked/scripted-parking.js';
import { reasonOf } from './reason.js';
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
      events: { notification() {}, offerChanged() {}, heardApart() {}, stale() {} },
      log: pino({ level: 'silent' }),
      sealer: createSealer({ current: Buffer.alloc(32, 1), previous: [] }),
      worker: 'n.0',
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

/** A legacy server that says three things of different weight before each result. */
const TALKING = `
  const say = (message) => console.log(JSON.stringify({ jsonrpc: '2.0', ...message }));
  require('readline').createInterface({ input: process.stdin }).on('line', (line) => {
    const { id, method } = JSON.parse(line);
    if (id === undefined) return;
    if (method === 'initialize')
      say({ id, result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 's', version: '1' } } });
    else {
      for (const level of ['debug', 'info', 'error'])
        say({ method: 'notifications/message', params: { level, data: level } });
      say({ id, result: {} });
    }
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

  it('that ends again and again says how it ended while it is waited for', async () => {
    const upstream = subprocess(`console.error('no token'); process.exit(3);`, 'legacy');
    const attempt = () => upstream.open().catch((thrown: RpcError) => reasonOf(thrown));
    const ended = 'exited with code 3; stderr ended with: no token';
    expect(await attempt()).toContain(ended);
    // The first time it is started again at once.
    expect(await attempt()).toContain(ended);
    const waiting = await attempt();
    expect(waiting).toMatch(/is made again in \d+ s; the request was not sent: /);
    expect(waiting).toContain(ended);
  });
});

describe('a legacy subprocess that is shared', () => {
  it.each([
    ['error', ['error']],
    ['info', ['info', 'error']],
    [undefined, ['debug', 'info', 'error']],
  ])('says to a client that set the level %s only what that lets through', async (logLevel, heard) => {
    const upstream = subprocess(TALKING, 'legacy');
    const said: string[] = [];
    const call = ownCall('tools/call', { name: 'talk' }, false, (bytes) =>
      said.push(JSON.parse(bytes.toString()).params.data),
    );
    const caller = { era: 'legacy', revision: '2025-11-25', principal: '', capabilities: '{}' } as const;
    await upstream.call(call, { ...caller, clientInfo: undefined, logLevel });
    expect(said).toEqual(heard);
  });
});
