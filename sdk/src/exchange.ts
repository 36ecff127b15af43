/**
 * What comes in, and what has been established about it. An {@link Arrival} is one HTTP request or one connection;
 * an {@link Exchange} is one JSON-RPC request of a caller who was admitted.
 */
import type { AskFor } from './asking.js';
import type { Identity, JsonObject } from './identity.js';
import type { MaybePromise } from './plugin.js';
import type { Remarked } from './remarks.js';

export type Transport = 'http' | 'sse' | 'websocket' | 'stdio';

/** One HTTP request, or the one that opened a connection. */
export interface Arrival {
  readonly transport: Transport;
  /** The path of the endpoint: `/mcp`, `/mcp/files`. */
  readonly endpoint: string;
  /** `GET`, `POST`, `DELETE`. */
  readonly httpMethod: string;
  /** By lower-case name; repeated ones are joined with a comma. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Lower-case names of fields that came more than once: what stands in one of these can be taken in two ways. */
  readonly repeatedHeaders: readonly string[];
  /** The peer's address. */
  readonly address: string;
  /** What the client calls the gateway by: scheme and authority, for example `https://gateway.example.com`. */
  readonly origin: string;
}

/** What a client says about itself. */
export interface Client {
  /** The name of the program. */
  readonly name?: string | undefined;
  /** Its version. */
  readonly version?: string | undefined;
  /** What it declared that it can do. */
  readonly capabilities?: JsonObject | undefined;
}

export type TargetKind = 'tool' | 'prompt' | 'resource';

/** What a request is about, by the names that the upstream itself uses, whatever alias led to it. */
export interface Target {
  /** `tool`, `prompt` or `resource`. */
  readonly kind: TargetKind;
  /** Name of the upstream. */
  readonly upstream: string;
  /** Name of the tool or prompt, or URI of the resource. */
  readonly name: string;
}

/** What the gateway knows about a JSON-RPC request. The data plane implements it over bytes, the harness over values. */
export interface Call {
  readonly arrival: Arrival;
  readonly method: string;
  /** All that it is about; several for a subscription, none for a list. */
  readonly targets: readonly Target[];
  /** `params`; parsed when first read, and frozen. */
  readonly params: JsonObject;
  /** `params` as the client wrote them. */
  readonly paramsJson: string;
  readonly client: Client;
  /** Protocol revision that the client speaks. */
  readonly revision: string;
  /** Names the client's session, in revisions that have them; no credential. */
  readonly session: string | undefined;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** What has been decided and found about it so far; the engine's own. Absent while nobody has said anything. */
  remarks?: Remarked[] | undefined;
  /** Asks the client for a plugin. */
  ask: AskFor;
  /** What an entry of this request's list is at its upstream; undefined when it is of none. */
  targetOf(entry: JsonObject): Target | undefined;
  /** See `definition` in the attributes; of a tool. */
  definition(target: Target): MaybePromise<JsonObject | undefined>;
}

/** What plugins have changed about a request on its way to the upstream. */
export interface Changes {
  readonly arguments?: JsonObject | undefined;
  /** Fields of the HTTP request to the upstream, by lower-case name; undefined takes one away. */
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined;
}

export type Fact = 'identity' | 'permit';

declare const established: unique symbol;

/** A request on its way. `Established` says what has been found out: only the stages of the engine can add to it. */
export class Exchange<Established extends Fact = never> {
  declare readonly [established]: { readonly [fact in Established]: true };

  private constructor(
    readonly call: Call,
    readonly identity: Identity,
    readonly changes: Changes,
    /** See `view` in the attributes. */
    readonly view: string,
  ) {}

  /** For the engine alone: an exchange of a caller who was admitted. */
  static identified(call: Call, admitted: Admitted): Exchange<'identity'> {
    return new Exchange<'identity'>(call, admitted.identity, NO_CHANGES, '');
  }

  get arguments(): JsonObject {
    return this.changes.arguments ?? ((this.call.params.arguments ?? NOTHING) as JsonObject);
  }

  /** The same with more changes on top. */
  with(changes: Changes): this {
    const before = this.changes;
    const isOnTop = changes.headers !== undefined && before.headers !== undefined;
    const headers = isOnTop ? { ...before.headers, ...changes.headers } : (changes.headers ?? before.headers);
    const own = { arguments: changes.arguments ?? before.arguments, headers };
    return new Exchange<Established>(this.call, this.identity, own, this.view) as this;
  }

  /** The same, with the values that set it apart from those of other callers. */
  seenAs(view: string): this {
    return new Exchange<Established>(this.call, this.identity, this.changes, view) as this;
  }
}

const NO_CHANGES: Changes = Object.freeze({});
const NOTHING: JsonObject = Object.freeze({});

/** A caller whom the identity stage let in. Only the engine makes one. */
export class Admitted {
  private constructor(readonly identity: Identity) {}

  static as(identity: Identity): Admitted {
    return new Admitted(identity);
  }
}
