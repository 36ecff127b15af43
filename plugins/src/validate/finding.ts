/** What is wrong with a value by its schema: where, and what would be right. Nothing of the value is in it but names. */
import { budget, type Check, type SchemaError, TooCostly } from './runtime.js';

export interface Finding {
  /** JSON Pointer (RFC 6901) inside of the value; empty for all of it. */
  readonly path: string;
  /** What it has to be: `must be string`. */
  readonly expected: string;
  /** Where the schema says so, as a fragment. */
  readonly schemaPath: string;
  /** True when it was not found out: the check cost too much. */
  readonly isTooCostly?: true;
}

/** What is said where it was not found out. */
export const TOO_COSTLY: Finding = {
  path: '',
  expected: 'costs too much to check',
  schemaPath: '',
  isTooCostly: true,
};

const MAX_PATH_LENGTH = 300;
const MAX_VALUES_LENGTH = 200;
const MAX_NAME_LENGTH = 100;
/** They say what none of the errors before them has made right. */
const COMPOSED = new Set(['anyOf', 'oneOf', 'if', 'contains']);

/** Undefined when it is what the schema wants. */
export function findingOf(check: Check, value: unknown): Finding | undefined {
  budget.begin();
  try {
    if (check(value)) return undefined;
  } catch (thrown) {
    const isTooDeep = thrown instanceof RangeError;
    if (!isTooDeep && !(thrown instanceof TooCostly)) throw thrown;
    return TOO_COSTLY;
  }
  return told(chosen(check.errors ?? []));
}

/** The last error, or of what it sums up the one that went furthest into the value. */
function chosen(errors: readonly SchemaError[]): SchemaError | undefined {
  const last = errors.at(-1);
  if (last === undefined || !COMPOSED.has(last.keyword)) return last;
  return errors.reduce((best, each) => (depthOf(each) > depthOf(best) ? each : best), last);
}

function depthOf({ instancePath }: SchemaError): number {
  return instancePath.split('/').length;
}

function told(error: SchemaError | undefined): Finding {
  const path = cut(error?.instancePath ?? '', MAX_PATH_LENGTH);
  const schemaPath = cut(error?.schemaPath ?? '', MAX_PATH_LENGTH);
  return { path, expected: (error?.message ?? 'must be another value') + detailOf(error), schemaPath };
}

function detailOf(error: SchemaError | undefined): string {
  const { params = {} } = error ?? {};
  switch (error?.keyword) {
    case 'enum':
      return `: ${cut(JSON.stringify(params.allowedValues), MAX_VALUES_LENGTH)}`;
    case 'const':
      return `: ${cut(JSON.stringify(params.allowedValue), MAX_VALUES_LENGTH)}`;
    case 'additionalProperties':
      return `: ${named(params.additionalProperty)}`;
    case 'unevaluatedProperties':
      return `: ${named(params.unevaluatedProperty)}`;
    case 'propertyNames':
      return `: ${named(params.propertyName)}`;
    default:
      return '';
  }
}

function named(name: unknown): string {
  return JSON.stringify(cut(String(name), MAX_NAME_LENGTH));
}

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}
