import { describe } from 'vitest';

/** A suite that is skipped where a program is missing, and says so in its name. */
export function describeUnless(missing: string | undefined, name: string, suite: () => void): void {
  const isMissing = missing !== undefined;
  describe.skipIf(isMissing)(isMissing ? `${name} (skipped: ${missing})` : name, suite);
}
