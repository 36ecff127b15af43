import type { Setting } from './settings.js';

const DURATION_UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

const BYTE_UNITS = [
  ['GiB', 2 ** 30],
  ['MiB', 2 ** 20],
  ['KiB', 2 ** 10],
] as const;

/** A number as a person writes it for a setting of this type, in the largest unit that leaves it whole. */
export function formatQuantity(number: number, type: Setting['type']): string {
  if (type !== 'duration' && type !== 'bytes') return String(number);
  const units = type === 'duration' ? DURATION_UNITS : BYTE_UNITS;
  const unit = number === 0 ? undefined : units.find(([, size]) => number % size === 0);
  if (unit !== undefined) return `${number / unit[1]}${unit[0]}`;
  return type === 'duration' ? `${number}ms` : String(number);
}
