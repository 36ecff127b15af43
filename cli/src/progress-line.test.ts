import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ProgressLine } from './progress-line.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const FRAME_MS = 100;

interface Terminal {
  TERM: string;
  NO_COLOR?: string | undefined;
}

/** What is written to a terminal while two upstreams are waited for, the first of which answers. */
function written(env: Terminal): string {
  let out = '';
  const terminal = { isTTY: true, columns: 20, write: (text: string) => (out += text) };
  let text = '0 of 2';
  const line = new ProgressLine(terminal as unknown as NodeJS.WriteStream, () => text, { ...env });
  vi.advanceTimersByTime(FRAME_MS);
  text = '1 of 2, and a name that is long';
  vi.advanceTimersByTime(FRAME_MS);
  line.end();
  vi.advanceTimersByTime(FRAME_MS);
  return out;
}

test.each([{ TERM: 'xterm' }, { TERM: 'xterm', NO_COLOR: '' }])(
  'with %j it is one line, no longer than the terminal is wide, and gone at the end',
  (env: Terminal) => {
    const lines = written(env).split('\r\u001b[K');
    expect(lines).toEqual(['', '⠋ 0 of 2', '⠙ 0 of 2', '⠹ 1 of 2, and a nam', '']);
  },
);

test.each([{ TERM: 'dumb' }, { TERM: 'xterm', NO_COLOR: '1' }])(
  'with %j every new text is a whole line, without escape codes',
  (env: Terminal) => {
    expect(written(env)).toBe('0 of 2\n1 of 2, and a name that is long\n');
  },
);
