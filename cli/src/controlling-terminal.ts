import { closeSync, openSync } from 'node:fs';

/** Whether this process has a terminal: one that was closed cannot be opened any more. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

const startedOnTerminal = hasTerminal();

/** Whether the terminal that this process was started on has been closed. */
export function hasLostTerminal(): boolean {
  return startedOnTerminal && !hasTerminal();
}

/**
 * Ends this process. Node.js aborts when it cannot restore the settings of a terminal at its exit, so after a
 * hangup the process ends the way that the signal would have ended it.
 */
export function endProcess(exitCode: number): void {
  if (hasLostTerminal()) {
    process.removeAllListeners('SIGHUP');
    process.kill(process.pid, 'SIGHUP');
  } else {
    process.exit(exitCode);
  }
}
