/** Something that is wrong with a configuration, and what would be right. Never holds a secret's value. */
export interface Problem {
  /** An error keeps the configuration from being used; a warning does not. */
  readonly severity: 'error' | 'warning';
  /** Field in the schema's spelling, for example `upstreams[0].http.url`; empty for the whole. */
  readonly path: string;
  /** The file that was read. */
  readonly file?: string;
  /** First line is 1. */
  readonly line?: number;
  /** First column is 1; counts UTF-16 code units. */
  readonly column?: number;
  /** Where the value came from when not from a file, for example `SLUICE_LISTEN_PORT` or `--port`. */
  readonly origin?: string;
  /** What is wrong. */
  readonly message: string;
  /** What would be right. */
  readonly hint: string;
}

const RED = '\u001b[31m';
const YELLOW = '\u001b[33m';
const DIM = '\u001b[2m';
const PLAIN = '\u001b[0m';

/**
 * A problem as text for people, in the form that editors recognise: `file:line:column: error: message`, and a
 * second line that says what would be right. Colour only when asked for.
 */
export function formatProblem(problem: Problem, options: { colour?: boolean } = {}): string {
  const paint = (code: string, text: string) => (options.colour ? code + text + PLAIN : text);
  const severity = paint(problem.severity === 'error' ? RED : YELLOW, `${problem.severity}:`);
  const subject = problem.path === '' ? '' : `${problem.path}: `;
  const place = formatPlace(problem);
  const head = `${place === '' ? '' : `${place}: `}${severity} ${subject}${problem.message}`;
  return `${head}\n${paint(DIM, `  hint: ${problem.hint}`)}`;
}

function formatPlace({ file, line, column, origin }: Problem): string {
  if (origin !== undefined) return origin;
  if (file === undefined || line === undefined) return file ?? '';
  return column === undefined ? `${file}:${line}` : `${file}:${line}:${column}`;
}
