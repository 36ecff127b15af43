import { describe, expect, it } from 'vitest';
import type { RequestHead } from '../listener/listener.js';
import { Guard, type GuardOptions, isLoopback } from './guard.js';

function guard(options: Partial<GuardOptions>): (host?: string, origin?: string) => string | undefined {
  const own = new Guard({ host: '127.0.0.1', allowedHosts: [], allowedOrigins: [], ...options });
  return (host, origin) => own.refusal({ headers: { host, origin } } as unknown as RequestHead);
}

describe('on loopback', () => {
  const refusal = guard({});

  it.each([
    'localhost',
    'localhost:8080',
    'LocalHost:8080',
    '127.0.0.1',
    '127.0.0.1:1',
    '[::1]',
    '[::1]:8080',
    'localhost:',
  ])('the Host %s is served', (host) => {
    expect(refusal(host)).toBeUndefined();
  });

  it.each([
    undefined,
    '',
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    'evil-localhost',
    '127.0.0.1.evil.example',
    '127.0.0.2',
    'localhost:8080@evil.example',
    'localhost:80:80',
    'localhost:http',
    'user@localhost',
    '[::1',
    '[::1]evil.example',
    '[::2]',
    '::1',
    'localhost, evil.example',
    '0.0.0.0',
    ' localhost',
  ])('the Host %j is not', (host) => {
    for (const own of [refusal, guard({})])
      expect(own(host)).toContain(`the Host ${JSON.stringify(host ?? '')}`);
  });

  it('a Host is judged anew after one that was served', () => {
    const own = guard({});
    expect(own('localhost')).toBeUndefined();
    expect(own('evil.example')).toBeDefined();
    expect(own('localhost')).toBeUndefined();
    expect(own('evil.example')).toBeDefined();
  });

  it.each([
    undefined,
    'http://localhost',
    'http://localhost:3000',
    'https://127.0.0.1:3000',
    'http://127.1.2.3',
    'http://[::1]:3000',
  ])('the Origin %s is served', (origin) => {
    expect(refusal('localhost', origin)).toBeUndefined();
  });

  it.each([
    'null',
    '',
    'https://evil.example',
    'http://localhost.evil.example',
    'http://127.0.0.1.evil.example',
    'http://localhost@evil.example',
    'file://localhost',
    'chrome-extension://localhost',
    'localhost',
    'http://localhost, https://evil.example',
  ])('the Origin %j is not', (origin) => {
    expect(refusal('localhost', origin)).toContain(`the Origin ${JSON.stringify(origin)}`);
  });

  it('a refusal names what could be configured, and quotes no more than needed', () => {
    expect(refusal('evil.example')).toContain('gateway.listen.allowed_hosts');
    expect(refusal('localhost', 'https://evil.example')).toContain('gateway.listen.allowed_origins');
    expect(refusal(`${'a'.repeat(5_000)}.example`)?.length).toBeLessThan(250);
    expect(refusal('localhost', `https://${'a'.repeat(5_000)}`)?.length).toBeLessThan(250);
  });
});

describe('configured names', () => {
  it('are served beside loopback, in any case and on any port', () => {
    const refusal = guard({ allowedHosts: ['Gateway.Example', 'fd00::7', 'with.port:8443'] });
    for (const host of [
      'gateway.example',
      'GATEWAY.example:443',
      'localhost',
      '[FD00::7]:1',
      'with.port:9',
    ]) {
      expect(refusal(host)).toBeUndefined();
    }
    expect(refusal('other.example')).toBeDefined();
  });

  it('are a list also beyond loopback, where without one any name is served', () => {
    expect(guard({ host: '0.0.0.0' })('anything.example')).toBeUndefined();
    const listed = guard({ host: '0.0.0.0', allowedHosts: ['gateway.example'] });
    expect(listed('gateway.example')).toBeUndefined();
    expect(listed('anything.example')).toBeDefined();
    expect(guard({ host: 'fd00::1', allowedHosts: ['x'] })('[fd00::1]:8080')).toBeUndefined();
  });

  it('may be all', () => {
    expect(guard({ allowedHosts: ['*'] })('anything.example')).toBeUndefined();
    expect(guard({ allowedOrigins: ['*'] })('localhost', 'https://anything.example')).toBeUndefined();
  });

  it('of origins are compared whole', () => {
    const refusal = guard({ host: '0.0.0.0', allowedOrigins: ['https://App.example/', 'null'] });
    expect(refusal('x', 'https://app.example')).toBeUndefined();
    expect(refusal('x', 'HTTPS://APP.EXAMPLE')).toBeUndefined();
    expect(refusal('x', 'null')).toBeUndefined();
    for (const origin of [
      'http://app.example',
      'https://app.example:8443',
      'https://app.example.evil.example',
    ]) {
      expect(refusal('x', origin)).toBeDefined();
    }
  });

  it('beyond loopback, a page on loopback is as foreign as any other', () => {
    expect(guard({ host: '0.0.0.0' })('x', 'http://localhost:3000')).toBeDefined();
  });
});

describe('loopback', () => {
  it('is what only this machine reaches', () => {
    for (const host of ['localhost', '127.0.0.1', '127.255.0.3', '::1', '[::1]'])
      expect(isLoopback(host)).toBe(true);
    for (const host of ['0.0.0.0', '::', '128.0.0.1', '127.0.0.1.example', 'localhost.example'])
      expect(isLoopback(host)).toBe(false);
  });
});
