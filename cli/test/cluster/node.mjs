// @ts-check
// One node of a cluster: a data plane in a thread of its own, which can be ended without a goodbye. The bus between
// nodes is made of message channels that the main thread hands out; the session store lives in the main thread.
import { parentPort, workerData } from 'node:worker_threads';
import { startDataPlane } from '@sluice/data-plane';
import { pino } from 'pino';

/** @typedef {import('node:worker_threads').MessagePort} MessagePort */

const port = /** @type {MessagePort} */ (parentPort);
/** @type {Map<number, (record: any) => void>} */
const claims = new Map();
/** @type {MessagePort[]} */
const pipes = [];
/** @type {(address: string, pipe: any) => void} */
let met = () => {};
let count = 0;

/** @type {import('@sluice/data-plane').NodeBus} */
const bus = {
  join(address, introduce) {
    met = introduce;
    port.postMessage({ type: 'join', address });
  },
  leave() {
    for (const pipe of pipes) pipe.close();
  },
};

/** @type {import('@sluice/data-plane').SessionStore} */
const sessionStore = {
  put: (id, record) => port.postMessage({ type: 'put', id, record }),
  end: (id) => port.postMessage({ type: 'end', id }),
  claim: (id, from, to) =>
    new Promise((resolve) => {
      claims.set(++count, resolve);
      port.postMessage({ type: 'claim', call: count, id, from, to });
    }),
};

/** @param {MessagePort} channel */
const pipeOver = (channel) => ({
  /** @param {unknown} message */
  post: (message) => channel.postMessage(message),
  /** @param {(message: any) => void} listener */
  onMessage: (listener) => void channel.on('message', listener),
  /** @param {() => void} listener */
  onClose: (listener) => void channel.on('close', listener),
  close: () => channel.close(),
});

port.on('message', (message) => {
  if (message.type === 'met') {
    pipes.push(message.channel);
    met(message.address, pipeOver(message.channel));
  } else if (message.type === 'claimed') {
    claims.get(message.call)?.(message.record);
    claims.delete(message.call);
  } else if (message.type === 'stop') {
    void dataPlane.stop(1_000).then(() => port.close());
  }
});

const dataPlane = await startDataPlane({
  configuration: workerData.configuration,
  key: workerData.key,
  log: pino({ level: 'silent' }),
  cluster: { bus, sessionStore },
});
port.postMessage({ type: 'listening', url: dataPlane.url });
