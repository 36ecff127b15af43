/** Durations in configurations, written as in the rest of the file: `500ms`, `10s`, `1h30m`. */
import { type StringOptions, type TString, Type } from '@sinclair/typebox';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A text that {@link durationMs} understands. */
export function Duration(options: StringOptions = {}): TString {
  return Type.String({ ...options, maxLength: 32, pattern: '^(?:[0-9]+(?:\\.[0-9]+)?(?:ms|s|m|h|d))+$' });
}

/** Milliseconds of a text that {@link Duration} has checked. */
export function durationMs(written: string): number {
  let sumMs = 0;
  for (const [, amount, unit] of written.matchAll(/([0-9.]+)(ms|s|m|h|d)/g))
    sumMs += Number(amount) * (UNIT_MS[unit as string] as number);
  return sumMs;
}
