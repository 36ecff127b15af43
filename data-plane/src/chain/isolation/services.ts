/** What a plugin that runs elsewhere can have of the gateway: log, metrics, store, requests. */
import type { BucketAllowance, PluginHost } from '@sluice/sdk';
import { type FromPlugin, messageOf, type ToPlugin } from '@sluice/sdk/isolation';

const MAX_CALL_COUNT = 256;
const MAX_LOG_BYTES = 8_192;
const MAX_KEY_BYTES = 1_024;
const MAX_VALUE_BYTES = 65_536;
const MAX_LABEL_BYTES = 128;
/** Values of labels that one plugin may come up with; each is a series that stays. */
const MAX_SERIES_COUNT = 1_000;

type Wish = Extract<FromPlugin, { type: 'log' | 'measure' | 'serve' }>;
type Serve = Extract<Wish, { type: 'serve' }>;
type Measure = Extract<Wish, { type: 'measure' }>;

export class Services {
  private callCount = 0;
  private readonly series = new Set<string>();

  constructor(private readonly host: Promise<PluginHost>) {}

  /** Never rejects: what cannot be had is said to the plugin, or left. */
  async take(wish: Wish, post: (message: ToPlugin) => void): Promise<void> {
    if (wish.type === 'serve') return this.serve(wish, post);
    try {
      const host = await this.host;
      if (wish.type === 'measure') this.measure(host, wish);
      else host.log[wish.level]?.(cut(wish.fields), String(wish.message).slice(0, MAX_LOG_BYTES));
    } catch {
      // A name or a label that cannot be: the plugin's own loss.
    }
  }

  private measure({ metrics }: PluginHost, { kind, name, help, labels, value }: Measure): void {
    const texts = [name, help, ...Object.entries(labels).flat()];
    const isShort = texts.every((text) => typeof text === 'string' && text.length <= MAX_LABEL_BYTES);
    if (!isShort || !Number.isFinite(value) || (kind === 'count' && value < 0)) return;
    const series = JSON.stringify([name, labels]);
    if (!this.series.has(series)) {
      if (this.series.size >= MAX_SERIES_COUNT) return;
      this.series.add(series);
    }
    if (kind === 'count') metrics.count(name, help, labels, value);
    else metrics[kind === 'gauge' ? 'gauge' : 'observe'](name, help, value, labels);
  }

  private async serve({ call, service, given }: Serve, post: (message: ToPlugin) => void): Promise<void> {
    let answer: ToPlugin;
    if (this.callCount >= MAX_CALL_COUNT) {
      answer = { type: 'notServed', call, message: `${MAX_CALL_COUNT} calls of the gateway are under way` };
    } else {
      this.callCount++;
      try {
        answer = { type: 'served', call, value: await served(await this.host, service, given) };
      } catch (thrown) {
        answer = { type: 'notServed', call, message: messageOf(thrown) };
      }
      this.callCount--;
    }
    try {
      post(answer);
    } catch {
      // It is gone, or does not read.
    }
  }
}

async function served(
  { store, buckets, fetch }: PluginHost,
  service: Serve['service'],
  given: readonly unknown[],
): Promise<unknown> {
  const [first, second, third] = given;
  if (service === 'fetch') return fetch(text(first, MAX_VALUE_BYTES), (second ?? {}) as object);
  const key = text(first, MAX_KEY_BYTES);
  switch (service) {
    case 'get':
      return store.get(key);
    case 'keys':
      return store.keys(key);
    case 'delete':
      return store.delete(key);
    case 'set':
      return store.set(key, text(second, MAX_VALUE_BYTES), typeof third === 'number' ? { ttlMs: third } : {});
    case 'units':
      return buckets.take(key, ...unitsOf(second));
    default:
      throw new TypeError(`there is no service ${String(service)}`);
  }
}

function unitsOf(value: unknown): [BucketAllowance, number] {
  const [intervalUs, burst, count] = Array.isArray(value) ? value : [];
  for (const each of [intervalUs, burst, count])
    if (!(Number.isFinite(each) && each > 0))
      throw new TypeError('an interval, a burst and a count above 0 are wanted');
  return [{ intervalUs, burst }, count];
}

function text(value: unknown, maxBytes: number): string {
  if (typeof value !== 'string') throw new TypeError('a text is wanted');
  if (Buffer.byteLength(value) <= maxBytes) return value;
  throw new RangeError(`a text of at most ${maxBytes} bytes is wanted`);
}

function cut(fields: object): object {
  return JSON.stringify(fields).length <= MAX_LOG_BYTES ? fields : { cut: 'the fields were too long' };
}
