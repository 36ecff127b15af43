import type { Message } from '@bufbuild/protobuf';
import { type Duration, durationMs } from '@bufbuild/protobuf/wkt';
import { formatQuantity, type Setting } from '@sluice/proto';
import type { Findings } from './findings.js';

/** Checks that every number, size and duration below a message lies in the range of its setting. */
export function checkRanges(
  findings: Findings,
  message: Message | undefined,
  path: string,
  settings: readonly Setting[],
): void {
  for (const setting of settings) {
    const { range, type } = setting;
    if (range === undefined) continue;
    const value = readField(message, setting);
    if (value === undefined) continue;
    const number = typeof value === 'number' ? value : durationMs(value as Duration);
    if (number >= range.min && number <= range.max) continue;
    findings.error(
      `${path}.${setting.path}`,
      `${formatQuantity(number, type)} is out of range`,
      `write a value from ${formatQuantity(range.min, type)} to ${formatQuantity(range.max, type)}`,
    );
  }
}

/** The value at a setting's path; `undefined` where the message, or another member of a oneof, is absent. */
function readField(message: Message | undefined, { fields }: Setting): unknown {
  let value: unknown = message;
  for (const { localName, oneof } of fields) {
    if (value === undefined) return undefined;
    const parent = value as Record<string, unknown>;
    if (oneof === undefined) {
      value = parent[localName];
      continue;
    }
    const chosen = parent[oneof.localName] as { case?: string; value?: unknown };
    value = chosen.case === localName ? chosen.value : undefined;
  }
  return value;
}
