import type { DescEnum } from '@bufbuild/protobuf';
import { enumWords, type SettingRange } from '@sluice/proto';

/** A value in the protobuf JSON mapping, or what is wrong with what was written. */
export type Converted =
  | { readonly json: string | number | boolean }
  | { readonly message: string; readonly hint: string };

/** What a file or a variable can hold for a single setting. */
export type WrittenValue = string | number | bigint | boolean;

const MAX_UINT32 = 0xffff_ffff;

/**
 * Whole numbers, also as text, since `${PORT}` and environment variables are text.
 *
 * @param range of the setting, to say what would be right of a number that no whole number can be
 */
export function convertNumber(
  written: WrittenValue,
  { min, max }: SettingRange = { min: 0, max: MAX_UINT32 },
): Converted {
  const value = typeof written === 'string' && /^\s*-?\d+\s*$/.test(written) ? Number(written) : written;
  if (typeof value === 'bigint' || (typeof value === 'number' && (value < 0 || value > MAX_UINT32))) {
    return { message: 'out of range', hint: `write a whole number from ${min} to ${max}` };
  }
  if (typeof value !== 'number' || !Number.isInteger(value)) {
    return { message: 'not a whole number', hint: 'write digits only, for example 8080' };
  }
  return { json: value };
}

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  1: true,
  false: false,
  no: false,
  off: false,
  0: false,
};

/** `true` and `false`, and the words for them that are usual in environment variables. */
export function convertBoolean(written: WrittenValue): Converted {
  const word = String(written).trim().toLowerCase();
  const value = Object.hasOwn(BOOLEANS, word) ? BOOLEANS[word] : undefined;
  return value === undefined
    ? { message: 'neither true nor false', hint: 'write true or false' }
    : { json: value };
}

const UNIT_SECONDS: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };

const DURATION_HINT = 'write a number and its unit: 500ms, 10s, 5m, 2h, 1d or 1h30m';

/** Protobuf's own bound for a duration, about ten thousand years. */
const MAX_DURATION_SECONDS = 315_576_000_000;

/** `10s`, `500ms`, `1.5h`, `1h30m`; protobuf's own form (`0.500s`) is among them. */
export function convertDuration(written: WrittenValue): Converted {
  if (typeof written !== 'string') return { message: 'a duration without a unit', hint: DURATION_HINT };
  const text = written.trim();
  if (/^\d+$/.test(text)) return { message: 'a duration without a unit', hint: DURATION_HINT };
  if (!/^-?(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) {
    return { message: 'not a duration', hint: DURATION_HINT };
  }
  let seconds = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    seconds += Number(amount) * (UNIT_SECONDS[unit as string] as number);
  }
  if (seconds > MAX_DURATION_SECONDS) return { message: 'a duration beyond all bounds', hint: DURATION_HINT };
  const sign = text.startsWith('-') ? '-' : '';
  return { json: `${sign}${seconds.toFixed(9).replace(/\.?0+$/, '')}s` };
}

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})$/i;
const TIME_HINT = 'write date, time and offset, for example 2027-01-31T00:00:00Z';

/** A point in time (RFC 3339). */
export function convertTime(written: WrittenValue): Converted {
  const text = typeof written === 'string' ? written.trim() : '';
  if (!TIME.test(text) || Number.isNaN(Date.parse(text))) return { message: 'not a time', hint: TIME_HINT };
  return { json: new Date(text).toISOString() };
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  ki: 2 ** 10,
  kib: 2 ** 10,
  mi: 2 ** 20,
  mib: 2 ** 20,
  gi: 2 ** 30,
  gib: 2 ** 30,
};

const BYTES_HINT = 'write a number of bytes, or a number with kB, MB, GB, KiB, MiB or GiB, for example 4MiB';

/** A number of bytes, or `4MiB`, `512 KiB`, `1.5 GB`. */
export function convertBytes(written: WrittenValue): Converted {
  if (typeof written !== 'string') {
    const number = convertNumber(written);
    return 'json' in number ? number : { message: number.message, hint: BYTES_HINT };
  }
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(written) ?? [];
  const name = unit?.toLowerCase();
  if (amount === undefined || name === undefined || !Object.hasOwn(BYTE_UNITS, name)) {
    return { message: 'not a size', hint: BYTES_HINT };
  }
  const bytes = Number(amount) * (BYTE_UNITS[name] as number);
  if (bytes > MAX_UINT32) return { message: 'more than 4 GiB', hint: BYTES_HINT };
  return Number.isInteger(bytes)
    ? { json: bytes }
    : { message: 'not a whole number of bytes', hint: BYTES_HINT };
}

/** One of an enumeration's words, whatever its case; protobuf's own names (`ERA_MODERN`) are taken too. */
export function convertWord(description: DescEnum, written: WrittenValue): Converted {
  const words = enumWords(description);
  const text = String(written).trim();
  const word = words.get(text.toLowerCase().replaceAll('-', '_'));
  const value = word ?? description.values.find(({ name }) => name === text);
  if (value !== undefined) return { json: value.name };
  return { message: 'not one of the known words', hint: `write one of: ${[...words.keys()].join(', ')}` };
}
