import { expect, it } from 'vitest';
import type { NewRecord } from './audit-file.js';
import { receivedBatch, sentBatches } from './sent-batch.js';

function record(index: number, personal?: object): NewRecord {
  const id = `r-${index}`;
  const open = JSON.stringify({ kind: 'exchange', id, time: new Date(index).toISOString() });
  return { id, timeMs: index, open, personal: personal && JSON.stringify(personal) };
}

it('comes as it was sent, with the node, in messages that are small enough', () => {
  const records = Array.from({ length: 300 }, (_, index) =>
    record(index, index % 2 === 0 ? { text: 'ü'.repeat(4_000) } : undefined),
  );
  const texts = sentBatches(records);
  expect(texts.length).toBeGreaterThan(2);
  for (const text of texts) expect(Buffer.byteLength(text)).toBeLessThan(420 * 1024);
  const received = texts.flatMap((text) => receivedBatch(text, 'eu-1'));
  expect(
    received.map(({ open, ...rest }) => ({ ...rest, open: open.replace(',"node":"eu-1"', '') })),
  ).toEqual(records);
  expect(received.every(({ open }) => JSON.parse(open).node === 'eu-1')).toBe(true);
});

const time = '1970-01-01T00:00:00.000Z';
it.each([
  ['{}', /no list/],
  ['[1]', /no record/],
  ['[["a",0,"{}"]]', /no record/],
  ['[["a",0,"{}",null]]', /none that a node makes/],
  [
    JSON.stringify([['a', 0, `{"kind":"erased","id":"a","time":"${time}","ranges":[[1,99]]}`, null]]),
    /none that/,
  ],
  [JSON.stringify([['a', 0, `{"kind":"exchange","id":"b","time":"${time}"}`, null]]), /none that/],
  [JSON.stringify([['a', 5, `{"kind":"exchange","id":"a","time":"${time}"}`, null]]), /none that/],
  [JSON.stringify([['a', 0, `{"kind":"exchange","id":"a","time":"${time}"}`, '{']]), /JSON/],
  ['[', /JSON/],
  [
    JSON.stringify([
      ['a', 0, `{"kind":"exchange","id":"a","time":"${time}"}`, `{"a":${'['.repeat(600)}${']'.repeat(600)}}`],
    ]),
    /nested too deeply/,
  ],
])('refuses %s', (text, message) => {
  expect(() => receivedBatch(text, 'eu-1')).toThrow(message);
});
