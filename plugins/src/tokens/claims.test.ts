import { describe, expect, it } from 'vitest';
import { claimAt, mapClaims } from './claims.js';

const MAPPING = {
  subject: ['sub'],
  consumer: ['azp', 'cid'],
  tenant: ['tid'],
  scope_prefix: '',
  scopes: ['scope', 'scp', 'roles'],
};

describe('claims', () => {
  it.each([
    ['scope', { scope: 'a b' }, 'a b'],
    ['realm_access.roles', { realm_access: { roles: ['x'] } }, ['x']],
    ['https://example.com/roles', { 'https://example.com/roles': ['x'] }, ['x']],
    ['resource_access.my.client.roles', { resource_access: { 'my.client': { roles: ['x'] } } }, ['x']],
    ['a.b', { a: { b: 1 }, 'a.b': 2 }, 2],
    ['a.b', { a: 'text' }, undefined],
    ['a.0', { a: ['x'] }, undefined],
    ['toString', {}, undefined],
    ['__proto__.polluted', {}, undefined],
    ['constructor.name', {}, undefined],
  ])('finds %s in %j', (path, claims, found) => {
    expect(claimAt(claims, path)).toEqual(found);
  });

  it('takes the first of the names and all of the scopes, each once', () => {
    const claims = { sub: 'ada', cid: 'desktop', scope: 'a  b', scp: ['b', 'c', 7], roles: null };
    expect(mapClaims(claims, MAPPING)).toEqual({
      subject: 'ada',
      consumer: 'desktop',
      tenant: undefined,
      scopes: ['a', 'b', 'c'],
    });
  });

  it('puts in front of scopes what their issuer leaves out', () => {
    const mapping = { ...MAPPING, scope_prefix: 'https://gateway.example.com/mcp/' };
    expect(mapClaims({ scp: 'Tools.Read' }, mapping).scopes).toEqual([
      'https://gateway.example.com/mcp/Tools.Read',
    ]);
  });

  it('takes no number for a name: 1 and "1" would be one caller', () => {
    expect(mapClaims({ sub: 1 }, MAPPING).subject).toBeUndefined();
  });
});
