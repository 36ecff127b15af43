import { scrypt } from 'node:crypto';
import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { afterEach, describe, expect, it, vi } from 'vitest';
import authBasic from './index.js';
import { hashPassword } from './password.js';

vi.mock('node:crypto', async (original) => {
  const crypto = await original<typeof import('node:crypto')>();
  return { ...crypto, scrypt: vi.fn(crypto.scrypt) };
});
const hashed = vi.mocked(scrypt);
afterEach(() => hashed.mockClear());

// Of "secret", as cheap as they may be, so that the tests are quick; and one of another cost.
const SECRET = '$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0c2FsdA$1RL+Xg0R5UtrsEx1/34MJGhCuDjQdo5E2HyYnASS5FE';
const DEARER = '$scrypt$ln=14,r=8,p=2$c2FsdHNhbHRzYWx0c2FsdA$vfCKaLZ2O0H2E3t5di5zVmg878kx6NAOKoyej33aXd0';
const ADA = { user: 'ada', password_hash: SECRET, scopes: ['tools:read'], claims: { team: 'core' } };

function gatewayWith(config: object = {}) {
  return testPlugin(authBasic, { config: { users: [ADA], ...config } });
}

function basic(pair: string | Uint8Array, scheme = 'Basic') {
  return { headers: { authorization: `${scheme} ${Buffer.from(pair).toString('base64')}` } };
}

describe('auth-basic', () => {
  it('knows a user by the password', async () => {
    const { identity, status } = await gatewayWith().call(basic('ada:secret'));
    expect(status).toBe(200);
    expect(identity).toEqual({
      id: 'auth-basic:ada',
      consumer: 'ada',
      tenant: undefined,
      scopes: ['tools:read'],
      claims: { team: 'core' },
      credential: 'ada',
    });
  });

  it.each(['basic', 'BASIC', 'bAsIc'])('knows the scheme as %s', async (scheme) => {
    expect((await gatewayWith().call(basic('ada:secret', scheme))).status).toBe(200);
  });

  it('hashes once for all that wait, and remembers what was right for a while', async () => {
    const gateway = gatewayWith({ cache_ttl: '1m' });
    await Promise.all([1, 2, 3].map(() => gateway.call(basic('ada:secret'))));
    expect((await gateway.call(basic('ada:secret'))).status).toBe(200);
    expect(hashed).toHaveBeenCalledTimes(1);
    gateway.clock.advance(60_000);
    expect((await gateway.call(basic('ada:secret'))).status).toBe(200);
    expect(hashed).toHaveBeenCalledTimes(2);
  });

  it('knows users of one name by where they are known, and does not take one for another', async () => {
    const gateway = gatewayWith({
      users: [
        { ...ADA, tenant: 'acme', endpoints_below: '/mcp/acme/' },
        { ...ADA, password_hash: DEARER, tenant: 'globex', endpoints_below: '/mcp/globex/' },
      ],
    });
    const at = async (endpoint: string, password: string) =>
      (await gateway.call({ endpoint, ...basic(`ada:${password}`) })).identity?.id;
    // Twice: what was right is remembered.
    for (const _ of [1, 2]) {
      expect(await at('/mcp/acme/files', 'secret')).toBe('auth-basic:"acme"/ada');
      expect(await at('/mcp/globex/files', 'secret')).toBe('auth-basic:"globex"/ada');
      expect(await at('/mcp/globex/files', 'wrong')).toBe(undefined);
      expect(await at('/mcp/files', 'secret')).toBe(undefined);
    }
  });

  it('computes hashes beside the event loop, which goes on turning', async () => {
    let turnCount = 0;
    let isOver = false;
    const turn = () => {
      turnCount++;
      if (!isOver) setImmediate(turn);
    };
    setImmediate(turn);
    expect((await gatewayWith().call(basic('ada:secret'))).status).toBe(200);
    isOver = true;
    expect(turnCount).toBeGreaterThan(10);
  });

  it('remembers nothing that was wrong, and nothing at all where that is wanted', async () => {
    const gateway = gatewayWith({ cache_ttl: '0s' });
    for (const pair of ['ada:wrong', 'ada:wrong', 'ada:secret', 'ada:secret'])
      await gateway.call(basic(pair));
    expect(hashed).toHaveBeenCalledTimes(4);
  });

  it('does not tell unknown users from wrong passwords, neither by words nor by work', async () => {
    const gateway = gatewayWith();
    const wrong = await gateway.call(basic('ada:wrong'));
    const unknown = await gateway.call(basic('bob:secret'));
    expect(wrong.status).toBe(401);
    expect([unknown.status, unknown.headers, unknown.outcome.error]).toEqual([
      wrong.status,
      wrong.headers,
      wrong.outcome.error,
    ]);
    const costs = hashed.mock.calls.map(([, , bytes, options]) => [bytes, options]);
    expect(costs[1]).toEqual(costs[0]);
  });

  it('lets unknown users cost what known ones do where these differ, and always the same', async () => {
    const users = [ADA, { user: 'dear', password_hash: DEARER }];
    const gateway = gatewayWith({ users });
    const costsOf = async (user: string) => {
      hashed.mockClear();
      await gateway.call(basic(`${user}:wrong`));
      const [costs] = hashed.mock.calls.map(([, , , options]) => options as { p: number });
      return costs?.p ?? 0;
    };
    const names = Array.from({ length: 24 }, (_, index) => `user-${index}`);
    const costs: number[] = [];
    for (const name of names) costs.push(await costsOf(name));
    // Each of the two with a chance of one in two.
    expect(new Set(costs)).toEqual(new Set([1, 2]));
    for (const name of names.slice(0, 4)) expect(await costsOf(name)).toBe(costs[names.indexOf(name)]);
  });

  it('knows names and passwords beyond ASCII in UTF-8, however they were composed', async () => {
    const user = { user: 'jürgen', password_hash: await hashPassword('pässwort\u00a0☃') };
    const gateway = gatewayWith({ users: [user] });
    const composed = 'jürgen:pässwort ☃'.normalize('NFC');
    for (const pair of [composed, composed.normalize('NFD')])
      expect((await gateway.call(basic(pair))).identity?.id).toBe('auth-basic:jürgen'.normalize('NFC'));
    expect((await gateway.call(basic(Buffer.from(composed, 'latin1')))).outcome.error?.message).toMatch(
      /UTF-8/,
    );
    expect((await gateway.call(basic('jurgen:pässwort ☃'))).status).toBe(401);
  });

  it('takes colons as part of the password', async () => {
    const users = [{ user: 'ada', password_hash: await hashPassword('a:b:') }];
    expect((await gatewayWith({ users }).call(basic('ada:a:b:'))).status).toBe(200);
  });

  it('says what would do to a caller who has nothing', async () => {
    const { status, headers } = await gatewayWith().call({});
    expect([status, headers['www-authenticate']]).toEqual([401, 'Basic realm="sluice", charset="UTF-8"']);
  });

  it('leaves other schemes to others', async () => {
    for (const authorization of ['Bearer YWRhOnNlY3JldA==', 'BasicYWRhOnNlY3JldA==', 'Digest x']) {
      const { outcome } = await gatewayWith().call({ headers: { authorization } });
      expect(outcome.error?.message).toMatch(/wants to know who calls/);
    }
    expect(hashed).not.toHaveBeenCalled();
  });

  it.each([
    ['no base64', 'Basic ada:secret', /RFC 7617/],
    ['nothing', 'Basic ', /RFC 7617/],
    ['no colon', `Basic ${Buffer.from('ada').toString('base64')}`, /RFC 7617/],
    ['a line end', `Basic ${Buffer.from('ada\n:secret').toString('base64')}`, /RFC 7617/],
    ['a NUL', `Basic ${Buffer.from('ada:secret\0').toString('base64')}`, /RFC 7617/],
    ['two pairs', 'Basic YWRhOnNlY3JldA==, Basic YWRhOnNlY3JldA==', /RFC 7617/],
    ['too much', `Basic ${Buffer.alloc(2_000, 'a').toString('base64')}`, /longer than 1024/],
  ])('refuses %s before it computes anything', async (_, authorization, message) => {
    const { status, outcome } = await gatewayWith().call({ headers: { authorization } });
    expect(status).toBe(401);
    expect(outcome.error?.message).toMatch(message);
    expect(hashed).not.toHaveBeenCalled();
  });

  it('refuses a credential that was sent twice, right as it may be', async () => {
    const request = { ...basic('ada:secret'), repeatedHeaders: ['authorization'] };
    const { status, outcome } = await gatewayWith().call(request);
    expect([status, outcome.error?.message]).toEqual([401, 'the credential was sent more than once']);
  });

  it.each(['Ada', 'ADA', 'ada ', ' ada', 'аda', '__proto__', 'constructor', ''])(
    'takes %j for nobody',
    async (user) => {
      expect((await gatewayWith().call(basic(`${user}:secret`))).status).toBe(401);
    },
  );

  it('bounds the hashes that are computed, and sends those away who would wait too long', async () => {
    const gateway = gatewayWith();
    const waiting: (() => void)[] = [];
    hashed.mockImplementation((...args: unknown[]) => {
      const done = args.at(-1) as (error: null, key: Buffer) => void;
      waiting.push(() => done(null, Buffer.alloc(32)));
    });
    const calls = Array.from({ length: 60 }, (_, index) => gateway.call(basic(`ada:${index}`)));
    const late = await calls[59];
    expect([late?.status, late?.headers['retry-after']]).toEqual([429, '5']);
    expect(waiting).toHaveLength(2);
    for (let index = 0; index < 52; index++) {
      await vi.waitUntil(() => waiting.length > index);
      expect(waiting.length).toBeLessThanOrEqual(index + 2);
      waiting[index]?.();
    }
    const statuses = (await Promise.all(calls)).map(({ status }) => status);
    expect(statuses.filter((status) => status === 401)).toHaveLength(52);
    expect(statuses.filter((status) => status === 429)).toHaveLength(8);
    const { scrypt: own } = await vi.importActual<typeof import('node:crypto')>('node:crypto');
    hashed.mockImplementation(own as typeof scrypt);
  });

  it('logs no password', async () => {
    const gateway = gatewayWith();
    const { outcome, headers } = await gateway.call(basic('ada:hunter2-and-more'));
    const told = JSON.stringify([outcome.error, headers, gateway.logged, [...gateway.counted]]);
    expect(told).not.toContain('hunter2');
    expect(told).not.toContain(Buffer.from('ada:hunter2-and-more').toString('base64'));
  });
});

describe('configuration', () => {
  const hash = (costs: string) => ({ user: 'ada', password_hash: SECRET.replace('ln=14,r=8,p=1', costs) });
  it('needs no user: those with passwords among the credentials come beside', () => {
    expect(configProblems(authBasic, {})).toEqual([]);
  });

  it.each([
    [{ users: [{ user: 'ada' }] }, 'users[0].password_hash'],
    [{ users: [{ user: 'ada', password: 'secret' }] }, 'users[0].password'],
    [{ users: [{ ...ADA, password_hash: 'secret' }] }, 'users[0].password_hash'],
    [{ users: [{ ...ADA, password_hash: '$2b$12$abcdefghijklmnopqrstuv' }] }, 'users[0].password_hash'],
    [{ users: [hash('ln=13,r=8,p=9')] }, 'users[0].password_hash'],
    [{ users: [hash('ln=14,r=1,p=8')] }, 'users[0].password_hash'],
    [{ users: [hash('ln=14,r=8,p=0')] }, 'users[0].password_hash'],
    [{ users: [hash('ln=14,r=8,p=99')] }, 'users[0].password_hash'],
    [{ users: [hash('ln=18,r=8,p=1')] }, 'users[0].password_hash'],
    [{ users: [hash('ln=99,r=8,p=1')] }, 'users[0].password_hash'],
    [{ users: [{ ...ADA, user: 'a:b' }] }, 'users[0].user'],
    [{ users: [{ ...ADA, user: 'jürgen'.normalize('NFD') }] }, 'users[0].user'],
    [{ users: [ADA, ADA] }, 'users[1].user'],
    [{ users: [ADA], cache_ttl: '2h' }, 'cache_ttl'],
    [{ users: [ADA], cache_ttl: 5 }, 'cache_ttl'],
    [{ users: [ADA], realm: 'x' }, 'realm'],
  ])('%# is refused at %s', (config, path) => {
    const problems = configProblems(authBasic, config);
    expect(problems.map((problem) => problem.path)).toContain(path);
    expect(JSON.stringify(problems)).not.toContain('c2FsdHNhbHRzYWx0c2FsdA');
  });
});
