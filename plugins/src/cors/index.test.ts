import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import cors from './index.js';

const ORIGIN = 'https://app.example.com';
const CONFIG = { allowed_origins: [ORIGIN, 'vscode-webview://abc'] };

function preflight(headers: Record<string, string> = {}) {
  return {
    httpMethod: 'OPTIONS',
    headers: { origin: ORIGIN, 'access-control-request-method': 'POST', ...headers },
  };
}

describe('cors', () => {
  it('answers a preflight with all that MCP clients send', async () => {
    const gateway = testPlugin(cors, { config: CONFIG });
    const { status, headers, page } = await gateway.call(preflight());
    expect(status).toBe(204);
    expect(page?.body).toBe('');
    expect(headers).toEqual({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-methods': 'GET, POST, DELETE',
      'access-control-allow-headers':
        'Authorization, Content-Type, Last-Event-ID, Mcp-Method, Mcp-Name, MCP-Protocol-Version, Mcp-Session-Id, X-API-Key',
      'access-control-max-age': '600',
      vary: 'Origin, Access-Control-Request-Headers',
    });
    expect(gateway.reached).toEqual([]);
  });

  it('allows the parameters of tools that are asked for, and no other text', async () => {
    const wanted =
      'content-type, Mcp-Param-Region , x-evil, mcp-param-a b, mcp-param-ä, mcp-param-, mcp-param-b';
    const gateway = testPlugin(cors, { config: { ...CONFIG, allowed_headers: [] } });
    const { headers } = await gateway.call(preflight({ 'access-control-request-headers': wanted }));
    expect(headers['access-control-allow-headers']).toBe('mcp-param-region, mcp-param-b');
    const many = Array.from({ length: 1_000 }, (_, index) => `mcp-param-${index}`).join();
    const flooded = await gateway.call(preflight({ 'access-control-request-headers': many }));
    expect(flooded.headers['access-control-allow-headers']?.split(',')).toHaveLength(96);
  });

  it('lets a page read the answer, refusals too', async () => {
    const gateway = testPlugin(cors, { config: CONFIG });
    const { status, headers } = await gateway.call({ tool: 'files:read', headers: { origin: ORIGIN } });
    expect(status).toBe(200);
    expect(headers).toEqual({
      'access-control-allow-origin': ORIGIN,
      'access-control-expose-headers':
        'Mcp-Session-Id, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate',
      vary: 'Origin',
    });
  });

  it('is in front of finding out who calls: a preflight carries no credential', async () => {
    const { default: authApiKey } = await import('../auth-api-key/index.js');
    const beside = [{ plugin: authApiKey, config: { hash_key: 'x'.repeat(32) } }];
    const gateway = testPlugin(cors, { config: CONFIG, beside });
    expect((await gateway.call(preflight())).status).toBe(204);
    const { status, headers } = await gateway.call({ headers: { origin: ORIGIN } });
    expect(status).toBe(401);
    expect(headers['access-control-allow-origin']).toBe(ORIGIN);
  });

  it.each([
    ['another', 'https://evil.example.com'],
    ['one that begins the same', `${ORIGIN}.evil.example`],
    ['one that ends the same', 'https://not-app.example.com'],
    ['another scheme', 'http://app.example.com'],
    ['another port', `${ORIGIN}:8443`],
    ['another case', 'https://APP.example.com'],
    ['a path behind', `${ORIGIN}/`],
    ['a dot behind', `${ORIGIN}.`],
    ['null', 'null'],
    ['two at once', `${ORIGIN}, https://evil.example.com`],
    ['a confusable', 'https://\u0430pp.example.com'],
    ['nothing', ''],
    ['a star', '*'],
  ])('refuses the Origin of %s, on preflights and on requests', async (_, origin) => {
    const gateway = testPlugin(cors, { config: CONFIG });
    for (const request of [preflight({ origin }), { tool: 'files:read', headers: { origin } }]) {
      const { status, headers, outcome } = await gateway.call(request);
      expect(status).toBe(403);
      expect(headers).toEqual({ vary: 'Origin' });
      expect(outcome.error?.message).toBe(`pages of the Origin "${origin}" may not use this endpoint`);
    }
    expect(gateway.reached).toEqual([]);
  });

  it('lets clients that are no pages of others pass', async () => {
    const gateway = testPlugin(cors, { config: CONFIG });
    const clients: Record<string, string>[] = [{}, { origin: 'https://gateway.example.com' }];
    for (const headers of clients) {
      const said = await gateway.call({ tool: 'files:read', headers });
      expect([said.status, said.headers]).toEqual([200, { vary: 'Origin' }]);
    }
  });

  it('lets any page in where any may, and says nothing about credentials', async () => {
    const gateway = testPlugin(cors, { config: { allowed_origins: ['*'], exposed_headers: [] } });
    const { headers } = await gateway.call({ tool: 'files:read', headers: { origin: 'null' } });
    expect(headers).toEqual({ 'access-control-allow-origin': '*' });
  });

  it('lets browsers send cookies where it was said', async () => {
    const gateway = testPlugin(cors, { config: { ...CONFIG, allow_credentials: true, max_age: '2h' } });
    const { headers } = await gateway.call(preflight());
    expect(headers).toMatchObject({
      'access-control-allow-origin': ORIGIN,
      'access-control-allow-credentials': 'true',
      'access-control-max-age': '7200',
    });
  });

  it('leaves an OPTIONS that is no preflight to others', async () => {
    const gateway = testPlugin(cors, { config: CONFIG });
    const { page } = await gateway.call({ httpMethod: 'OPTIONS', headers: { origin: ORIGIN } });
    expect(page).toBeUndefined();
  });

  it.each([
    [{}, 'allowed_origins'],
    [{ allowed_origins: [] }, 'allowed_origins'],
    [{ allowed_origins: 'https://a.example' }, 'allowed_origins'],
    [{ allowed_origins: ['a.example'] }, 'allowed_origins[0]'],
    [{ allowed_origins: ['https://a.example/'] }, 'allowed_origins[0]'],
    [{ allowed_origins: ['https://a.example:443'] }, 'allowed_origins[0]'],
    [{ allowed_origins: ['https://A.example'] }, 'allowed_origins[0]'],
    [{ allowed_origins: ['https://ä.example'] }, 'allowed_origins[0]'],
    [{ allowed_origins: ['https://user@a.example'] }, 'allowed_origins[0]'],
    [{ allowed_origins: ['https://a.example\r\nx: y'] }, 'allowed_origins[0]'],
    [{ allowed_origins: ['https://*.a.example'] }, 'allowed_origins[0]'],
    [{ allowed_origins: ['https://a.example', 'null'] }, 'allowed_origins[1]'],
    [{ allowed_origins: ['https://a.example', '*'] }, 'allowed_origins[1]'],
    [{ allowed_origins: ['*'], allow_credentials: true }, 'allow_credentials'],
    [{ ...CONFIG, allowed_methods: ['GET, POST'] }, 'allowed_methods[0]'],
    [{ ...CONFIG, allowed_headers: ['a\r\nb: c'] }, 'allowed_headers[0]'],
    [{ ...CONFIG, exposed_headers: [''] }, 'exposed_headers[0]'],
    [{ ...CONFIG, max_age: 600 }, 'max_age'],
    [{ ...CONFIG, origins: [] }, 'origins'],
  ])('refuses the configuration %j', (config, path) => {
    expect(configProblems(cors, config).map((problem) => problem.path)).toContain(path);
  });
});
