/** Sizes in configurations, written as in the rest of the file: a number of bytes, or `512KiB`, `4MiB`, `1.5 GB`. */
import { type SchemaOptions, type TInteger, type TString, type TUnion, Type } from '@sinclair/typebox';

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
};
/** As for the gateway's own sizes: 4 GiB. */
const MAX_BYTES = 2 ** 32 - 1;

/** A number of at least one byte, or a text that {@link sizeBytes} understands. */
export function Size(options: SchemaOptions = {}): TUnion<[TInteger, TString]> {
  const written = '^[1-9][0-9]{0,9}(?:\\.[0-9]{1,9})? ?(?:[kK][bB]|[MG]B|[KMG]iB|B)?$';
  return Type.Union(
    [Type.Integer({ minimum: 1, maximum: MAX_BYTES }), Type.String({ pattern: written })],
    options,
  );
}

/**
 * Bytes of what {@link Size} has checked.
 *
 * @param maxBytes what more than that counts as; more than 4 GiB for what is not held in memory.
 */
export function sizeBytes(written: number | string, maxBytes = MAX_BYTES): number {
  if (typeof written === 'number') return written;
  const [, amount, unit = ''] = /^([0-9.]+) ?([a-z]*)$/i.exec(written) ?? [];
  const bytes = Math.floor(Number(amount) * (UNIT_BYTES[unit.toLowerCase()] as number));
  return Math.min(bytes, maxBytes);
}
