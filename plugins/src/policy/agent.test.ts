import { testPlugin } from '@sluice/sdk/testing';
import { SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import policy from './index.js';

const NOW_S = 1_700_000_000;
const SECRET = 'the secret of those who start agents';
const RULES = [{ id: 'pay', when: 'agent.name == "till" && "pay" in agent.capabilities', outcome: 'allow' }];
const HEADER = {
  agent: { source: 'header', keys: [{ secret: SECRET }], issuer: 'starter', audience: 'sluice' },
  rules: RULES,
};
const TILL = { agent: 'till', agent_version: '2', agent_capabilities: ['pay', 'read'] };

interface Token {
  readonly claims?: object;
  readonly secret?: string;
  readonly issuer?: string;
  readonly audience?: string;
  readonly expiresS?: number;
  readonly type?: string;
}

function token({ claims = TILL, secret = SECRET, issuer, audience, expiresS, type }: Token = {}) {
  return new SignJWT({ ...claims })
    .setProtectedHeader({ alg: 'HS256', ...(type && { typ: type }) })
    .setIssuer(issuer ?? 'starter')
    .setAudience(audience ?? 'sluice')
    .setExpirationTime(expiresS ?? NOW_S + 60)
    .sign(new TextEncoder().encode(secret));
}

const gatewayWith = (config: object) => testPlugin(policy, { config, nowMs: NOW_S * 1_000 });
const pay = (headers: Record<string, string> = {}) => ({ tool: 'bank:pay', headers });

describe('an agent in a signed header', () => {
  it('is known by its token, as long as that counts', async () => {
    const gateway = gatewayWith(HEADER);
    const headers = { 'X-Agent-Token': await token() };
    for (let round = 0; round < 3; round++) expect((await gateway.call(pay(headers))).status).toBe(200);
    gateway.clock.advance(89_000);
    expect((await gateway.call(pay(headers))).status).toBe(200);
    gateway.clock.advance(2_000);
    const { status, outcome } = await gateway.call(pay(headers));
    expect([status, outcome.error?.message]).toEqual([403, 'the token has expired (header x-agent-token)']);
  });

  it('that cannot pay may not, and one without a token has no name', async () => {
    const gateway = gatewayWith(HEADER);
    const reader = await token({ claims: { ...TILL, agent_capabilities: 'read write' } });
    expect((await gateway.call(pay({ 'x-agent-token': reader }))).status).toBe(403);
    const { status, outcome } = await gateway.call({ ...pay(), client: { name: 'till' } });
    expect([status, outcome.error?.data]).toEqual([403, { error: 'policy_denied', rule: 'default' }]);
  });

  it.each<[string, () => Promise<string> | string, RegExp]>([
    ['of another signer', () => token({ secret: 'the secret of somebody else entirely' }), /signature/],
    ['of another issuer', () => token({ issuer: 'login' }), /issuer/],
    ['for another audience', () => token({ audience: 'shop' }), /audience/],
    ['that has expired', () => token({ expiresS: NOW_S - 60 }), /expired/],
    ['of another type', () => token({ type: 'logout+jwt' }), /type/],
    ['that nobody signed', () => `${btoa('{"alg":"none"}')}.${btoa(JSON.stringify(TILL))}.`, /algorithm/],
    ['that is none', () => 'till', /no signed JSON Web Token/],
  ])('with a token %s is refused', async (_, make, message) => {
    const { status, outcome } = await gatewayWith(HEADER).call(pay({ 'x-agent-token': await make() }));
    expect([status, outcome.error?.message]).toEqual([403, expect.stringMatching(message)]);
  });

  it('is refused with two tokens, and nobody is where all is only tried', async () => {
    const headers = { 'x-agent-token': await token() };
    const twice = { ...pay(headers), repeatedHeaders: ['x-agent-token'] };
    expect((await gatewayWith(HEADER).call(twice)).status).toBe(403);
    const tried = gatewayWith({ ...HEADER, mode: 'audit' });
    expect((await tried.call(pay({ 'x-agent-token': 'till' }))).status).toBe(200);
  });

  it('is asked for only where a rule wants to know', async () => {
    const gateway = gatewayWith({ ...HEADER, rules: [{ id: 'all', outcome: 'allow' }] });
    expect((await gateway.call(pay({ 'x-agent-token': 'till' }))).status).toBe(200);
  });
});

it('an agent in claims is what the principal is, whatever the program says', async () => {
  const gateway = gatewayWith({ agent: { source: 'claims', name: 'azp' }, rules: RULES });
  const claims = { azp: 'till', agent_capabilities: 'read pay' };
  expect((await gateway.call({ ...pay(), as: { claims } })).status).toBe(200);
  expect((await gateway.call({ ...pay(), client: { name: 'till', capabilities: { pay: {} } } })).status).toBe(
    403,
  );
});
