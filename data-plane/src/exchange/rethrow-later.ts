/**
 * Keeps what one callback throws from whoever called it: the other callbacks go on, and the worker counts the fault
 * (`sluice_faults_total`) when the exception reaches the top of the process.
 */
export function rethrowLater(thrown: unknown): void {
  setImmediate(() => {
    throw thrown;
  });
}
