// @ts-check
// A server of 2026-07-28 over stdio whose tools do what no server should.

import { createInterface } from 'node:readline';

const REVISION = '2026-07-28';
const LARGE = 'a'.repeat(64 * 1024);

/** @param {string} line */
const write = (line) => process.stdout.write(`${line}\n`);
/** @param {unknown} id @param {object} value */
const result = (id, value) =>
  JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', ...value } });
/** @param {unknown} id */
const good = (id) => result(id, { content: [{ type: 'text', text: 'fine' }] });

/** @param {import('node:stream').Writable} stream */
function endless(stream) {
  const go = () => {
    while (stream.write(LARGE));
  };
  stream.on('drain', go);
  go();
}

/** By the name of the tool. @type {Record<string, (id: unknown) => void>} */
const behaviours = {
  good: (id) => write(good(id)),
  hangs: () => undefined,
  writes_garbage_first: (id) => write(`Server started\n\n\u0000{"jsonrpc"}\n[1]\n${good(id)}`),
  asks_first: (id) => write(`{"jsonrpc":"2.0","id":1,"method":"roots/list"}\n${good(id)}`),
  answers_twice: (id) => write(`${good(id)}\n${good(id)}`),
  floods_stderr_first: (id) => process.stderr.write(`${LARGE}\n`.repeat(200), () => write(good(id))),
  answers_half: (id) => write(good(id).slice(0, -5)),
  has_a_key_twice: (id) => write(good(id).replace('"result"', '"id":7,"result"')),
  is_no_utf8: (id) => process.stdout.write(Buffer.from(`${good(id).replace('fine', '\u00ff')}\n`, 'latin1')),
  answers_somebody_else: () => write(good('somebody else')),
  exits: () => process.exit(3),
  is_killed: () => process.kill(process.pid, 'SIGKILL'),
  writes_a_line_without_end: () => endless(process.stdout),
};

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) return;
  if (method === 'server/discover') {
    const serverInfo = { name: 'misbehaving', version: '1.0.0' };
    write(
      result(id, {
        supportedVersions: [REVISION],
        capabilities: { tools: {} },
        serverInfo,
        ttlMs: 0,
        cacheScope: 'public',
      }),
    );
  } else if (method === 'tools/list') {
    const tools = Object.keys(behaviours).map((name) => ({ name, inputSchema: { type: 'object' } }));
    write(result(id, { tools, ttlMs: 0, cacheScope: 'public' }));
  } else if (method === 'tools/call') behaviours[params.name]?.(id);
});
