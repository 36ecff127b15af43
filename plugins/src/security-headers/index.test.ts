import { compileRoute } from '@sluice/sdk/engine';
import { configProblems, testPlugin } from '@sluice/sdk/testing';
import { describe, expect, it } from 'vitest';
import securityHeaders from './index.js';

const DEFAULTS = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
};

/** Fields for a client that calls the gateway by this origin. */
function fieldsOver(origin: string, config: object) {
  const { route } = testPlugin(securityHeaders, { config });
  const fields: Record<string, string> = {};
  const control = {
    setHeader: (name: string, value: string) => {
      expect(fields).not.toHaveProperty([name.toLowerCase()]);
      fields[name.toLowerCase()] = value;
    },
    limitBody: () => undefined,
  };
  expect(compileRoute(route.bindings).head({ origin, headers: {} } as never, control)).toBeUndefined();
  return fields;
}

describe('security-headers', () => {
  it('says what is right for an API, without any configuration', () => {
    expect(fieldsOver('http://127.0.0.1:8080', {})).toEqual(DEFAULTS);
  });

  it('asks for HTTPS only of those who came over HTTPS', () => {
    const over = (origin: string, config = {}) => fieldsOver(origin, config)['strict-transport-security'];
    expect(over('https://gateway.example.com')).toBe('max-age=31536000');
    expect(over('http://gateway.example.com')).toBeUndefined();
    expect(over('http://https.example.com')).toBeUndefined();
    expect(over('http://gateway.example.com', { behind_https: true })).toBe('max-age=31536000');
    expect(over('https://gateway.example.com', { strict_transport_security: '' })).toBeUndefined();
  });

  it('says what was configured, and leaves out what is empty', () => {
    const config = {
      content_security_policy: "default-src 'self'",
      frame_options: '',
      referrer_policy: '',
      additional: { 'Permissions-Policy': 'camera=()' },
    };
    expect(fieldsOver('http://127.0.0.1:8080', config)).toEqual({
      'content-security-policy': "default-src 'self'",
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
      'permissions-policy': 'camera=()',
    });
  });

  it('says it on refusals too', async () => {
    const { default: authApiKey } = await import('../auth-api-key/index.js');
    const beside = [{ plugin: authApiKey, config: { hash_key: 'x'.repeat(32) } }];
    const { status, headers } = await testPlugin(securityHeaders, { beside }).call({ tool: 'files:read' });
    expect(status).toBe(401);
    expect(headers).toMatchObject(DEFAULTS);
  });

  it.each([
    [{ content_security_policy: 'a\r\nb: c' }, 'content_security_policy'],
    [{ referrer_policy: 'nö' }, 'referrer_policy'],
    [{ referrer_policy: false }, 'referrer_policy'],
    [{ additional: { 'a b': 'c' } }, 'additional.a b'],
    [{ additional: { 'x\r\ny': 'c' } }, 'additional.x\r\ny'],
    [{ additional: { 'Content-Length': '0' } }, 'additional.Content-Length'],
    [{ additional: { 'Set-Cookie': 'a=b' } }, 'additional.Set-Cookie'],
    [{ additional: { 'Referrer-Policy': 'origin' } }, 'additional.Referrer-Policy'],
    [{ additional: { 'X-A': '1', 'x-a': '2' } }, 'additional.x-a'],
    [{ additional: { 'X-A': 'a\nb' } }, 'additional.X-A'],
    [{ hsts: true }, 'hsts'],
  ])('refuses the configuration %j', (config, path) => {
    expect(configProblems(securityHeaders, config).map((problem) => problem.path)).toContain(path);
  });
});
