/** What an endpoint has to say about a request before plugins decide about it. */
import type { JsonObject, MaybePromise, Target, TargetKind } from '@sluice/sdk';
import type { Caller, Exchange } from '../exchange/exchange.js';
import type { Endpoint } from '../front/endpoint.js';
import { parsed, stringOf } from '../protocol/text.js';

/** `_meta` key under which a partial list names the upstreams that it lacks. */
export const UNAVAILABLE_META = 'dev.sluice/unavailable';

export type Located = Pick<Target, 'upstream' | 'name'>;

export interface RoutedEndpoint extends Endpoint {
  /** All that a request is about, by the upstreams' own names. Rejects with an RpcError for what nobody has. */
  resolve(exchange: Exchange): MaybePromise<readonly Target[]>;
  /** What a name or URI that this endpoint shows stands for, as far as is known at once. */
  locate(exposed: string, kind: TargetKind, caller: Caller): Located | undefined;
  /**
   * The entry of a tool in the list that its upstream shows a caller who has no session of its own there; undefined when
   * it is not on it. Throws, or rejects with, a Refusal when the upstream does not tell.
   */
  definition(target: Target, caller: Caller): MaybePromise<JsonObject | undefined>;
}

/** What a request names, by the endpoint's own names; empty when it is about nothing in particular. */
export function namedBy({
  row,
  bytes,
  envelope,
}: Exchange): readonly { kind: TargetKind; exposed: string }[] {
  if (envelope.method === 'subscriptions/listen') return watchedBy(bytes, envelope);
  switch (row?.target) {
    case 'name': {
      const name = stringOf(bytes, envelope.name);
      return name === undefined
        ? []
        : [{ kind: envelope.method === 'tools/call' ? 'tool' : 'prompt', exposed: name }];
    }
    case 'uri': {
      const uri = stringOf(bytes, envelope.uri);
      return uri === undefined ? [] : [{ kind: 'resource', exposed: uri }];
    }
    case 'ref':
      return referredBy(bytes, envelope);
    default:
      return [];
  }
}

function watchedBy(bytes: Buffer, { params }: Exchange['envelope']): { kind: TargetKind; exposed: string }[] {
  const { notifications } = (params === undefined ? {} : parsed(bytes, params)) as {
    notifications?: { resourceSubscriptions?: unknown } | null;
  };
  const uris = notifications?.resourceSubscriptions;
  if (!Array.isArray(uris)) return [];
  return uris
    .filter((uri): uri is string => typeof uri === 'string')
    .map((exposed) => ({ kind: 'resource' as const, exposed }));
}

/** `ref` of completion/complete. */
function referredBy(
  bytes: Buffer,
  { params }: Exchange['envelope'],
): { kind: TargetKind; exposed: string }[] {
  const { ref } = (params === undefined ? {} : parsed(bytes, params)) as {
    ref?: { type?: unknown; name?: unknown; uri?: unknown } | null;
  };
  if (ref?.type === 'ref/prompt' && typeof ref.name === 'string')
    return [{ kind: 'prompt', exposed: ref.name }];
  if (ref?.type === 'ref/resource' && typeof ref.uri === 'string')
    return [{ kind: 'resource', exposed: ref.uri }];
  return [];
}
