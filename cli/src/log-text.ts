import { palette, printable } from './terminal.js';

/** Numeric levels of pino, and the words for them. */
export const LEVEL_NUMBERS = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 } as const;

const LEVEL_WORDS = new Map<number, keyof typeof LEVEL_NUMBERS>(
  Object.entries(LEVEL_NUMBERS).map(([word, number]) => [number, word as keyof typeof LEVEL_NUMBERS]),
);
const WIDEST_LEVEL = 5;

/** Fields of a log line that the text form shows elsewhere or not at all: a terminal belongs to one process. */
const NOT_AS_FIELDS = new Set(['level', 'time', 'msg', 'pid', 'hostname', 'err']);

/**
 * Turns one JSON log line into a line for people:
 *
 *     12:01:02.123  info   listening   url=http://127.0.0.1:8080 listener=uws workers=1
 *
 * Errors follow with their stack, indented. What is not a JSON object is passed on as it is.
 */
export function formatLogLine(line: string, colour: boolean): string {
  const record = parseRecord(line);
  if (record === undefined) return line.endsWith('\n') ? line : `${line}\n`;
  const paint = palette(colour);
  const word = LEVEL_WORDS.get(Number(record.level)) ?? String(record.level);
  const level = { warn: paint.yellow, error: paint.red, fatal: paint.red }[word as string] ?? paint.cyan;
  const fields = Object.entries(record)
    .filter(([name]) => !NOT_AS_FIELDS.has(name))
    .map(([name, value]) => `${paint.dim(`${printable(name)}=`)}${fieldText(value)}`);
  const parts = [
    paint.dim(timeOfDay(Number(record.time))),
    level(word.padEnd(WIDEST_LEVEL)),
    [printable(String(record.msg ?? '')), ...(fields.length ? [fields.join(' ')] : [])].join('   '),
  ];
  return `${parts.join('  ')}\n${errorText(record.err)}`;
}

function parseRecord(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** Local time: whoever reads text sits at the machine or looks at a clock beside it. */
function timeOfDay(timeMs: number): string {
  if (!Number.isFinite(timeMs)) return '--:--:--.---';
  const date = new Date(timeMs);
  const two = (part: number) => String(part).padStart(2, '0');
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
  return `${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}

function fieldText(value: unknown): string {
  if (typeof value === 'string' && /^[^\s"=]+$/.test(value) && printable(value) === value) return value;
  return printable(JSON.stringify(value) ?? String(value));
}

function errorText(err: unknown): string {
  if (typeof err !== 'object' || err === null) return '';
  const { stack, message } = err as { stack?: unknown; message?: unknown };
  const text =
    typeof stack === 'string' ? stack : typeof message === 'string' ? message : JSON.stringify(err);
  return text
    .split('\n')
    .map((line) => `    ${printable(line)}\n`)
    .join('');
}
