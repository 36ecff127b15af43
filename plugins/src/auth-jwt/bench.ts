import { createHmac } from 'node:crypto';
import type { PluginBench } from '../bench-case.js';
import plugin from './index.js';

const SECRET = 'known to this benchmark alone, for as long as it runs';
const ISSUER = 'https://issuer.example.com';
const AUDIENCE = 'https://gateway.example.com';
/** Seconds since the epoch: the year 2100. */
const EXPIRES_AT_S = 4_102_444_800;

function token(): string {
  const encoded = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url');
  const claims = { iss: ISSUER, aud: AUDIENCE, sub: 'bench', exp: EXPIRES_AT_S, scope: 'tools:read' };
  const signed = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`;
  return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
}

export const bench: PluginBench = {
  plugin,
  cases: [
    {
      name: 'a remembered token',
      stage: 'admission',
      config: { issuer: ISSUER, audience: AUDIENCE, keys: [{ secret: SECRET }] },
      request: { headers: { authorization: `Bearer ${token()}` } },
      isAsExpected: ({ found }) => found !== undefined && 'id' in found && found.scopes.length === 1,
    },
  ],
};
