// @ts-check
// One node of a cluster: a data plane in a process of its own, which can be ended without a goodbye. The process that
// started it carries what nodes say to each other, and has the session store; or NATS does.
import { connectCluster, startDataPlane } from '@sluice/data-plane';
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
  // In this test nobody is cut off and comes back.
  onMoved() {},
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
/** @type {import('@sluice/data-plane').ClusterConnection | undefined} */
let connection;
/** Workers of other nodes that can be reached, for each of ours. */
const reached = new Set();

/** @type {(condition: () => boolean | Promise<boolean>) => Promise<void>} */
async function until(condition) {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** @type {(nats: object, node: string) => Promise<import('@sluice/data-plane').Cluster>} */
async function clusterOverNats(nats, node) {
  const log = pino({ level: process.env.SLUICE_TEST_LOG ?? 'silent' }, process.stderr);
  const connected = await connectCluster({ nats: /** @type {any} */ (nats), cluster: 'test', node, log });
  connection = connected;
  // A bucket is opened when the connection is there.
  await until(async () => (await connected.sessions.claim(`first-${node}`, 'x.0', 'y.0')) !== undefined);
  return {
    ...connected,
    bus: {
      join: (ours, introduce) =>
        connected.bus.join(ours, (own, other, pipe) => {
          const pair = { own, other };
          reached.add(pair);
          introduce(own, other, pipe);
          pipe.onClose(() => reached.delete(pair));
        }),
      leave: () => connected.bus.leave(),
    },
  };
}

process.on('message', async (/** @type {any} */ message) => {
  switch (message.type) {
    case 'start':
      dataPlane = await startDataPlane({
        configuration: message.configuration,
        key: message.key,
        log: pino({ level: 'silent' }),
        cluster:
          message.nats === undefined
            ? { bus, sessions: sessionStore }
            : await clusterOverNats(message.nats, message.node),
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
    case 'reach':
      await until(() => reached.size === message.pairCount);
      await dataPlane?.reloadTls();
      tell({ type: 'answer', id: message.id });
      return;
    case 'write':
      // Threads have told of all that they put down when they answer.
      await dataPlane?.reloadTls();
      await /** @type {any} */ (connection)?.sessions.written();
      tell({ type: 'answer', id: message.id });
      return;
    case 'claimed':
      claims.get(message.call)?.(message.record);
      claims.delete(message.call);
      return;
    case 'stop':
      await dataPlane?.stop(1_000);
      await connection?.close();
      process.disconnect();
  }
});
process.on('disconnect', () => process.exit());
