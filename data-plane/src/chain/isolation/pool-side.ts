/**
 * The program of a process that has the threads of one plugin. It stands between them and the gateway, and runs nothing
 * of the plugin itself, so it answers whatever they do. V8 ends the whole process when a thread wants too much at once.
 */
import { type LoadOrder, messageOf, type RunOrder, type ToPlugin } from '@sluice/sdk/isolation';
import { GatewayChannel } from './gateway-channel.js';
import type { IsolationLimits } from './limits.js';
import { type Asking, ThreadPool } from './thread-pool.js';

const MAX_REASON_LENGTH = 1_000;

const limits = JSON.parse(process.argv[2] as string) as IsolationLimits;
const channel = new GatewayChannel(limits.maxMessageBytes, (message) => void receive(message));
let pool: ThreadPool | undefined;

async function receive(message: ToPlugin): Promise<void> {
  switch (message.type) {
    case 'load':
      return load(message.order);
    case 'run':
      return run(message.order);
    case 'stop':
      pool?.stop(message.run);
      return;
    case 'ping':
      channel.post({ type: 'pong' });
      return;
    case 'shutdown':
      await pool?.shutDown();
      channel.post({ type: 'ended' });
      return;
    default:
      pool?.answer(message);
  }
}

async function load(order: LoadOrder): Promise<void> {
  const onError = (thrown: Error) =>
    channel.post({
      type: 'log',
      level: 'error',
      fields: {},
      message: `a thread is replaced: ${reasonOf(thrown)}`,
    });
  pool = new ThreadPool({ order, limits, ask, onError });
  try {
    channel.postText(`{"type":"loaded","facts":${await pool.facts()}}`);
  } catch (thrown) {
    channel.post({ type: 'notLoaded', message: reasonOf(thrown) });
  }
}

async function run(order: RunOrder): Promise<void> {
  try {
    const answer = (await pool?.run(order)) ?? '{}';
    channel.postText(`{"type":"done","run":${order.run},"answer":${answer}}`);
  } catch (thrown) {
    channel.post({ type: 'failed', run: order.run, message: reasonOf(thrown) });
  }
}

/** What is too large for the gateway is answered here. */
function ask(message: Asking): void {
  try {
    channel.post(message);
  } catch (thrown) {
    const reason = reasonOf(thrown);
    if (message.type === 'next') pool?.answer({ type: 'notNext', run: message.run, message: reason });
    if (message.type === 'serve') pool?.answer({ type: 'notServed', call: message.call, message: reason });
  }
}

function reasonOf(thrown: unknown): string {
  return messageOf(thrown).slice(0, MAX_REASON_LENGTH);
}
