/** What one era cannot say to the other. The error names what it is, both revisions, and where it is written. */
import { ErrorCode, RpcError } from './errors.js';

/** Something that exists on one side only. */
interface Untranslatable {
  /** As a sentence begins with it: `tasks/list`. */
  readonly feature: string;
  /** Why not, as the sentence goes on. */
  readonly reason: string;
  /** The paragraph of the specification that says so: revision, page, heading. */
  readonly paragraph: string;
}

/** The revisions of the two ends. */
export interface Ends {
  readonly client: string;
  readonly server: string;
}

/** -31005, with the same again in `data` for programs. */
export function notTranslatable({ feature, reason, paragraph }: Untranslatable, ends: Ends): RpcError {
  return new RpcError(
    ErrorCode.NotTranslatable,
    `${feature} cannot pass between a client of ${ends.client} and a server of ${ends.server}: ${reason} (${paragraph})`,
    { feature, clientRevision: ends.client, serverRevision: ends.server, specification: paragraph },
  );
}

/** Tasks are asked for by the client and listed in one era, and handed out by the server in the other. */
export function taskMethod(method: string): Untranslatable {
  return {
    feature: method,
    reason: 'tasks of 2025-11-25 and those of the extension of 2026-07-28 are not the same',
    paragraph: '2026-07-28, changelog, "Major changes" 6',
  };
}

export function isTaskMethod(method: string): boolean {
  return method.startsWith('tasks/');
}

export function unknownResultType(type: string): Untranslatable {
  return {
    feature: `a result of the type ${JSON.stringify(type.slice(0, 80))}`,
    reason: 'the client knows results that are complete, and no others',
    paragraph: '2026-07-28, basic, "ResultType"',
  };
}

/** A client answers a legacy request with a result or an error; an answer inside a retry is a result. */
export function errorAsAnswer(method: string, said: string): Untranslatable {
  return {
    feature: `an error as the answer to ${method}`,
    reason: `the server takes results only, and the client said ${JSON.stringify(said.slice(0, 200))}`,
    paragraph: '2026-07-28, basic/patterns/mrtr, "InputResponses"',
  };
}

export function unknownQuestion(method: string): Untranslatable {
  return {
    feature: `the question ${JSON.stringify(method.slice(0, 80))}`,
    reason: 'the client knows elicitation/create, sampling/createMessage and roots/list',
    paragraph: '2026-07-28, basic/patterns/mrtr, "InputRequests"',
  };
}

/** Only an answer to a request can carry a question to a modern client. */
export function questionOutsideCall(method: string): Untranslatable {
  return {
    feature: `${method} outside of any call`,
    reason: 'the client can be asked only in the middle of tools/call, prompts/get and resources/read',
    paragraph: '2026-07-28, basic/patterns/mrtr, "Supported Requests"',
  };
}
