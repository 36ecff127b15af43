import type { Problem } from './problem.js';

/** Gathers what validation finds; every rule says what is wrong and what would be right. */
export class Findings {
  readonly problems: Problem[] = [];

  error(path: string, message: string, hint: string): void {
    this.problems.push({ severity: 'error', path, message, hint });
  }

  warn(path: string, message: string, hint: string): void {
    this.problems.push({ severity: 'warning', path, message, hint });
  }
}
