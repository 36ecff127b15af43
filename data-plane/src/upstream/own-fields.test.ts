import { describe, expect, it } from 'vitest';
import { withOwnFields } from './own-fields.js';

const LINES =
  'content-type: application/json\r\nAuthorization: Bearer of all\r\nx-a: 1\r\nmcp-method: ping\r\n';

describe('fields of plugins', () => {
  it('leave everything as it is where there are none', () => {
    expect(withOwnFields(LINES, undefined)).toBe(LINES);
  });

  it('come in place of those of the same name, and take others away', () => {
    expect(withOwnFields(LINES, { authorization: 'Bearer mine', 'x-a': undefined, 'x-b': 'Ünal' })).toBe(
      'content-type: application/json\r\nmcp-method: ping\r\nauthorization: Bearer mine\r\nx-b: Ünal\r\n',
    );
  });

  it.each<[string, string | undefined]>([
    ['content-type', 'text/plain'],
    ['content-length', '0'],
    ['transfer-encoding', 'chunked'],
    ['host', 'other'],
    ['mcp-method', undefined],
    ['mcp-session-id', 'x'],
    ['sluice-internal-hop', '1'],
    ['x-b', 'a\r\nx-admin: yes'],
    ['x-b\r\nx-admin', 'yes'],
    ['x b', 'yes'],
    ['X-A', 'upper case is another spelling of a name'],
    ['', 'yes'],
  ])('never have %j of %j', (name, value) => {
    expect(withOwnFields(LINES, { [name]: value })).toBe(LINES);
  });
});
