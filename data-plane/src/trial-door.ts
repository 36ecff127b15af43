/** Who is given the revision that a rollout gives to a share of the callers, and is admitted there. */
import type { MaybePromise, PageAnswer } from '@sluice/sdk';
import type { Arrival, Route } from '@sluice/sdk/engine';
import { Refusal } from '@sluice/sdk/engine';
import { ANONYMOUS } from './exchange/exchange.js';
import type { Endpoint } from './front/endpoint.js';
import { isMessagesPath, streamTarget } from './front/sse/front.js';
import type { Reply, RequestHead } from './listener/listener.js';
import type { Trial } from './snapshot/trial.js';

type Transport = Arrival['transport'];

/** What the door of all callers does for it. */
export interface TrialDoorHost {
  /** Where the session of a token lives that is open here. */
  sessionAt(token: string): Endpoint | undefined;
  arrival(endpoint: Endpoint, route: Route, head: RequestHead, transport: Transport): Arrival;
  /** Finds out who calls; false when that was answered already. */
  admitted(endpoint: Endpoint, head: RequestHead, reply: Reply, transport: Transport): MaybePromise<boolean>;
  answered(said: Refusal | PageAnswer, reply: Reply): void;
  tooLong(reply: Reply, limitBytes: number): void;
  unknown(head: RequestHead, reply: Reply): void;
}

export class TrialDoor {
  constructor(private readonly host: TrialDoorHost) {}

  /** Whether an endpoint of the trial may be the one for a caller who was admitted at that of all others. */
  mayConcern(trial: Trial, endpoint: Endpoint, { admission, headers }: RequestHead): boolean {
    if (admission === undefined || !trial.takes(admission.admitted.identity)) return false;
    const token = headers['mcp-session-id'];
    // A session ends where it began: the share may have grown meanwhile.
    return token === undefined || this.host.sessionAt(token) !== endpoint;
  }

  /**
   * The endpoint for a caller who was admitted at that of all others; who is of the share is admitted anew where other
   * plugins decide that. Undefined when that was answered already.
   *
   * @param bodyBytes what the body takes
   */
  given(
    trial: Trial,
    endpoint: Endpoint,
    head: RequestHead,
    reply: Reply,
    transport: Transport,
    bodyBytes = 0,
  ): MaybePromise<Endpoint | undefined> {
    const tried = trial.find(
      isMessagesPath(head.path) ? endpoint.path : (streamTarget(head.path) ?? head.path),
    );
    if (tried === endpoint) return endpoint;
    if (tried === undefined) {
      this.host.unknown(head, reply);
      return undefined;
    }
    const { admission } = head;
    head.admission = undefined;
    head.principal = ANONYMOUS;
    const { route } = tried;
    if (route === undefined) return tried;
    if (this.isStopped(tried, route, head, reply, transport, bodyBytes)) return undefined;
    if (admission !== undefined && admitsAlike(endpoint.route, route)) {
      const { admitted } = admission;
      const arrival = this.host.arrival(tried, route, head, transport);
      head.principal = admitted.identity.id;
      head.admission = { route, arrival, admitted, isTried: true };
      return tried;
    }
    const isAdmitted = this.host.admitted(tried, head, reply, transport);
    return isAdmitted instanceof Promise
      ? isAdmitted.then((is) => markedIf(is, trial, tried, head))
      : markedIf(isAdmitted, trial, tried, head);
  }

  /** Whether a caller is given an endpoint that the other revision does not have: plugins of the trial say who calls. */
  async givenAdded(
    trial: Trial,
    added: Endpoint,
    head: RequestHead,
    reply: Reply,
    transport: Transport,
    bodyBytes: number,
  ): Promise<'given' | 'answered' | 'not there'> {
    const { route } = added;
    if (route === undefined) return 'not there';
    const arrival = this.host.arrival(added, route, head, transport);
    const admitted = await route.admit(arrival);
    // Whoever is not of the share hears what is said of a path that is not there.
    if (admitted instanceof Refusal || !trial.takes(admitted.identity)) return 'not there';
    if (this.isStopped(added, route, head, reply, transport, bodyBytes)) return 'answered';
    head.principal = admitted.identity.id;
    head.admission = { route, arrival, admitted, isTried: true };
    return 'given';
  }

  /** What plugins say of the head. Fields of the answer are those that the other revision has set. */
  private isStopped(
    endpoint: Endpoint,
    route: Route,
    head: RequestHead,
    reply: Reply,
    transport: Transport,
    bodyBytes: number,
  ): boolean {
    if (!route.watchesHeads) return false;
    let limitBytes = Number.POSITIVE_INFINITY;
    const said = route.head(this.host.arrival(endpoint, route, head, transport), {
      setHeader: () => undefined,
      limitBody: (bytes) => {
        limitBytes = Math.min(limitBytes, bytes);
      },
    });
    if (said !== undefined) this.host.answered(said, reply);
    else if (bodyBytes > limitBytes) this.host.tooLong(reply, limitBytes);
    return said !== undefined || bodyBytes > limitBytes;
  }
}

function markedIf(
  isAdmitted: boolean,
  trial: Trial,
  tried: Endpoint,
  head: RequestHead,
): Endpoint | undefined {
  // Whoever was let in before, and is not any more, is what a rollout is to find out.
  if (!isAdmitted) trial.served.ended(0, true);
  if (isAdmitted && head.admission !== undefined) head.admission = { ...head.admission, isTried: true };
  return isAdmitted ? tried : undefined;
}

/** Whoever was let in by one would be let in by the other, as the same; and what counts callers counts them once. */
function admitsAlike(one: Route | undefined, other: Route): boolean {
  if (one === undefined || one.tenant !== other.tenant) return false;
  const [a, b] = [one, other].map(({ bindings }) =>
    bindings.filter(({ hooks }) => hooks.admission !== undefined || hooks.identify !== undefined),
  );
  return a?.length === b?.length && a?.every((binding, index) => binding === b?.[index]) === true;
}
