/** What plugins can read about an arrival and an exchange, by dotted names that they declare. */
import type { Ask } from './asking.js';
import type { Arrival, Client, Exchange, Target, Transport } from './exchange.js';
import type { Identity, JsonObject } from './identity.js';
import type { MaybePromise } from './plugin.js';
import { addRemark, type Remark, type Remarked } from './remarks.js';

/** Everything there is. Those above the line are known before it is known who calls; the others are not. */
export interface Attributes {
  /** The peer's address, without its port. */
  readonly address: string;
  /** The path of the endpoint: `/mcp`, `/mcp/files`. */
  readonly endpoint: string;
  /** Fields by lower-case name; repeated ones are joined with a comma. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** Lower-case names of fields that came more than once. */
  readonly repeatedHeaders: readonly string[];
  /** `GET`, `POST`, `DELETE`. */
  readonly httpMethod: string;
  /** What the client calls the gateway by: scheme and authority. */
  readonly origin: string;
  /** How the client is connected. */
  readonly transport: Transport;
  // ---
  /** Arguments of a call or a prompt, as plugins further out have made them. Not to be changed in place. */
  readonly arguments: JsonObject;
  /** Asks the person in front of the client; in `exchange` hooks, before `next()`. Inline only. */
  readonly ask: Ask;
  /** What the client says about itself. */
  readonly client: Client;
  /**
   * The entry of a tool in the list that its upstream shows this caller, by the upstream's own names and with nothing
   * changed; without an argument that of `target`. Undefined: it lists no such tool, or the target is no tool. Of two
   * entries with one name the first counts. Answers at once when the list is known; where the upstream has said
   * that it has changed, the new one is waited for. Throws a {@link Refusal} of the kind `failed` when the
   * upstream does not tell, so who needs it and does not catch that lets nothing pass. Inline only.
   */
  readonly definition: (target?: Target) => MaybePromise<JsonObject | undefined>;
  /** The JSON-RPC method. For an entry of a list, the one with which it would be used. */
  readonly method: string;
  /** All parameters; parsed when first read. Not to be changed in place. */
  readonly params: JsonObject;
  /** `params` as JSON text, as the client wrote it while no plugin has changed it: numbers keep their spelling. */
  readonly paramsJson: string;
  /** Who calls. */
  readonly principal: Identity;
  /**
   * Says what was decided or found about the request, for whoever records it. What is said while entries of a list are
   * decided goes nowhere.
   */
  readonly remark: (remark: Remark) => void;
  /** All that was remarked so far, with the refusals of plugins; whoever awaits `next()` has them all. */
  readonly remarks: readonly Remarked[];
  /** Protocol revision that the client speaks. */
  readonly revision: string;
  /** Names the client's session, in revisions that have them; no credential. */
  readonly session: string | undefined;
  /** Aborted when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** The first of `targets`. */
  readonly target: Target | undefined;
  /** All that the request is about; several for a subscription, none for a list. */
  readonly targets: readonly Target[];
  /** What an entry of this request's list is at its upstream; undefined when it is of none. */
  readonly targetOf: (entry: JsonObject) => Target | undefined;
  /**
   * The values of all attributes that the other plugins read and that differ between callers, and what all plugins and
   * upstreams are configured to be, as one text: two requests with different ones may have been decided, shaped and
   * answered differently. A cache keys with it.
   */
  readonly view: string;
}

export const EARLY_ATTRIBUTES: readonly (keyof Attributes)[] = [
  'address',
  'endpoint',
  'headers',
  'httpMethod',
  'origin',
  'repeatedHeaders',
  'transport',
];

/** True for what is known before it is known who calls. */
export function isEarlyAttribute(name: string): boolean {
  const root = name.split('.', 1)[0] as string;
  return EARLY_ATTRIBUTES.some((each) => each === root);
}

/** The same for all callers when the request is the same, so they are no part of a view. */
export const REQUEST_ATTRIBUTES: readonly (keyof Attributes)[] = [
  'arguments',
  'ask',
  'definition',
  'endpoint',
  'method',
  'params',
  'paramsJson',
  'remark',
  'remarks',
  'signal',
  'target',
  'targetOf',
  'targets',
  'view',
];

/** What is asked of the gateway or told by it in the middle of a hook, so that it cannot be sent to a plugin elsewhere. */
export const INLINE_ATTRIBUTES: readonly (keyof Attributes)[] = ['ask', 'definition', 'signal'];

const KNOWN: ReadonlySet<string> = new Set<keyof Attributes>([
  ...EARLY_ATTRIBUTES,
  ...REQUEST_ATTRIBUTES,
  'client',
  'principal',
  'revision',
  'session',
]);

/** The name of an attribute, or of a part of one: `principal.claims.team`, `headers.x-tenant`. */
export type Attribute = keyof Attributes | `${keyof Attributes}.${string}`;

/** Why something cannot be declared; undefined when it can. */
export function attributeProblem(name: string): string | undefined {
  const root = name.split('.', 1)[0] as string;
  if (KNOWN.has(root)) return undefined;
  return `${JSON.stringify(name)} is no attribute; they are ${[...KNOWN].sort().join(', ')}`;
}

type Part<T, Path extends string> = Path extends `${infer Head}.${infer Rest}`
  ? Head extends keyof T
    ? { readonly [key in Head]: Part<NonNullable<T[Head]>, Rest> }
    : { readonly [key in Head]: unknown }
  : Path extends keyof T
    ? { readonly [key in Path]: T[Path] }
    : { readonly [key in Path]: unknown };

type Together<Union> = (Union extends unknown ? (each: Union) => void : never) extends (
  all: infer All,
) => void
  ? All
  : never;

/** What a hook is given: what was declared, and nothing else. */
export type View<Reads extends string> = [Reads] extends [never]
  ? Readonly<Record<never, never>>
  : Together<Part<Attributes, Reads>>;

/** The attributes of an arrival, before it is known who calls. */
export class ArrivalAttributes {
  // Not to be had by its name: views are made of this.
  readonly #arrival: Arrival;
  constructor(arrival: Arrival) {
    this.#arrival = arrival;
  }
  get address() {
    return this.#arrival.address;
  }
  get endpoint() {
    return this.#arrival.endpoint;
  }
  get headers() {
    return this.#arrival.headers;
  }
  get repeatedHeaders() {
    return this.#arrival.repeatedHeaders;
  }
  get httpMethod() {
    return this.#arrival.httpMethod;
  }
  get origin() {
    return this.#arrival.origin;
  }
  get transport() {
    return this.#arrival.transport;
  }
}

/** The one that is looked at, where there are several, and by what method it would be used. */
export interface OneOf {
  readonly target: Target;
  readonly method: string;
  /** True where the request is not about it: an entry of a list, news of a resource. */
  readonly isAside?: true;
}

/** The attributes of an exchange. A view has some of these getters, so none of them uses another. */
export class ExchangeAttributes extends ArrivalAttributes implements Attributes {
  readonly #exchange: Exchange<'identity'>;
  readonly #one: OneOf | undefined;
  readonly #by: string;

  /** @param by the binding that looks. */
  constructor(exchange: Exchange<'identity'>, one?: OneOf, by = '') {
    super(exchange.call.arrival);
    this.#exchange = exchange;
    this.#one = one;
    this.#by = by;
  }
  get arguments() {
    return this.#exchange.arguments;
  }
  get ask(): Ask {
    const { call, changes } = this.#exchange;
    const by = this.#by;
    return (question) => call.ask(by, question, changes);
  }
  get client() {
    return this.#exchange.call.client;
  }
  get definition() {
    const { call } = this.#exchange;
    const own = this.#one === undefined ? call.targets[0] : this.#one.target;
    return (target = own) => (target?.kind === 'tool' ? call.definition(target) : undefined);
  }
  get method() {
    return this.#one === undefined ? this.#exchange.call.method : this.#one.method;
  }
  get params() {
    return paramsOf(this.#exchange);
  }
  get paramsJson() {
    const { call, changes } = this.#exchange;
    return changes.arguments === undefined ? call.paramsJson : JSON.stringify(paramsOf(this.#exchange));
  }
  get principal() {
    return this.#exchange.identity;
  }
  get remark() {
    const { call } = this.#exchange;
    const by = this.#by;
    return this.#one?.isAside === true ? () => undefined : (remark: Remark) => addRemark(call, by, remark);
  }
  get remarks() {
    return this.#exchange.call.remarks ?? NO_REMARKS;
  }
  get revision() {
    return this.#exchange.call.revision;
  }
  get session() {
    return this.#exchange.call.session;
  }
  get signal() {
    return this.#exchange.call.signal;
  }
  get target() {
    return this.#one === undefined ? this.#exchange.call.targets[0] : this.#one.target;
  }
  get targetOf() {
    const { call } = this.#exchange;
    return (entry: JsonObject) => call.targetOf(entry);
  }
  get targets() {
    return this.#exchange.call.targets;
  }
  get view() {
    return this.#exchange.view;
  }
}

const NO_REMARKS: readonly Remarked[] = Object.freeze([]);

function paramsOf({ call, changes }: Exchange<'identity'>): JsonObject {
  return changes.arguments === undefined ? call.params : { ...call.params, arguments: changes.arguments };
}
