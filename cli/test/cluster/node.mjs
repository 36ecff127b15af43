// @ts-check
// One node of a cluster: a data plane in a process of its own, which can be ended without a goodbye. The process that
// started it carries what nodes say to each other, and has the session store.
import { startDataPlane } from '@sluice/data-plane';
import { pino } from 'pino';

/** @type {(message: object) => void} */
const tell = (message) => void process.send?.(message);
/** @type {Map<number, (record: any) => void>} */
const claims = new Map();
/** @typedef {{ receive: (message: any) => void, closed: () => void }} Listening */
/** @type {Map<string, Listening>} */
const pipes = new Map();
/** @type {import('@sluice/data-plane').Met} */
let met = () => {};
let count = 0;

/** @type {import('@sluice/data-plane').NodeBus} */
const bus = {
  join(ours, introduce) {
    met = introduce;
    tell({ type: 'join', ours });
  },
  leave() {
    tell({ type: 'leave' });
    for (const name of [...pipes.keys()]) closed(name);
  },
};

/** @type {import('@sluice/data-plane').SessionStore} */
const sessionStore = {
  put: (id, record) => tell({ type: 'put', id, record }),
  end: (id) => tell({ type: 'end', id }),
  claim: (id, from, to) =>
    new Promise((resolve) => {
      claims.set(++count, resolve);
      tell({ type: 'claim', call: count, id, from, to });
    }),
};

/** @type {(ours: string, other: string) => void} */
function meet(ours, other) {
  const name = `${ours} ${other}`;
  /** @type {Listening} */
  const listening = { receive() {}, closed() {} };
  pipes.set(name, listening);
  met(ours, other, {
    post: (message) => {
      if (pipes.has(name)) tell({ type: 'post', from: ours, to: other, message });
    },
    onMessage: (listener) => {
      listening.receive = listener;
    },
    onClose: (listener) => {
      const { closed } = listening;
      listening.closed = () => {
        closed();
        listener();
      };
    },
    // In this test nobody closes a pipe but a node that leaves.
    close() {},
  });
}

/** @param {string} name */
function closed(name) {
  const listening = pipes.get(name);
  pipes.delete(name);
  listening?.closed();
}

/** @type {import('@sluice/data-plane').DataPlane | undefined} */
let dataPlane;

process.on('message', async (/** @type {any} */ message) => {
  switch (message.type) {
    case 'start':
      dataPlane = await startDataPlane({
        configuration: message.configuration,
        key: message.key,
        log: pino({ level: 'silent' }),
        cluster: { bus, sessionStore },
      });
      tell({ type: 'listening', url: dataPlane.url });
      return;
    case 'met':
      meet(message.ours, message.other);
      return;
    case 'posted':
      pipes.get(`${message.ours} ${message.other}`)?.receive(message.message);
      return;
    case 'gone':
      for (const name of [...pipes.keys()]) {
        if (message.addresses.includes(name.split(' ')[1])) closed(name);
      }
      // It has nothing to read, but asks every worker, each of which then has seen its pipes closed, and been heard.
      await dataPlane?.reloadTls();
      tell({ type: 'parted', id: message.id });
      return;
    case 'claimed':
      claims.get(message.call)?.(message.record);
      claims.delete(message.call);
      return;
    case 'stop':
      await dataPlane?.stop(1_000);
      process.disconnect();
  }
});
process.on('disconnect', () => process.exit());
