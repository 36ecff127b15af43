/**
 * The keys of a JSON-RPC message of MCP that routing reads, found by the hash of their bytes. The scanner asks for
 * each key that it passes, so this table is on the path of every message.
 */
/** Where the scanner stands; each scope knows other keys. */
export const NOWHERE = 0;
export const TOP = 1;
const PARAMS = 2;
const META = 3;
const RESULT = 4;
const ERROR = 5;

export type Slot =
  | 'id'
  | 'params'
  | 'result'
  | 'error'
  | 'name'
  | 'uri'
  | 'cursor'
  | 'arguments'
  | 'requestState'
  | 'inputResponses'
  | 'requestId'
  | 'progressToken'
  | 'level'
  | 'meta'
  | 'metaVersion'
  | 'metaCapabilities'
  | 'metaClientInfo'
  | 'metaLogLevel'
  | 'metaSubscriptionId'
  | 'metaProgressToken'
  | 'resultType'
  | 'resultState'
  | 'jsonrpc'
  | 'method'
  | 'code';

export interface KnownKey {
  readonly bytes: Uint8Array;
  readonly scope: number;
  readonly slot: Slot;
  /** The scope of the value's own keys, when it is an object. */
  readonly inner: number;
  readonly next: KnownKey | undefined;
}

export const FNV_OFFSET = 0x811c9dc5 | 0;
export const FNV_PRIME = 0x01000193;

export const knownKeys = new Map<number, KnownKey>();

function know(scope: number, key: string, slot: Slot, inner = NOWHERE): void {
  const bytes = Buffer.from(key);
  const hash = hashOf(bytes);
  knownKeys.set(hash, { bytes, scope, slot, inner, next: knownKeys.get(hash) });
}

export function hashOf(bytes: Uint8Array): number {
  let hash = FNV_OFFSET;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), FNV_PRIME);
  return hash;
}

const META_PREFIX = 'io.modelcontextprotocol/';
know(TOP, 'jsonrpc', 'jsonrpc');
know(TOP, 'id', 'id');
know(TOP, 'method', 'method');
know(TOP, 'params', 'params', PARAMS);
know(TOP, 'result', 'result', RESULT);
know(TOP, 'error', 'error', ERROR);
know(PARAMS, 'name', 'name');
know(PARAMS, 'uri', 'uri');
know(PARAMS, 'cursor', 'cursor');
know(PARAMS, 'arguments', 'arguments');
know(PARAMS, 'requestState', 'requestState');
know(PARAMS, 'inputResponses', 'inputResponses');
know(PARAMS, 'requestId', 'requestId');
know(PARAMS, 'progressToken', 'progressToken');
know(PARAMS, 'level', 'level');
know(PARAMS, '_meta', 'meta', META);
know(META, `${META_PREFIX}protocolVersion`, 'metaVersion');
know(META, `${META_PREFIX}clientCapabilities`, 'metaCapabilities');
know(META, `${META_PREFIX}clientInfo`, 'metaClientInfo');
know(META, `${META_PREFIX}logLevel`, 'metaLogLevel');
know(META, `${META_PREFIX}subscriptionId`, 'metaSubscriptionId');
know(META, 'progressToken', 'metaProgressToken');
know(RESULT, 'resultType', 'resultType');
know(RESULT, 'requestState', 'resultState');
know(ERROR, 'code', 'code');
