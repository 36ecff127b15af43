import { expect, it } from 'vitest';
import { parseUnixUrl } from './unix-url.js';

const placeOf = (url: string) => {
  const parsed = parseUnixUrl(url);
  return parsed && [parsed.origin.socketPath, parsed.path];
};

it.each([
  ['unix:///run/mcp.sock', '/run/mcp.sock', '/mcp'],
  ['unix:///run/mcp.sock:/other?key=1', '/run/mcp.sock', '/other?key=1'],
  ['UNIX:///a%20b', '/a%20b', '/mcp'],
])('%s goes to the socket %s and the endpoint %s', (url, socketPath, path) => {
  expect(placeOf(url)).toEqual([socketPath, path]);
});

it.each(['http://localhost/mcp', 'unix://relative.sock', 'unix:///run/mcp.sock:other'])(
  '%s is no address of a Unix socket',
  (url) => {
    expect(placeOf(url)).toBeUndefined();
  },
);
