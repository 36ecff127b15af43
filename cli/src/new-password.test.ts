import { PassThrough } from 'node:stream';
import { builtIn } from '@sluice/plugins';
import { testPlugin } from '@sluice/sdk/testing';
import { describe, expect, test, vi } from 'vitest';
import { EXIT } from './exit-codes.js';
import { printPasswordHash } from './new-password.js';

async function run(input: PassThrough & { isTTY?: boolean }) {
  const said = { out: '', err: '' };
  const code = await printPasswordHash(
    input,
    { write: (text) => (said.out += text) },
    { write: (text) => (said.err += text) },
  );
  return { code, ...said };
}

function piped(...chunks: (string | Buffer)[]) {
  const input = new PassThrough();
  for (const chunk of chunks) input.write(chunk);
  input.end();
  return input;
}

/** A terminal on which this is typed. */
function terminal(...keys: string[]) {
  const setRawMode = vi.fn();
  const input = Object.assign(new PassThrough(), { isTTY: true, setRawMode });
  for (const key of keys) input.write(key);
  return { input, setRawMode };
}

async function opens(hash: string, password: string): Promise<boolean> {
  const plugin = builtIn('auth-basic');
  if (plugin === undefined) throw new Error('there is no auth-basic');
  const gateway = testPlugin(plugin, { config: { users: [{ user: 'ada', password_hash: hash.trim() }] } });
  const authorization = `Basic ${Buffer.from(`ada:${password}`).toString('base64')}`;
  return (await gateway.call({ headers: { authorization } })).status === 200;
}

describe('a password through a pipe', () => {
  test.each([
    ['secret', 'secret'],
    ['secret\n', 'secret'],
    ['secret\r\n', 'secret'],
    [' with spaces \n', ' with spaces '],
    ['pässwörd ☃\n', 'pässwörd ☃'],
  ])('%j becomes the hash of %j', async (typed, password) => {
    const { code, out, err } = await run(piped(typed));
    expect([code, err]).toEqual([EXIT.ok, '']);
    expect(out).toMatch(/^\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}\n$/);
    expect(await opens(out, password)).toBe(true);
  });

  test('may come in pieces', async () => {
    const snowman = Buffer.from('☃');
    const { out } = await run(piped('sec', Buffer.from('ret'), snowman.subarray(0, 1), snowman.subarray(1)));
    expect(await opens(out, 'secret☃')).toBe(true);
  });

  test.each<[string, string | Buffer, RegExp]>([
    ['nothing', '', /no password/],
    ['a line end alone', '\n', /no password/],
    ['two lines', 'secret\nsecret\n', /one line/],
    ['a NUL', 'a\0b', /control characters/],
    ['too much', 'a'.repeat(513), /512 bytes at most/],
    ['far too much', 'a'.repeat(100_000), /512 bytes at most/],
    ['no UTF-8', Buffer.from([0x61, 0xff]), /UTF-8/],
  ])('%s is none', async (_, typed, message) => {
    const { code, out, err } = await run(piped(typed));
    expect([code, out]).toEqual([EXIT.usage, '']);
    expect(err).toMatch(message);
  });
});

describe('a password on a terminal', () => {
  test('is asked for twice and never shown', async () => {
    const { input, setRawMode } = terminal('secret\r', 'secret\r');
    const { code, out, err } = await run(input);
    expect([code, err]).toEqual([EXIT.ok, 'Password: \nAgain: \n']);
    expect(await opens(out, 'secret')).toBe(true);
    expect(setRawMode.mock.calls).toEqual([[true], [false], [true], [false]]);
  });

  test('can be corrected, and pasted with what follows', async () => {
    const { input } = terminal('wrong\u0015secrex\u007ft\rsecret\r');
    expect(await opens((await run(input)).out, 'secret')).toBe(true);
  });

  test('has to be the same twice', async () => {
    const { input } = terminal('secret\r', 'secert\r');
    expect(await run(input)).toMatchObject({
      code: EXIT.usage,
      out: '',
      err: expect.stringMatching(/two passwords/),
    });
  });

  test.each(['\u0003', '\u0004'])('is given up with %j, and the terminal is as before', async (key) => {
    const { input, setRawMode } = terminal('sec', key);
    expect(await run(input)).toMatchObject({ code: EXIT.unexpected, out: '' });
    expect(setRawMode.mock.lastCall).toEqual([false]);
  });
});
