/** `initialize` of a legacy client: what it asks for, and what was settled. */
import type { Caller } from '../exchange/exchange.js';
import { ErrorCode, RpcError } from '../protocol/errors.js';
import { isLegacyRevision, LATEST_LEGACY_REVISION } from '../protocol/revisions.js';
import { binaryOf, jsonBinary, parsed } from '../protocol/text.js';
import type { Message } from '../protocol/translate.js';

export interface Hello {
  readonly caller: Caller;
  /** The parameters as they came (binary text). */
  readonly params: string;
}

/** Reads an `initialize`; an error when it lacks what it needs. A revision that nobody knows becomes the latest. */
export function readHello({ bytes, envelope }: Message, principal: string): Hello | RpcError {
  const params = (envelope.params === undefined ? {} : parsed(bytes, envelope.params)) as Record<
    string,
    unknown
  >;
  const requested = params.protocolVersion;
  if (
    typeof requested !== 'string' ||
    typeof params.capabilities !== 'object' ||
    params.capabilities === null
  ) {
    return new RpcError(
      ErrorCode.InvalidParams,
      'initialize needs `params.protocolVersion` (a string such as "2025-11-25") and `params.capabilities` (an object)',
    );
  }
  return {
    caller: {
      era: 'legacy',
      revision: isLegacyRevision(requested) ? requested : LATEST_LEGACY_REVISION,
      principal,
      capabilities: jsonBinary(params.capabilities),
      clientInfo: params.clientInfo === undefined ? undefined : jsonBinary(params.clientInfo),
      logLevel: undefined,
    },
    params: envelope.params === undefined ? '{}' : binaryOf(bytes, envelope.params),
  };
}

/** The caller once the handshake has a result: the revision is what that says. */
export function settled(caller: Caller, result: string): Caller {
  const { protocolVersion } = JSON.parse(Buffer.from(result, 'latin1').toString()) as {
    protocolVersion?: unknown;
  };
  return typeof protocolVersion === 'string' ? { ...caller, revision: protocolVersion } : caller;
}
