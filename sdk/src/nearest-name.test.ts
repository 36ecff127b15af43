import { describe, expect, it } from 'vitest';
import { nearestName } from './nearest-name.js';

describe('nearestName', () => {
  const names = [
    'listen',
    'listener',
    'max_body_bytes',
    'max_header_bytes',
    'mcpServers',
    'url',
    'host',
    'port',
  ];

  it.each([
    ['lisen', 'listen'],
    ['prot', 'port'],
    ['hots', 'host'],
    ['URL', 'url'],
    ['uri', 'url'],
    ['maxBodyBytes', 'max_body_bytes'],
    ['max-header-byte', 'max_header_bytes'],
    ['max_header', 'max_header_bytes'],
    ['servers', 'mcpServers'],
    ['listner', 'listener'],
  ])('%s was meant to be %s', (name, near) => {
    expect(nearestName(name, names)).toBe(near);
  });

  it.each([['zzz'], ['ab'], [''], ['something_else'], ['x'.repeat(10_000)]])('%s is near nothing', (name) => {
    expect(nearestName(name, names)).toBeUndefined();
  });
});
