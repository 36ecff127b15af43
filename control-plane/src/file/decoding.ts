import type { Problem } from '../validation/problem.js';
import type { Position, ScalarNode } from './source-tree.js';
import { substitute } from './substitution.js';

/** Where a value of the configuration comes from. */
export type Origin = Position | { readonly name: string };

/** What is gathered while a source becomes a configuration. */
export class Decoding {
  readonly problems: Problem[] = [];
  /** Field paths, in the schema's spelling, of what could not be read: of them nothing more can be said. */
  readonly unreadPaths: string[] = [];
  /** Origins by field path in the schema's spelling. */
  readonly origins = new Map<string, Origin>();
  /** How the file spells a field path, where that differs from the schema. */
  readonly writtenPaths = new Map<string, string>();
  /** Variables that the file itself refers to. */
  readonly substitutedVariables = new Set<string>();

  /** @param environment undefined: references to variables stay as they are, for the node that serves */
  constructor(
    readonly environment: Readonly<Record<string, string | undefined>> | undefined,
    readonly file?: string,
  ) {}

  error(origin: Origin | undefined, path: string, message: string, hint: string): void {
    this.unreadPaths.push(path);
    this.problems.push({
      severity: 'error',
      path: this.writtenPath(path),
      ...this.place(origin),
      message,
      hint,
    });
  }

  warn(origin: Origin | undefined, path: string, message: string, hint: string): void {
    this.problems.push({
      severity: 'warning',
      path: this.writtenPath(path),
      ...this.place(origin),
      message,
      hint,
    });
  }

  /** Adds the place of the value that the problem's path names, or of what holds it. */
  locate(problem: Problem): Problem {
    let origin: Origin | undefined;
    for (let path = problem.path; path !== '' && origin === undefined; path = parentPath(path)) {
      origin = this.origins.get(path);
    }
    return { ...problem, path: this.writtenPath(problem.path), ...this.place(origin) };
  }

  /** A field path as the file spells it. */
  writtenPath(path: string): string {
    for (let parent = path; parent !== ''; parent = parentPath(parent)) {
      const written = this.writtenPaths.get(parent);
      if (written !== undefined) return written + path.slice(parent.length);
    }
    return path;
  }

  /**
   * The text of a string scalar with variables put in, or `undefined` after reporting why there is none.
   *
   * @param mayBeSecret a default, which would stand in the file, is not proposed
   */
  substitute(node: ScalarNode & { value: string }, path: string, mayBeSecret = false): string | undefined {
    if (this.environment === undefined) return node.value;
    const result = substitute(node.value, this.environment, mayBeSecret);
    if ('text' in result) {
      for (const variable of result.variables) this.substitutedVariables.add(variable);
      return result.text;
    }
    this.error(referencePosition(node, result.offset), path, result.message, result.hint);
    return undefined;
  }

  private place(origin: Origin | undefined): Pick<Problem, 'file' | 'line' | 'column' | 'origin'> {
    if (origin !== undefined && 'name' in origin) return { origin: origin.name };
    if (this.file === undefined) return {};
    return { file: this.file, ...(origin && { line: origin.line, column: origin.column }) };
  }
}

function parentPath(path: string): string {
  return path.slice(0, Math.max(path.lastIndexOf('.'), path.lastIndexOf('['), 0));
}

/** The place of `${` itself where the scalar stands on one line without escapes, else that of the scalar. */
function referencePosition(
  { value, raw, position }: ScalarNode & { value: string },
  offset: number,
): Position {
  const start = raw.indexOf(value);
  if (start < 0 || raw.includes('\n')) return position;
  return { line: position.line, column: position.column + start + offset };
}
