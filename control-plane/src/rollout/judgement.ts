/** Whether nodes with a revision serve worse than without it. */
import type { Figures } from './evidence.js';
import type { Limits } from './plan.js';

/** Durations that differ by less than this say nothing: a request of half a millisecond may well take one. */
const LATENCY_NOISE_MS = 10;

/** What the nodes with the revision are compared with; undefined when nothing served enough to say something. */
export function referenceOf(
  others: Figures,
  before: Figures,
  { minRequestsCount }: Limits,
): Figures | undefined {
  return [others, before].find(({ requests }) => requests > 0 && requests >= minRequestsCount);
}

/** Why the nodes with the revision serve too badly; undefined when they do not, or it cannot be said yet. */
export function complaintAbout(
  canary: Figures,
  reference: Figures | undefined,
  limits: Limits,
): string | undefined {
  if (limits.minRequestsCount === 0 || canary.requests < limits.minRequestsCount) return undefined;
  return complaintAboutErrors(canary, reference, limits) ?? complaintAboutLatency(canary, reference, limits);
}

/** Where nothing else served, nothing failed. */
function complaintAboutErrors(
  canary: Figures,
  reference: Figures | undefined,
  { maxErrorIncreasePercentagePoints }: Limits,
): string | undefined {
  const is = errorsPercent(canary);
  const was = reference === undefined ? 0 : errorsPercent(reference);
  if (is - was <= maxErrorIncreasePercentagePoints) return undefined;
  const compared =
    reference === undefined
      ? 'there is nothing to compare them with'
      : `${was.toFixed(1)} % of ${reference.requests} without it`;
  return `${is.toFixed(1)} % of ${canary.requests} requests failed with it, ${compared}; it may be ${maxErrorIncreasePercentagePoints} percentage points more`;
}

function complaintAboutLatency(
  canary: Figures,
  reference: Figures | undefined,
  { maxLatencyRatio }: Limits,
): string | undefined {
  if (reference === undefined) return undefined;
  const is = meanMs(canary);
  const was = meanMs(reference);
  if (is - was < LATENCY_NOISE_MS || is <= was * maxLatencyRatio) return undefined;
  return `requests take ${is.toFixed(1)} ms with it and ${was.toFixed(1)} ms without it; it may be ${maxLatencyRatio} times as long`;
}

function errorsPercent({ errors, requests }: Figures): number {
  return (errors / requests) * 100;
}

function meanMs({ durationUs, requests }: Figures): number {
  return durationUs / requests / 1_000;
}
