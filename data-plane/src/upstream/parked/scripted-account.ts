import type { ParkedLimits } from './parked-account.js';

/** Limits that no test comes near. */
export const UNLIMITED: ParkedLimits = {
  maxParkedCallCount: 100_000,
  maxParkedCallPerPrincipalCount: 100_000,
  maxParkedBytes: 1024 * 1024 * 1024,
  parkedCallLifetimeMs: 10 * 60_000,
};
