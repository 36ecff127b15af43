import type { RecordFilter } from '@sluice/plugins/audit';
import { durationMs } from '@sluice/sdk';
import { WrongUsage } from '../unusable.js';
import type { RecordFlags } from './audit-command-line.js';

/** Such as `7d` or `1h30m`. */
export const AGE = /^(?:[0-9]+(?:\.[0-9]+)?(?:ms|s|m|h|d))+$/;

/** Milliseconds since the epoch of an age before now, or of a time. @throws WrongUsage */
export function timeOf(flag: string, text: string | undefined, nowMs: number): number | undefined {
  if (text === undefined) return undefined;
  if (AGE.test(text)) return nowMs - durationMs(text);
  const timeMs = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(timeMs))
    throw new WrongUsage(
      `${flag} ${text}: say how long ago, such as 1h or 7d, or a time such as 2027-01-31T08:00Z`,
    );
  return timeMs;
}

export function filterOf(flags: RecordFlags, nowMs: number): RecordFilter {
  const { since, until, principal, tool, outcome, decision, trace } = flags;
  return {
    sinceMs: timeOf('--since', since, nowMs),
    untilMs: timeOf('--until', until, nowMs),
    principal,
    tool,
    outcome,
    decision,
    trace,
  };
}
