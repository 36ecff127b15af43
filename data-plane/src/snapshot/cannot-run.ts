/** Why a configuration cannot be run, and what of it is the reason. */

export type Culprit = 'gateway' | 'plugin' | 'upstream' | 'server';

export class CannotRun extends Error {
  /**
   * @param mayPass true when the same may go well later: something outside of the configuration is missing
   */
  constructor(
    readonly culprit: Culprit,
    /** As the configuration calls it. */
    readonly culpritName: string,
    thrown: unknown,
    readonly mayPass = false,
  ) {
    super(thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
    this.name = 'CannotRun';
  }
}
