/**
 * What a client must have declared to be asked something, and what becomes of a call in which a legacy server asked
 * for something else (2026-07-28, basic, "_meta": a request that requires an undeclared capability is answered with
 * -32021).
 */
import { ErrorCode, RpcError } from './errors.js';
import type { Span } from './scan.js';
import { parsed } from './text.js';
import type { Message } from './translate.js';

/** Client capabilities, by name. */
type Capabilities = Readonly<Record<string, unknown>>;

/** How much of a server's own words an error repeats. */
const MAX_SAID_CHARS = 500;

/**
 * The capability that a question needs; undefined when the client declared it, or nobody knows such a question.
 *
 * @param params of the question
 */
export function undeclaredFor(
  method: string,
  params: unknown,
  declared: Capabilities,
): Record<string, object> | undefined {
  const { mode, tools, toolChoice } = objectOr(params);
  const has = (name: string) => declared[name] !== undefined && declared[name] !== null;
  switch (method) {
    case 'elicitation/create': {
      const modes = objectOr(declared.elicitation);
      if (mode === 'url')
        return has('elicitation') && modes.url !== undefined ? undefined : { elicitation: { url: {} } };
      // Without a mode it is that of forms (client/elicitation, "Capabilities").
      const takesForms = has('elicitation') && (modes.form !== undefined || modes.url === undefined);
      return takesForms ? undefined : { elicitation: { form: {} } };
    }
    case 'sampling/createMessage':
      if (tools === undefined && toolChoice === undefined)
        return has('sampling') ? undefined : { sampling: {} };
      return objectOr(declared.sampling).tools === undefined ? { sampling: { tools: {} } } : undefined;
    case 'roots/list':
      return has('roots') ? undefined : { roots: {} };
    default:
      return undefined;
  }
}

/**
 * What a server asked for in one call although the client did not declare it. It is told so, and may get along
 * without; if the call then fails, it needed it.
 */
export class Undeclared {
  private required: Record<string, object> | undefined;

  /** False when the client did not declare what this question needs. */
  allows(method: string, params: unknown, declared: Capabilities): boolean {
    const missing = undeclaredFor(method, params, declared);
    if (missing === undefined) return true;
    this.required ??= {};
    for (const [name, needs] of Object.entries(missing))
      this.required[name] = { ...this.required[name], ...needs };
    return false;
  }

  /** -32021 for a call that failed after it had asked for such a thing. */
  errorFor({ bytes, envelope }: Message): RpcError | undefined {
    const { required } = this;
    if (required === undefined) return undefined;
    // These say by themselves what the client lacks.
    const saysSo =
      envelope.errorCode === ErrorCode.MissingClientCapability ||
      envelope.errorCode === ErrorCode.UrlElicitationRequired;
    if (saysSo) return undefined;
    const said =
      envelope.error === undefined
        ? failureOf(parsed(bytes, envelope.result as Span))
        : String(objectOr(parsed(bytes, envelope.error)).message);
    if (said === undefined) return undefined;
    const names = Object.entries(required).flatMap(([name, needs]) => {
      const modes = Object.keys(needs);
      return modes.length === 0 ? [name] : modes.map((mode) => `${name}.${mode}`);
    });
    const capabilities = names.map((name) => `\`${name}\``).join(', ');
    return new RpcError(
      ErrorCode.MissingClientCapability,
      `the server asked for what the client did not declare (${capabilities}), and failed without it: ${said.slice(0, MAX_SAID_CHARS)}`,
      { requiredCapabilities: required },
    );
  }
}

/** What a tool said that failed (`isError`); undefined for other results. */
function failureOf(result: unknown): string | undefined {
  const { isError, content } = objectOr(result);
  if (isError !== true) return undefined;
  const texts = (Array.isArray(content) ? content : []).map((each) => objectOr(each).text);
  return texts.filter((text) => typeof text === 'string').join('\n');
}

function objectOr(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
