import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { LineSplitter, type LongLine } from './line-splitter.js';

interface Outcome {
  lines: string[];
  failed: boolean;
}

function split(chunks: readonly Buffer[], maxLineBytes: number, longLine: LongLine): Outcome {
  const lines: string[] = [];
  const splitter = new LineSplitter(maxLineBytes, longLine, (line) => lines.push(line.toString('latin1')));
  let failed = false;
  for (const chunk of chunks) failed = !splitter.push(chunk);
  return { lines, failed };
}

/** What is meant, said in the plainest way. */
function reference(text: string, maxLineBytes: number, longLine: LongLine): Outcome {
  const lines: string[] = [];
  for (const raw of text.split('\n').slice(0, -1)) {
    const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
    if (line.length > maxLineBytes && longLine === 'fail') return { lines, failed: true };
    if (line.length > 0) lines.push(line.slice(0, maxLineBytes));
  }
  return { lines, failed: false };
}

/** Cuts at the given places, which may lie anywhere. */
function cut(text: string, places: readonly number[]): Buffer[] {
  const bytes = Buffer.from(text, 'latin1');
  const ends = [...new Set(places.map((place) => place % (bytes.length + 1))), bytes.length].sort(
    (a, b) => a - b,
  );
  // Copies, because the splitter owns what it is given.
  return ends.map((end, index) => Buffer.from(bytes.subarray(ends[index - 1] ?? 0, end)));
}

const text = fc
  .array(fc.constantFrom('a', 'bc', 'defgh', '{"x":1}', '\u00e9', '\r', '\n', '\r\n', '\n'), {
    maxLength: 60,
  })
  .map((parts) => `${parts.join('')}\n`);
const places = fc.array(fc.nat({ max: 500 }), { maxLength: 40 });

describe('LineSplitter', () => {
  it.each<LongLine>(['fail', 'cut'])('finds the same lines however the bytes arrive (%s)', (longLine) => {
    fc.assert(
      fc.property(text, places, fc.integer({ min: 1, max: 12 }), (whole, at, maxLineBytes) => {
        expect(split(cut(whole, at), maxLineBytes, longLine)).toEqual(
          reference(whole, maxLineBytes, longLine),
        );
      }),
      { numRuns: 1000 },
    );
  });

  it('keeps an unfinished line back until it is flushed', () => {
    const lines: string[] = [];
    const splitter = new LineSplitter(100, 'fail', (line) => lines.push(line.toString()));
    splitter.push(Buffer.from('one\ntw'));
    expect(lines).toEqual(['one']);
    splitter.flush();
    expect(lines).toEqual(['one', 'tw']);
    splitter.flush();
    expect(lines).toEqual(['one', 'tw']);
  });

  it('fails before the end of a line that is too long, and says nothing more', () => {
    const lines: string[] = [];
    const splitter = new LineSplitter(4, 'fail', (line) => lines.push(line.toString()));
    expect(splitter.push(Buffer.from('ok\n12345'))).toBe(true);
    expect(splitter.push(Buffer.from('6'))).toBe(false);
    expect(splitter.push(Buffer.from('\nok\n'))).toBe(false);
    expect(lines).toEqual(['ok']);
  });

  it('gives away lines that later input does not change', () => {
    const lines: Buffer[] = [];
    const splitter = new LineSplitter(100, 'fail', (line) => lines.push(line));
    for (const chunk of ['fi', 'rst\nsec', 'ond\nthird\n']) splitter.push(Buffer.from(chunk));
    expect(lines.map(String)).toEqual(['first', 'second', 'third']);
    lines[0]?.fill('x');
    expect(lines.map(String)).toEqual(['xxxxx', 'second', 'third']);
  });

  it('takes a long line byte by byte in linear memory', () => {
    const length = 200_000;
    const lines: number[] = [];
    const splitter = new LineSplitter(length, 'fail', (line) => lines.push(line.length));
    for (let index = 0; index < length; index += 1) splitter.push(Buffer.from('x'));
    splitter.push(Buffer.from('\r\n'));
    expect(lines).toEqual([length]);
  });
});
