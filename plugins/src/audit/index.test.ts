import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { definePlugin, Outcome, Refusal, Type } from '@sluice/sdk';
import { configProblems, type TestOptions, type TestRequest, testPlugin } from '@sluice/sdk/testing';
import { afterAll, describe, expect, it, vi } from 'vitest';
import policy from '../policy/index.js';
import requestLimit from '../request-limit/index.js';
import { AuditFile, openForReading } from './audit-file.js';
import { erase } from './erasure.js';
import plugin from './index.js';
import { asJson, recordsOf, type StoredRecord } from './records.js';
import { publicKeyIn, signingKey } from './signing-key.js';
import { verifyFile } from './verification.js';

const folder = mkdtempSync(join(tmpdir(), 'sluice-audit-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let fileCount = 0;
const fresh = () => join(folder, `${++fileCount}`, 'audit.sqlite');

interface Row {
  readonly open: Record<string, unknown>;
  readonly personal: Record<string, unknown>;
}

function rowsOf(file: string): Row[] {
  const database = openForReading(file);
  try {
    const rows = database.prepare('SELECT open, personal FROM records ORDER BY seq').all();
    return rows.map((row) => ({
      open: JSON.parse((row as { open: string }).open),
      personal: JSON.parse((row as { personal: string }).personal),
    }));
  } finally {
    database.close();
  }
}

/** Makes these requests, one after the other, and reads what was recorded of them. */
async function recorded(
  config: object,
  requests: readonly TestRequest[],
  options: TestOptions = {},
): Promise<Row[]> {
  const file = fresh();
  const gateway = testPlugin(plugin, { ...options, config: { file, ...config } });
  for (const request of requests) await gateway.call(request);
  await gateway.close();
  expect(verifyFile(file, [publicKeyIn(`${file}.key.pub`)]).problems).toEqual([]);
  return rowsOf(file);
}

const CALL: TestRequest = {
  tool: 'files:write',
  arguments: { path: '/tmp/a', text: 'mail ada@example.com, card 4111 1111 1111 1111' },
  as: { id: 'ada', tenant: 'acme', consumer: 'team-a', scopes: ['w'], claims: { team: 'blue', other: 1 } },
  client: { name: 'desk', version: '2.1.0' },
  headers: { traceparent: `00-${'4b'.repeat(16)}-${'a1'.repeat(8)}-01` },
  address: '198.51.100.7',
};

const rules = definePlugin({
  name: 'rules',
  version: '1.0.0',
  description: 'For a test.',
  phase: 'decision',
  config: Type.Object({}),
  reads: ['remark', 'target'],
  changes: [],
  hooks: () => ({
    decide: ({ remark, target }) => {
      if (target?.name === 'delete') {
        remark({ kind: 'deny', rule: 'no-deletes' });
        return new Refusal('forbidden', 'nothing is deleted here');
      }
      remark({ kind: 'approved', rule: 'writes', data: { by: 'a person' } });
      return 'permit';
    },
  }),
});

describe('a record', () => {
  it('says what happened, who decided, and of whom it was, apart', async () => {
    const [row] = await recorded({ address: true, claims: ['team', 'none'] }, [CALL], {
      beside: [{ plugin: rules }],
    });
    expect(row?.open).toEqual({
      kind: 'exchange',
      id: expect.stringMatching(/^[\w-]{12}-0$/),
      time: '2023-11-14T22:13:20.000Z',
      trace: '4b'.repeat(16),
      tenant: 'acme',
      endpoint: '/mcp',
      transport: 'http',
      era: 'modern',
      revision: '2026-07-28',
      method: 'tools/call',
      upstream: 'files',
      target: { kind: 'tool', name: 'write' },
      decision: 'approved',
      decided_by: 'rules',
      rule: 'writes',
      outcome: 'ok',
      remarks: [{ kind: 'approved', rule: 'writes', by: 'rules' }],
      result_bytes: expect.any(Number),
      duration_ms: 0,
    });
    expect(row?.personal).toEqual({
      principal: 'ada',
      consumer: 'team-a',
      scopes: ['w'],
      claims: { team: 'blue' },
      client: { name: 'desk', version: '2.1.0' },
      address: '198.51.100.7',
      remarks: [{ data: { by: 'a person' } }],
      arguments: {
        path: '/tmp/a',
        text: expect.stringMatching(/^mail \[redacted:email:\w{12}\], card \[redacted:[\w-]+:\w{12}\]$/),
      },
    });
  });

  it('is kept with remarks that are no JSON', async () => {
    const odd: Record<string, unknown> = {};
    odd.self = odd;
    const remarking = definePlugin({
      name: 'remarking',
      version: '1.0.0',
      description: 'For a test.',
      phase: 'shape',
      config: Type.Object({}),
      reads: ['remark'],
      changes: [],
      hooks: () => ({
        outcome: ({ remark }, outcome) => {
          remark({ kind: 'flagged', data: odd as never });
          return outcome;
        },
      }),
    });
    const [row] = await recorded({}, [CALL], { beside: [{ plugin: remarking }] });
    expect(row?.open.remarks).toEqual([{ kind: 'flagged', by: 'audit', rule: 'remarks-unreadable' }]);
  });

  it('is kept of refusals, errors, questions and what was cancelled', async () => {
    const aborted = AbortSignal.abort();
    const rows = await recorded(
      {},
      [
        { ...CALL, tool: 'files:delete' },
        { tool: 'files:fail' },
        { tool: 'files:ask' },
        { tool: 'files:slow', signal: aborted },
        { method: 'tools/list' },
      ],
      {
        beside: [{ plugin: rules }],
        upstream: ({ target }) => {
          if (target?.name === 'fail') return Outcome.ofError({ code: -32_000, message: 'broken' });
          if (target?.name === 'slow') return Outcome.ofError({ code: -32_603, message: 'cancelled' });
          return target?.name === 'ask' ? { resultType: 'input_required', inputRequests: {} } : { tools: [] };
        },
      },
    );
    expect(
      rows.map(({ open }) => [open.outcome, open.code, open.decision, open.decided_by, open.rule]),
    ).toEqual([
      ['refused', -31_007, 'deny', 'rules', 'no-deletes'],
      ['error', -32_000, 'approved', 'rules', 'writes'],
      ['input_required', undefined, 'approved', 'rules', 'writes'],
      ['cancelled', -32_603, 'approved', 'rules', 'writes'],
      ['ok', undefined, 'approved', 'rules', 'writes'],
    ]);
    expect(rows[0]?.personal.reason).toBe('nothing is deleted here');
  });

  it('names the rule by which a client was to be asked that cannot be', async () => {
    const rule = { id: 'confirm', outcome: 'ask', ask: { message: 'May it?' } };
    const beside = [{ plugin: policy, config: { rules: [rule] } }];
    for (const kept of ['redacted', 'absent']) {
      const [row] = await recorded({ arguments: kept }, [CALL], { beside });
      const decided = { decision: 'deny', decided_by: 'policy', rule: 'confirm', outcome: 'refused' };
      expect(row?.open).toMatchObject(decided);
    }
  });

  it('says what was asked for where nobody has that, and no secret in it', async () => {
    const ask = (params: object) =>
      ({ ...CALL, tool: undefined, method: 'tools/call', params }) as TestRequest;
    const rows = await recorded({ arguments: 'absent' }, [
      ask({ name: 'rm_all', arguments: {} }),
      ask({ uri: 'file:///ada@example.com' }),
      ask({ name: { no: 'text' } }),
      CALL,
    ]);
    expect(rows.map(({ open }) => open.asked_for)).toEqual([
      'rm_all',
      expect.stringMatching(/^file:\/\/\/\[redacted:email:/),
      undefined,
      undefined,
    ]);
  });

  it('is kept of callers whom nobody lets in', async () => {
    const login = definePlugin({
      name: 'login',
      version: '1.0.0',
      description: 'For a test.',
      phase: 'identity',
      config: Type.Object({}),
      reads: [],
      changes: [],
      hooks: () => ({ identify: () => new Refusal('unauthenticated', 'the key has expired') }),
    });
    const [row] = await recorded({ address: true }, [CALL], { beside: [{ plugin: login }] });
    expect(row?.open).toMatchObject({
      kind: 'refused',
      outcome: 'refused',
      code: -31_009,
      decision: 'deny',
      decided_by: 'login',
      trace: '4b'.repeat(16),
    });
    expect(row?.personal).toEqual({ address: '198.51.100.7', reason: 'the key has expired' });
  });

  it('is kept of a head that is refused, and by the worker that answers alone', async () => {
    const headers = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`x-${index}`, 'a']));
    const rows = await recorded({}, [{ ...CALL, headers }, CALL], {
      beside: [{ plugin: requestLimit, config: { max_header_count: 20 } }],
      upstream: () => Outcome.handedOver({ code: -32_602, message: 'elsewhere' }),
    });
    expect(rows.map(({ open }) => [open.kind, open.decided_by, open.code])).toEqual([
      ['refused', 'request-limit', expect.any(Number)],
    ]);
  });

  it('has the trace of a client that says it in _meta, of which nothing else is kept', async () => {
    const traceparent = `00-${'ce'.repeat(16)}-${'a1'.repeat(8)}-01`;
    const params = { name: 'read', arguments: { a: 1 }, _meta: { traceparent, secret: 'hidden' } };
    const { headers: _, ...call } = CALL;
    const [row, odd] = await recorded({ arguments: 'whole' }, [
      { ...call, params },
      { ...call, params: { ...params, _meta: { traceparent: 'odd' } } },
    ]);
    expect([row?.open.trace, odd?.open.trace]).toEqual(['ce'.repeat(16), undefined]);
    expect(JSON.stringify(row)).not.toContain('hidden');
    expect(row?.personal.arguments).toEqual({ a: 1 });
  });
});

/** Says who called with which arguments, as rules do whose reasons are templates. */
const quoting = definePlugin({
  name: 'quoting',
  version: '1.0.0',
  description: 'For a test.',
  phase: 'decision',
  config: Type.Object({}),
  reads: ['arguments', 'principal.id', 'remark'],
  changes: [],
  hooks: () => ({
    decide: ({ remark, arguments: given, principal }) => {
      const { path } = given as { path: string };
      remark({ kind: 'flagged', rule: 'seen', data: { path }, isEnforced: false });
      const reason = `${principal.id} may not write ${path}`;
      remark({ kind: 'deny', rule: 'no-writes', reason });
      return new Refusal('forbidden', reason);
    },
  }),
});

describe('what plugins say in words', () => {
  const decided = [
    { kind: 'flagged', rule: 'seen', isEnforced: false, by: 'quoting' },
    { kind: 'deny', rule: 'no-writes', by: 'quoting' },
    { kind: 'deny', by: 'quoting' },
  ];

  it.each(['whole', 'redacted'])('is gone with the personal part, with arguments: %s', async (kept) => {
    const file = fresh();
    const config = { file, arguments: kept };
    const gateway = testPlugin(plugin, { config, beside: [{ plugin: quoting }] });
    await gateway.call(CALL);
    await gateway.close();
    const reason = 'ada may not write /tmp/a';
    const words = [{ data: { path: '/tmp/a' } }, { reason }, { reason }];
    const { open, personal } = rowsOf(file)[0] as Row;
    expect(open).toMatchObject({ decision: 'deny', decided_by: 'quoting', rule: 'no-writes' });
    expect([open.remarks, open.reason]).toEqual([decided, undefined]);
    expect([personal.remarks, personal.reason]).toEqual([words, reason]);
    const [record] = [...recordsOf(openForReading(file), {})];
    const whole = asJson(record as StoredRecord);
    expect(whole.reason).toBe(reason);
    expect(whole.remarks).toEqual(decided.map((each, index) => ({ ...each, ...words[index] })));

    const checkpoint = { recordCount: 100, intervalMs: 1e9 };
    const key = signingKey(`${file}.key`);
    const records = new AuditFile({ file, key, now: () => 0, checkpoint });
    expect(erase(records, 'ada', 0).erasedCount).toBe(1);
    records.end();
    expect(verifyFile(file, [publicKeyIn(`${file}.key.pub`)]).problems).toEqual([]);
    const left = JSON.stringify([...recordsOf(openForReading(file), {})].map(asJson));
    expect(left).toContain('no-writes');
    expect(left).not.toMatch(/ada|tmp/);
  });

  it.each(['hashed', 'absent'])('is not kept with arguments: %s', async (kept) => {
    const [row] = await recorded({ arguments: kept }, [CALL], { beside: [{ plugin: quoting }] });
    expect(row?.open).toMatchObject({ decided_by: 'quoting', rule: 'no-writes', remarks: decided });
    expect(JSON.stringify(row)).not.toContain('/tmp/a');
    expect(row?.personal).not.toHaveProperty('reason');
  });
});

describe('arguments', () => {
  const secret = 'AKIAIOSFODNN7EXAMPLE';
  const call = (text: string): TestRequest => ({ tool: 'files:write', arguments: { text } });

  it.each([
    ['whole', { arguments: { text: secret } }],
    ['absent', {}],
    ['hashed', { arguments_digest: expect.stringMatching(/^hmac-sha256:[0-9a-f]{64}$/) }],
    ['redacted', { arguments: { text: expect.stringMatching(/^\[redacted:[\w-]+:\w{12}\]$/) } }],
  ])('are kept %s', async (kept, expected) => {
    const [row] = await recorded({ arguments: kept }, [call(secret)]);
    expect(row?.personal).toEqual({ principal: 'anonymous', ...expected });
    if (kept !== 'whole') expect(JSON.stringify(row)).not.toContain(secret);
  });

  it('are left out where nobody can go through them, and hold nothing up', async () => {
    for (const [kept, depth] of [
      ['redacted', 30_000],
      ['whole', 30_000],
      ['hashed', 30_000],
      ['whole', 1_001],
    ] as const) {
      const deep = `{"name":"write","arguments":{"a":${'['.repeat(depth)}"\\"{"${']'.repeat(depth)}}}`;
      const rows = await recorded({ arguments: kept, max_arguments: '128KiB' }, [
        { tool: 'files:write', paramsJson: deep, params: { name: 'write' } },
        call('a'),
      ]);
      expect(rows.map(({ personal }) => personal.arguments_left_out)).toEqual([
        { length: deep.length },
        undefined,
      ]);
    }
  });

  it('have the same digest when they are the same', async () => {
    const rows = await recorded({ arguments: 'hashed' }, [call('a'), call('b'), call('a')]);
    const [one, two, three] = rows.map(({ personal }) => personal.arguments_digest);
    expect([one === three, one === two]).toEqual([true, false]);
  });

  it('are left out where they are too large, duplicate or of another prototype', async () => {
    const rows = await recorded({ arguments: 'whole', max_arguments: 100 }, [
      call('x'.repeat(200)),
      { tool: 'files:write', paramsJson: '{"name":"write","arguments":{"a":1},"arguments":{"a":2}}' },
      { tool: 'files:write', paramsJson: '{"name":"write","arguments":{"__proto__":{"a":1}}}' },
    ]);
    expect(rows[0]?.personal.arguments_left_out).toEqual({ length: 240 });
    expect(rows[1]?.personal.arguments).toEqual({ a: 2 });
    expect(JSON.stringify(rows[2]?.personal.arguments)).toBe('{"__proto__":{"a":1}}');
  });
});

describe('when records cannot be written', () => {
  /** Stands where the file should be. */
  function blocked(): string {
    const file = fresh();
    mkdirSync(file, { recursive: true });
    return file;
  }

  it('none_lost lets nothing pass, and goes on when it can', async () => {
    const file = blocked();
    const gateway = testPlugin(plugin, { config: { file, durability: 'none_lost' } });
    const first = gateway.call(CALL);
    await vi.waitFor(() => expect(gateway.logged).toHaveLength(1), 10_000);
    const { outcome } = await gateway.call(CALL);
    expect(outcome.refusal?.message).toMatch('nothing passes while the audit log cannot be written');
    expect(gateway.reached).toHaveLength(1);
    rmSync(file, { recursive: true });
    expect((await first).status).toBe(200);
    expect((await gateway.call(CALL)).status).toBe(200);
    await gateway.close();
    expect(rowsOf(file).length).toBe(2);
    expect(gateway.logged.map(({ message }) => message)).toEqual([
      expect.stringMatching(
        /^audit records cannot be written: audit records cannot be written to .*audit.sqlite/,
      ),
      'audit records are written again',
    ]);
  });

  it('none_lost gives no answer whose record there is no room for', async () => {
    const file = blocked();
    const config = { file, durability: 'none_lost', queue_records: 100 };
    const gateway = testPlugin(plugin, { config });
    // All have begun before anybody knows that nothing can be written.
    const calls = Array.from({ length: 150 }, () => gateway.call(CALL));
    await vi.waitFor(() => expect(gateway.logged).not.toEqual([]), 10_000);
    rmSync(file, { recursive: true });
    const answers = await Promise.all(calls);
    await gateway.close();
    const answered = answers.filter(({ status }) => status === 200);
    const recordedCount = rowsOf(file).filter(({ open }) => open.kind === 'exchange').length;
    expect([answered.length, recordedCount]).toEqual([100, 100]);
    const held = answers.filter(({ outcome }) =>
      outcome.refusal?.message.includes('its answer is held back'),
    );
    expect(held).toHaveLength(50);
  });

  it('an answer does not wait for ever', async () => {
    const gateway = testPlugin(plugin, { config: { file: blocked(), durability: 'none_lost' } });
    const first = gateway.call(CALL);
    await vi.waitFor(() => expect(gateway.reached).toHaveLength(1), 10_000);
    gateway.clock.advance(10_000);
    expect((await first).outcome.refusal?.message).toMatch('the call may have run');
    await gateway.close();
  });

  it('flush_interval goes on, counts what is lost, and records how much it was', async () => {
    const file = blocked();
    const gateway = testPlugin(plugin, { config: { file, queue_records: 100 } });
    for (let index = 0; index < 150; index++) expect((await gateway.call(CALL)).status).toBe(200);
    expect(gateway.counted.get('lost_records_total')).toBe(50);
    gateway.clock.advance(10_000);
    await vi.waitFor(() => expect(gateway.counted.get('write_failures_total')).toBeGreaterThan(0), 10_000);
    expect(gateway.logged.map(({ message }) => message)).toContain(
      '50 audit records were lost: more are held than may be',
    );
    rmSync(file, { recursive: true });
    await vi.waitFor(() => expect(gateway.counted.get('records_total')).toBe(100), 10_000);
    await gateway.call(CALL);
    await gateway.close();
    const rows = openForReading(file).prepare('SELECT open FROM records ORDER BY seq').all() as {
      open: string;
    }[];
    const open = rows.map((row) => JSON.parse(row.open));
    expect(open.map(({ kind }) => kind).filter((kind) => kind === 'exchange')).toHaveLength(101);
    expect(open.find(({ kind }) => kind === 'gap')).toMatchObject({ lost: 50 });
  });

  it('a file that is moved away is made anew, and nothing is written where nobody looks', async () => {
    const file = fresh();
    const gateway = testPlugin(plugin, { config: { file } });
    const written = async (count: number) => {
      await gateway.call(CALL);
      gateway.clock.advance(200);
      await vi.waitFor(() => expect(gateway.counted.get('records_total')).toBe(count), 10_000);
    };
    await written(1);
    for (const end of ['', '-wal', '-shm']) rmSync(file + end, { force: true });
    await written(2);
    await gateway.close();
    expect(rowsOf(file)).toHaveLength(1);
  });
});

it.each<[object, string, string]>([
  [{}, 'file', 'is missing'],
  [{ file: '' }, 'file', ''],
  [{ to: 'cluster', file: 'a' }, 'file', 'is for files'],
  [{ to: 'cluster', signing_key: 'a' }, 'signing_key', 'is for files'],
  [{ to: 'cluster', retention: {} }, 'retention', 'is for files'],
  [{ to: 'cluster', max_arguments: '1MiB' }, 'max_arguments', 'more than 128KiB'],
  [{ to: 'nowhere', file: 'a' }, 'to', ''],
  [{ file: 'a', arguments: 'some' }, 'arguments', ''],
  [{ file: 'a', durability: 'none_lost', on_full: 'lose' }, 'on_full', 'none is lost'],
  [{ file: 'a', flush_interval: '1ms' }, 'flush_interval', 'between 10ms and 1m'],
  [{ file: 'a', flush_interval: '2m' }, 'flush_interval', 'between 10ms and 1m'],
  [{ file: 'a', checkpoint_interval: '10ms' }, 'checkpoint_interval', 'shorter than 1s'],
  [{ file: 'a', checkpoint_records: 0 }, 'checkpoint_records', ''],
  [{ file: 'a', queue_records: 1 }, 'queue_records', ''],
  [{ file: 'a\0b' }, 'file', 'null character'],
  [{ file: 'a', signing_key: 'b\0' }, 'signing_key', 'null character'],
  [{ file: 'a', retention: { max_age: '10s' } }, 'retention.max_age', 'shorter than 1m'],
  [{ file: 'a', retention: { max_size: 'many' } }, 'retention.max_size', ''],
  [{ file: 'a', retention: { days: 3 } }, 'retention.days', ''],
  [
    { file: 'a', redaction: { patterns: [{ id: 'own', pattern: '(' }] } },
    'redaction.patterns[0].pattern',
    '',
  ],
  [{ file: 'a', redaction: { token_secret: 'short' } }, 'redaction.token_secret', ''],
])('refuses %j', (config, path, message) => {
  const problem = configProblems(plugin, config).find((each) => each.path === path);
  expect(problem?.message).toContain(message);
});

it('says what is missing where records are for a cluster and there is none', async () => {
  const gateway = testPlugin(plugin, { config: { to: 'cluster' } });
  await gateway.call(CALL);
  gateway.clock.advance(200);
  await vi.waitFor(
    () => expect(gateway.logged[0]?.message).toMatch('start it as a node with --nats'),
    10_000,
  );
  await gateway.close();
}, 30_000);

it('says what is wrong with a key that is none', async () => {
  const file = fresh();
  const key = join(folder, 'odd.key');
  writeFileSync(key, 'nothing');
  const gateway = testPlugin(plugin, { config: { file, signing_key: key } });
  await gateway.call(CALL);
  gateway.clock.advance(200);
  await vi.waitFor(
    () => expect(gateway.logged[0]?.message).toMatch('odd.key holds no private key in PEM'),
    5_000,
  );
  await gateway.close();
}, 30_000);
