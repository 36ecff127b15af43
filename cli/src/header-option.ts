import { validateHeaderValue } from 'node:http';
import { type Problem, substitute } from '@sluice/control-plane';

/** A field's name (RFC 9110 section 5.6.2), a colon, and its value. */
const HEADER = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/s;
const ORIGIN = '--header';

interface HeaderLines {
  /** By name as it was written; variables are not put in. */
  readonly lines: Readonly<Record<string, string>>;
  /** Why there are none. */
  readonly problem?: Problem;
}

/** Header fields that plugins see. */
interface ClientHeaders {
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
  /** Names of the variables that were put in. */
  readonly variables: readonly string[];
  /** Why there are none. */
  readonly problem?: Problem;
}

/** Reads the lines of `--header`. */
export function readHeaderLines(given: readonly string[]): HeaderLines {
  const lines: Record<string, string> = {};
  for (const line of given) {
    const [, name, value] = HEADER.exec(line) ?? [];
    if (name === undefined) return { lines: {}, problem: badLine(line) };
    lines[name] = value as string;
  }
  return { lines };
}

/**
 * Reads the lines of `--header` for plugins: `${NAME}` is a variable of the environment, as in a file, so that no
 * secret has to stand on the command line.
 */
export function clientHeaders(
  given: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ClientHeaders {
  const refused = (problem: Problem) => ({ headers: {}, variables: [], problem });
  const { lines, problem } = readHeaderLines(given);
  if (problem !== undefined) return refused(problem);
  const headers: Record<string, string> = Object.create(null);
  const variables: string[] = [];
  for (const [name, line] of Object.entries(lines)) {
    const value = substitute(line, environment, true);
    if (!('text' in value)) return refused(wrong(name, value.message, value.hint));
    const lower = name.toLowerCase();
    if (lower in headers) return refused(wrong(name, 'given twice in different case', 'keep one of the two'));
    if (!canBeSent(lower, value.text)) return refused(wrong(name, BAD_VALUE, BAD_VALUE_HINT));
    headers[lower] = value.text.trim();
    variables.push(...value.variables);
  }
  return { headers, variables };
}

const BAD_VALUE = 'a value that no header can have';
const BAD_VALUE_HINT =
  'write one line of Latin characters; a secret read from a file often ends in a line break';

/** What a client could not send over HTTP, plugins need not see over stdio. */
function canBeSent(name: string, value: string): boolean {
  try {
    validateHeaderValue(name, value);
    return true;
  } catch {
    return false;
  }
}

function wrong(path: string, message: string, hint: string): Problem {
  return { severity: 'error', path, origin: ORIGIN, message, hint };
}

/** Says nothing of the value, which may be a secret. */
function badLine(line: string): Problem {
  const name = line.includes(':') ? JSON.stringify(line.slice(0, line.indexOf(':'))) : 'it';
  return wrong(
    '',
    line.includes(':') ? `${name} is no name of a header field` : 'a header has no colon',
    "write --header 'Name: value', for example --header 'Authorization: Bearer ${TOKEN}'",
  );
}
