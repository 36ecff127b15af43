/** Where a plugin stands among the others. */

/** Outermost first. Inside a phase the order of the configuration holds. */
export const PHASES = ['record', 'door', 'identity', 'decision', 'limit', 'shape', 'cache'] as const;
export type Phase = (typeof PHASES)[number];
