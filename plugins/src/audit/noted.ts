/**
 * What a worker notes of an exchange: as little as it can, as texts that are cheap to hand to another thread. What is
 * made of them there is in `shaping.ts`.
 */

/** Places of what is noted, see {@link Noted}. */
export type Noted = readonly [
  id: string,
  timeMs: number,
  kind: 'exchange' | 'refused',
  traceparent: string | undefined,
  endpoint: string,
  transport: string,
  method: string,
  revision: string,
  session: string | undefined,
  principal: string | undefined,
  tenant: string | undefined,
  consumer: string | undefined,
  clientName: string | undefined,
  clientVersion: string | undefined,
  address: string | undefined,
  scopes: readonly string[] | undefined,
  /** Those that are asked for by name. */
  claims: Readonly<Record<string, unknown>> | undefined,
  targets: readonly (readonly [kind: string, upstream: string, name: string])[],
  resultBytes: number,
  durationMs: number,
  outcome: 'ok' | 'input_required' | 'error' | 'refused' | 'cancelled',
  errorCode: number,
  /** Who refused, and with what words. */
  refusedBy: string | undefined,
  reason: string | undefined,
  remarks: readonly object[] | undefined,
  /** Characters of the parameters; they themselves follow, unless they are longer than is kept. */
  paramsLength: number,
];

/** A note, and the parameters as the client wrote them; empty where they are not kept. */
export type NotedText = readonly [note: string, params: string];
