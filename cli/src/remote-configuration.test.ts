import { afterEach, expect, test, vi } from 'vitest';
import { REMOTE_NAME, remoteConfiguration } from './remote-configuration.js';

const URL_TEXT = 'https://mcp.example.com/mcp';
const OWN = ['SLUICE_CONFIG'];

afterEach(() => void vi.unstubAllEnvs());

function problemsOf(connect: string, ...header: string[]) {
  const { configuration, problems } = remoteConfiguration({ connect, header }, OWN);
  expect(configuration).toBeUndefined();
  return problems.map(({ origin, message }) => `${origin}: ${message}`);
}

test('a relay has one upstream, which is the remote server', () => {
  vi.stubEnv('TOKEN', 'secret');
  vi.stubEnv('SLUICE_UPSTREAMS_FILES_URL', 'http://127.0.0.1:1/mcp');
  const header = ['Authorization: Bearer ${TOKEN}', 'X-Empty:'];
  const { configuration, problems } = remoteConfiguration({ connect: URL_TEXT, header }, OWN);
  expect(problems).toEqual([]);
  expect(configuration?.upstreams).toMatchObject([
    {
      name: REMOTE_NAME,
      transport: {
        case: 'http',
        value: { url: URL_TEXT, headers: { Authorization: 'Bearer secret', 'X-Empty': '' } },
      },
    },
  ]);
});

test('settings of the gateway come from flags and the environment', () => {
  vi.stubEnv('SLUICE_LIMITS_MAX_BODY_BYTES', '1MiB');
  const { configuration } = remoteConfiguration({ connect: URL_TEXT, logLevel: 'warn' }, OWN);
  expect(configuration?.gateway).toMatchObject({
    limits: { maxBodyBytes: 1024 * 1024 },
    log: { level: 'warn' },
  });
});

test('what is wrong is said of the option that it came from', () => {
  expect(problemsOf('not a url')).toEqual([expect.stringMatching(/^--connect: /)]);
  expect(problemsOf(URL_TEXT, 'Authorization: Bearer ${NOBODY_SETS_THIS}')).toEqual([
    '--header: the environment variable NOBODY_SETS_THIS is not set',
  ]);
  expect(problemsOf(URL_TEXT, 'Bad Name: x')).toEqual(['--header: "Bad Name" is no name of a header field']);
});

test('a header without a colon may be a secret, so it is not repeated', () => {
  expect(problemsOf(URL_TEXT, 'Bearer-abc')).toEqual(['--header: a header has no colon']);
});
