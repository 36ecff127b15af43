import type { Problem } from './problem.js';

/** Gathers what validation finds; every rule says what is wrong and what would be right. */
export class Findings {
  readonly problems: Problem[] = [];

  /**
   * @param unreadPaths what could not be read and has been reported: it is missing from the configuration, and
   *   findings that rest on it are left out
   */
  constructor(private readonly unreadPaths: readonly string[] = []) {}

  /** @param others paths of other settings that the finding rests on */
  error(path: string, message: string, hint: string, others: readonly string[] = []): void {
    if (!this.restsOnUnread([path, ...others])) {
      this.problems.push({ severity: 'error', path, message, hint });
    }
  }

  /** @param others paths of other settings that the finding rests on */
  warn(path: string, message: string, hint: string, others: readonly string[] = []): void {
    if (!this.restsOnUnread([path, ...others])) {
      this.problems.push({ severity: 'warning', path, message, hint });
    }
  }

  private restsOnUnread(paths: readonly string[]): boolean {
    return this.unreadPaths.some((unread) =>
      paths.some((path) => holds(path, unread) || holds(unread, path)),
    );
  }
}

/** Whether the second path is the first, or lies below it. */
function holds(path: string, other: string): boolean {
  return other.startsWith(path) && /^(?:$|[.[])/.test(other.slice(path.length));
}

/** The message that a field belongs to: one of its keys may be the misspelled name of what is missing. */
export function parentPath(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('.'), 0));
}
