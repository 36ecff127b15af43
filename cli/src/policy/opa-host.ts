/** How commands ask the OPA of a policy: as a gateway does, and without one. */
import type { FetchAnswer, FetchOptions, PluginHost } from '@sluice/sdk';
import type { Output } from '../health.js';

const DEFAULT_TIMEOUT_MS = 5_000;

/** Rejects when there is no whole answer in time. */
export async function askOpa(
  url: string,
  { method = 'GET', headers = {}, body, timeoutMs = DEFAULT_TIMEOUT_MS }: FetchOptions = {},
): Promise<FetchAnswer> {
  const answer = await fetch(url, {
    method,
    headers,
    ...(body !== undefined && { body }),
    redirect: 'manual',
    signal: AbortSignal.timeout(timeoutMs),
  });
  return { status: answer.status, headers: {}, text: await answer.text() };
}

/** @param err is told why OPA could not be asked. */
export function opaHost(err: Output): Pick<PluginHost, 'clock' | 'fetch' | 'log' | 'metrics'> {
  const nothing = () => undefined;
  const tell = (fields: object, message: string) => {
    const { err: thrown } = fields as { err?: { message?: string; cause?: { message?: string } } };
    err.write(`${[message, thrown?.message, thrown?.cause?.message].filter(Boolean).join(': ')}\n`);
  };
  return {
    clock: {
      now: () => Date.now(),
      after(delayMs, callback) {
        const timer = setTimeout(callback, delayMs).unref();
        return () => clearTimeout(timer);
      },
    },
    fetch: askOpa,
    log: { debug: nothing, info: nothing, warn: tell, error: tell },
    metrics: { count: nothing, observe: nothing, gauge: nothing },
  };
}
