/** The door of the admin API, on an address of its own: who may come in, what is asked for, and the answer as HTTP. */
import { STATUS_CODES } from 'node:http';
import { operatorsGuard } from '../front/guard.js';
import type { Door, Reply, RequestHead } from '../listener/listener.js';
import { AdminError } from './admin-error.js';
import type { NodeAdmin } from './node-admin.js';
import { type Problem, route } from './rest.js';
import { TokenCheck } from './token-check.js';

/** No request has a body; one byte is the least that a listener can be told. */
const MAX_BODY_BYTES = 1;
const RESOURCE_HEADERS = [
  ['content-type', 'application/json'],
  ['cache-control', 'no-store'],
] as const;
const PROBLEM_TYPE = 'application/problem+json';

const STATUS_OF: Readonly<Record<AdminError['kind'], number>> = {
  invalid: 400,
  'not found': 404,
  unavailable: 503,
};

export interface AdminDoorOptions {
  readonly api: NodeAdmin;
  /** The address that is listened on. */
  readonly host: string;
  /** Both as they are now. */
  readonly allowedHosts: () => readonly string[];
  readonly token: () => string | undefined;
  /** A request was refused before anything was done for it. */
  readonly onRefused: (status: number) => void;
  /** An exception cost a request. */
  readonly onFault: (thrown: unknown) => void;
}

export class AdminDoor implements Door {
  private readonly guard: (head: RequestHead) => string | undefined;
  private check: { readonly token: string; readonly by: TokenCheck } | undefined;

  constructor(private readonly options: AdminDoorOptions) {
    this.guard = operatorsGuard(options.host, options.allowedHosts);
  }

  head(head: RequestHead, reply: Reply): number {
    const problem = this.problem(head);
    if (problem === undefined) return MAX_BODY_BYTES;
    this.options.onRefused(problem.status);
    refuse(reply, problem);
    return 0;
  }

  request(head: RequestHead, _body: Buffer, reply: Reply): void {
    const action = route(head);
    if (typeof action !== 'function') {
      refuse(reply, action);
      return;
    }
    action(this.options.api).then(
      (resource) => {
        if (resource === undefined) reply.send(204, [], '');
        else reply.send(200, RESOURCE_HEADERS, JSON.stringify(resource));
      },
      (thrown: unknown) => refuse(reply, this.problemOf(thrown)),
    );
  }

  refusal(status: number, reason: string): { contentType: string; body: string } {
    this.options.onRefused(status);
    return { contentType: PROBLEM_TYPE, body: problemText({ status, detail: reason }) };
  }

  /** Who asks goes before what is asked for: nobody else learns what is here. */
  private problem(head: RequestHead): Problem | undefined {
    const detail = this.guard(head);
    if (detail !== undefined) return { status: 403, detail };
    const refusal = this.tokenCheck()?.refusal(head.headers.authorization);
    if (refusal !== undefined)
      return { status: 401, detail: refusal.detail, headers: [['www-authenticate', refusal.challenge]] };
    const action = route(head);
    return typeof action === 'function' ? undefined : action;
  }

  private tokenCheck(): TokenCheck | undefined {
    const token = this.options.token();
    if (token === undefined) return undefined;
    if (this.check?.token !== token) this.check = { token, by: new TokenCheck(token) };
    return this.check.by;
  }

  private problemOf(thrown: unknown): Problem {
    if (thrown instanceof AdminError) {
      const status = STATUS_OF[thrown.kind];
      return { status, detail: thrown.message, ...(status === 503 && { headers: [['retry-after', '1']] }) };
    }
    this.options.onFault(thrown);
    return { status: 500, detail: 'Internal error of the gateway' };
  }
}

function refuse(reply: Reply, problem: Problem): void {
  const headers = [
    ['content-type', PROBLEM_TYPE],
    ['cache-control', 'no-store'],
    ...(problem.headers ?? []),
  ] as const;
  reply.send(problem.status, headers, problemText(problem));
}

/** RFC 9457; what is wrong stands in `detail`, and the status says of what kind it is. */
function problemText({ status, detail }: Problem): string {
  return JSON.stringify({ type: 'about:blank', title: STATUS_CODES[status], status, detail });
}
