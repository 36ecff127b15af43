import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { configProblems, type TestGateway, testPlugin } from '@sluice/sdk/testing';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import policy from '../index.js';
import {
  BUILTIN_MARK,
  DATA_MARK,
  GROW_MARK,
  LOOP_MARK,
  PRINT_MARK,
  scriptedBundle,
  scriptedModule,
  tarOf,
} from './scripted-module.js';

const folder = mkdtempSync(join(tmpdir(), 'sluice-opa-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let fileCount = 0;
/** Writes a file that nobody has looked at. */
function fileOf(content: Buffer | string): string {
  const path = join(folder, `file-${++fileCount}`);
  writeFileSync(path, content);
  return path;
}

const digestOf = (content: Buffer) => `sha256-${createHash('sha256').update(content).digest('base64')}`;

const failureOf = ({ logged: [first] }: TestGateway) =>
  (first as unknown as { fields: { err: Error } }).fields.err.message;

let gateway: TestGateway | undefined;
afterEach(() => gateway?.close());

function gatewayOf(wasm: object, more: object = {}, options: object = {}): TestGateway {
  gateway = testPlugin(policy, { config: { opa: { wasm, ...more } }, ...options });
  return gateway;
}

const MODULE = fileOf(scriptedModule());
const call = (text: string, more: object = {}) => ({ tool: 'files:read', arguments: { text }, ...more });
const statusOf = async (own: TestGateway, text: string) => (await own.call(call(text))).status;

/** Moves the time until something is over, and no further. */
async function overdue(own: TestGateway, byMs: number, call: Promise<unknown>): Promise<void> {
  let isOver = false;
  void call.then(() => {
    isOver = true;
  });
  while (!isOver) {
    own.clock.advance(byMs);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('a compiled policy', () => {
  it.each([
    ['a module', scriptedModule()],
    ['a bundle', scriptedBundle()],
    ['a bundle whose names begin with ./', gzipSync(tarOf([['./policy.wasm', scriptedModule()]]))],
  ])('decides: %s', async (_, content) => {
    const own = gatewayOf({ path: fileOf(content) });
    expect(await statusOf(own, 'plain')).toBe(200);
    const { status, outcome } = await own.call(call('a!'));
    expect([status, outcome.error]).toEqual([
      403,
      { code: -31007, message: 'not with that', data: { error: 'policy_denied', rule: 'opa' } },
    ]);
  });

  it('denies what is undefined and what is no decision, and fails where it breaks', async () => {
    const own = gatewayOf({ path: MODULE });
    for (const mark of ['%', '@']) expect(await statusOf(own, mark)).toBe(403);
    for (const mark of ['#', BUILTIN_MARK, GROW_MARK]) expect(await statusOf(own, mark)).toBe(503);
    expect(await statusOf(own, 'plain')).toBe(200);
    const counted = Object.fromEntries(own.counted);
    expect(counted['opa_total{how="decision"}']).toBe(1);
    expect(counted['opa_total{how="answer"}']).toBe(1);
    expect(counted['opa_total{how="failed"}']).toBe(2);
    // One line of its own for all of them.
    expect(own.logged.filter(({ level }) => level === 'warn')).toHaveLength(1);
  });

  it('has a person asked', async () => {
    const asked: string[] = [];
    const own = gatewayOf(
      { path: MODULE },
      {},
      {
        person: ({ message }: { message: string }) => {
          asked.push(message);
          return { action: 'accept' };
        },
      },
    );
    expect(await statusOf(own, 'sure?')).toBe(200);
    expect(asked).toEqual(['May it go on?']);
  });

  it('knows its data', async () => {
    const data = JSON.stringify([{ result: { allow: false, reason: 'the data say no' } }]);
    const own = gatewayOf({ path: fileOf(scriptedBundle({ '/data.json': data })) });
    expect((await own.call(call(DATA_MARK))).outcome.error?.message).toBe('the data say no');
  });

  it('is asked by the entrypoint that is named', async () => {
    expect(await statusOf(gatewayOf({ path: MODULE, entrypoint: 'other/no' }), 'plain')).toBe(403);
    await gateway?.close();
    const own = gatewayOf({ path: MODULE, entrypoint: 'no/such' });
    expect(await statusOf(own, 'plain')).toBe(503);
    expect(failureOf(own)).toContain('it has no entrypoint no/such; there are sluice/decision, other/no');
  });

  it('that takes too long is ended, and the next call is decided', async () => {
    const own = gatewayOf({ path: MODULE, timeout: '100ms' });
    expect(await statusOf(own, 'plain')).toBe(200);
    const looping = statusOf(own, LOOP_MARK);
    const behind = statusOf(own, 'another');
    await overdue(own, 101, looping);
    expect(await looping).toBe(503);
    expect(own.counted.get('opa_total{how="timeout"}')).toBe(1);
    expect(await behind).toBe(200);
  });

  it('has no time for what has waited too long', async () => {
    const own = gatewayOf({ path: MODULE, timeout: '10s' });
    expect(await statusOf(own, 'plain')).toBe(200);
    const all = [LOOP_MARK, 'one', 'two'].map((text) => statusOf(own, text));
    await overdue(own, 10_001, all[0] as Promise<number>);
    expect(await Promise.all(all)).toEqual([503, 503, 503]);
    expect(own.counted.get('opa_total{how="busy"}')).toBe(2);
    expect(await statusOf(own, 'three')).toBe(200);
  });

  it('prints nothing of what it is asked about', async () => {
    const written = vi.spyOn(process.stdout, 'write');
    const logged = vi.spyOn(console, 'log');
    expect(await statusOf(gatewayOf({ path: MODULE }), `secret${PRINT_MARK}`)).toBe(200);
    expect(logged).not.toHaveBeenCalled();
    expect(written.mock.calls.flat().join()).not.toContain('secret');
    vi.restoreAllMocks();
  });

  it('ends its thread when nobody asked for a while, and begins another one', async () => {
    const own = gatewayOf({ path: MODULE });
    expect(await statusOf(own, 'one')).toBe(200);
    own.clock.advance(61_000);
    expect(await statusOf(own, 'two')).toBe(200);
  });

  it('answers nothing any more when it is not in use', async () => {
    const own = gatewayOf({ path: MODULE });
    await own.close();
    expect(await statusOf(own, 'plain')).toBe(503);
  });
});

describe('a file', () => {
  const bundle = scriptedBundle();
  const truncated = gzipSync(tarOf([['/policy.wasm', scriptedModule()]]).subarray(0, 700));
  const long = Buffer.from('\0asm\x01\0\0\0 but nothing that follows', 'latin1');

  it.each<[string, () => object, RegExp]>([
    ['that is not there', () => ({ path: join(folder, 'none') }), /path: cannot be read: there is no such/],
    ['that is a folder', () => ({ path: folder }), /path: is no file/],
    ['that has no end', () => ({ path: '/dev/zero' }), /path: is no file/],
    ['that is something else', () => ({ path: fileOf('package sluice') }), /path: is neither a bundle/],
    ['that is no whole module', () => ({ path: fileOf(long) }), /path: is no valid module/],
    [
      'that is no whole gzip',
      () => ({ path: fileOf(bundle.subarray(0, 200)) }),
      /path: .*cannot be unpacked/,
    ],
    ['that was cut off before', () => ({ path: fileOf(truncated) }), /path: .*damaged, or was cut off/],
    [
      'without a policy in it',
      () => ({ path: fileOf(gzipSync(tarOf([['/data.json', Buffer.from('{}')]]))) }),
      /path: is a bundle without \/policy\.wasm; build it with `opa build -t wasm`/,
    ],
    [
      'that has one file twice',
      () => {
        const one = ['/policy.wasm', scriptedModule()] as const;
        return { path: fileOf(gzipSync(tarOf([one, one]))) };
      },
      /path: is a bundle that has one file twice/,
    ],
    [
      'with bad data',
      () => ({ path: fileOf(scriptedBundle({ '/data.json': '{' })) }),
      /path: .*\/data\.json is no JSON/,
    ],
    [
      'of another compiler',
      () => ({ path: fileOf(scriptedModule({ without: 'entrypoints' })) }),
      /path: .*exports no entrypoints/,
    ],
    [
      'that wants more',
      () => ({ path: fileOf(scriptedModule({ imports: 'wasi' })) }),
      /path: .*wants what OPA does not/,
    ],
    [
      'with another digest',
      () => ({ path: MODULE, digest: digestOf(bundle) }),
      /digest: is not that of the file$/,
    ],
    [
      'without the entrypoint',
      () => ({ path: fileOf(bundle), entrypoint: 'no/such' }),
      /entrypoint: is none of the bundle, which has sluice\/decision/,
    ],
  ])('%s is refused', (_, wasm, says) => {
    const own = wasm();
    const problems = configProblems(policy, { opa: { wasm: own } });
    expect(problems.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      expect.stringMatching(new RegExp(`opa\\.wasm\\.${says.source}`)),
    ]);
  });

  it('with the digest that is pinned is taken, and not when it is replaced', () => {
    const path = fileOf(bundle);
    const config = { opa: { wasm: { path, digest: digestOf(bundle) } } };
    expect(configProblems(policy, config)).toEqual([]);
    writeFileSync(path, scriptedBundle({ '/data.json': '{"a":1}' }));
    expect(configProblems(policy, config)).toHaveLength(1);
  });

  it('of another version of the interface denies everything, and says why', async () => {
    const own = gatewayOf({ path: fileOf(scriptedModule({ abi: 2 })) });
    expect(await statusOf(own, 'plain')).toBe(503);
    expect(failureOf(own)).toContain('unsupported ABI version 2');
    expect(own.counted.get('opa_total{how="failed"}')).toBe(1);
  });
});
