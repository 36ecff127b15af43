/** The program of a thread that runs one plugin. piscina calls its default export for each run. */
import { MessageChannel, parentPort, workerData } from 'node:worker_threads';
import { type LoadOrder, PluginSide, type RunOrder, type ToPlugin } from '@sluice/sdk/isolation';
import { limitBuffers } from './buffer-limit.js';
import type { IsolationLimits } from './limits.js';

export interface PoolData {
  readonly order: LoadOrder;
  readonly limits: IsolationLimits;
}

/** What a thread is asked for: a run, or what it has loaded. */
export type PoolTask = RunOrder | 'facts';

const { order, limits } = workerData as PoolData;
const { port1: own, port2: gateways } = new MessageChannel();
const side = new PluginSide((message) => own.postMessage(message), limits.maxMessageBytes);
own.on('message', (message: ToPlugin) => {
  if (message.type !== 'shutdown') side.receive(message);
  else void side.shutdown().then(ended, ended);
});
own.unref();
parentPort?.postMessage({ port: gateways }, [gateways]);
limitBuffers(limits.maxBufferBytes);
// A thread that cannot load would be replaced for ever, so it stays and says why.
const loading = side.load(order);
loading.catch(() => undefined);

function ended(): void {
  own.postMessage({ type: 'ended' });
}

/** Resolves with the answer as JSON text: what is too large is not copied to the gateway. */
export default async function answer(task: PoolTask): Promise<string | undefined> {
  const facts = await loading;
  const text = JSON.stringify(task === 'facts' ? facts : await side.run(task)) as string | undefined;
  const length = text?.length ?? 0;
  if (length > limits.maxMessageBytes)
    throw new RangeError(`${length} bytes; the gateway takes ${limits.maxMessageBytes} from a plugin`);
  return text;
}
