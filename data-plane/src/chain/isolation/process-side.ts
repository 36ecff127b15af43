/** The program of a process that runs one plugin. It talks to the gateway over one descriptor and has nothing else. */
import { type FromPlugin, messageOf, PluginSide, type ToPlugin } from '@sluice/sdk/isolation';
import { limitBuffers } from './buffer-limit.js';
import { GatewayChannel } from './gateway-channel.js';
import { takeNetworkAway } from './without-network.js';

/** Thrown by nobody who waits: the plugin's own timers and promises. */
const MAX_STRAY_MESSAGE_LENGTH = 1_000;

const [maxMessageBytes, maxBufferBytes] = process.argv.slice(2).map(Number) as [number, number];
const channel = new GatewayChannel(maxMessageBytes, (message) => void receive(message));
const post = (message: FromPlugin) => channel.post(message);
const side = new PluginSide(post, maxMessageBytes);
process.on('uncaughtException', (thrown) => stray(thrown));
process.on('unhandledRejection', (thrown) => stray(thrown));

// Made when they are first asked for, with what is taken away now.
void [process.stdout, process.stderr];
takeNetworkAway();
limitBuffers(maxBufferBytes);

async function receive(message: ToPlugin): Promise<void> {
  switch (message.type) {
    case 'load':
      try {
        post({ type: 'loaded', facts: await side.load(message.order) });
      } catch (thrown) {
        post({ type: 'notLoaded', message: messageOf(thrown) });
      }
      return;
    case 'run': {
      const { run } = message.order;
      try {
        post({ type: 'done', run, answer: await side.run(message.order) });
      } catch (thrown) {
        post({ type: 'failed', run, message: messageOf(thrown) });
      }
      return;
    }
    case 'ping':
      post({ type: 'pong' });
      return;
    case 'shutdown':
      await side.shutdown().catch(stray);
      post({ type: 'ended' });
      return;
    default:
      side.receive(message);
  }
}

function stray(thrown: unknown): void {
  post({
    type: 'log',
    level: 'error',
    fields: {},
    message: `thrown where nobody waits: ${messageOf(thrown).slice(0, MAX_STRAY_MESSAGE_LENGTH)}`,
  });
}
