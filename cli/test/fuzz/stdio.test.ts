import { expect, test } from 'vitest';
import { SluiceProcess, writeFile } from '../cli/sluice-process.js';
import { plain } from '../stories/upstreams.js';
import { readCorpus } from './corpus.js';
import { Random } from './random.js';

/* "Whatever my client writes, what it reads are messages, and the next one is answered." */

const LINE_COUNT = 5_000;
const SEED = 20_241_105;
const HELLO =
  '{"jsonrpc":"2.0","id":"first","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}';
const LAST = '{"jsonrpc":"2.0","id":"last","method":"ping"}';

/** Some bytes of a message are others, or its end is missing. */
function mutated(message: string, random: Random): Buffer {
  const bytes = Buffer.from(message);
  for (let count = random.below(4); count > 0; count--) bytes[random.below(bytes.length)] = random.below(256);
  return random.oneIn(10) ? bytes.subarray(0, random.below(bytes.length)) : bytes;
}

test('mutated messages on stdin cost nothing but themselves', async () => {
  const random = new Random(SEED);
  const messages = readCorpus()
    .map(({ body }) => body)
    .filter((body) => body !== '');
  const file = writeFile('sluice.json', JSON.stringify({ upstreams: [plain('a')] }));
  const sluice = new SluiceProcess(['stdio', '--config', file, '--log-format', 'json']);
  const lines = Array.from({ length: LINE_COUNT }, () => [
    mutated(random.of(messages), random),
    Buffer.from('\n'),
  ]);
  sluice.child.stdin?.write(`${HELLO}\n`);
  await sluice.until('a session', () => sluice.stdout.includes('"id":"first"') || undefined);
  sluice.child.stdin?.end(Buffer.concat([...lines.flat(), Buffer.from(`\n${LAST}\n`)]));
  expect(await sluice.ended).toBe(0);
  const said = sluice.stdout.trimEnd().split('\n');
  const isMessage = (line: string) => [JSON.parse(line)].flat().every(({ jsonrpc }) => jsonrpc === '2.0');
  expect(said.filter((line) => !isMessage(line))).toEqual([]);
  expect(said.length).toBeGreaterThan(LINE_COUNT / 2);
  expect(said.map((line) => JSON.parse(line)).find(({ id }) => id === 'last')).toMatchObject({ result: {} });
  expect(sluice.log.filter(({ msg }) => msg.startsWith('an exception'))).toEqual([]);
});
