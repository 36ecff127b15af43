import { setImmediate } from 'node:timers/promises';
import { SSEClientTransport as SseV2 } from '@modelcontextprotocol/client';
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio';
import { SSEClientTransport as SseV1 } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js';
import { SLUICE } from '../cli/sluice-process.js';
import type { ConnectOptions, Kind } from './official-client.js';

/** The transports of the official SDKs beside streamable HTTP: how the bytes of a client of this kind move. */
export type Wire = (kind: Kind) => NonNullable<ConnectOptions['transport']>;

/** @param args what stands behind `sluice stdio` */
export function stdioWire(...args: string[]): Wire {
  return stdioWireIn({}, ...args);
}

/** The same with variables of its environment; of others the SDKs hand on only a few. */
export function stdioWireIn(env: Record<string, string>, ...args: string[]): Wire {
  const stdio = [SLUICE, 'stdio', ...args];
  const server = { command: process.execPath, args: stdio, env, stderr: 'ignore' as const };
  return (kind) => oneByOne(kind === 'SDK v1' ? new StdioV1(server) : new StdioV2(server));
}

/** @param url of the stream */
export function sseWire(url: string): Wire {
  return (kind) => oneByOne(kind === 'SDK v1' ? new SseV1(new URL(url)) : new SseV2(new URL(url)));
}

type Transport = ReturnType<Wire>;

/**
 * Hands over each message in a turn of its own. Both SDKs take a response at once and a notification a moment later,
 * so that they lose the last progress of a call when its result is read together with it.
 */
function oneByOne(transport: Transport): Transport {
  type Handler = (...args: unknown[]) => void;
  let handler: Handler | undefined;
  let last = Promise.resolve();
  const queue: Handler = (...args) => {
    last = last.then(() => setImmediate()).then(() => handler?.(...args));
  };
  return Object.defineProperty(transport, 'onmessage', {
    get: () => handler && queue,
    set: (set: Handler | undefined) => {
      handler = set;
    },
  });
}
