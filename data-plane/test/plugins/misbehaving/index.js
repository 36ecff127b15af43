/** A plugin that does what its caller says, so that tests can see what each costs. */
import { writeSync } from 'node:fs';
import { definePlugin, Outcome, Refusal, RequestFailure, Type } from '@sluice/sdk';

const kept = [];
let count = 0;

const deeds = {
  echo: ({ args }) => Outcome.ofResult({ content: [], args }),
  count: () => Outcome.ofResult({ content: [], count: ++count }),
  throw: () => {
    throw new Error('thrown on purpose');
  },
  fail: () => {
    throw new RequestFailure('too much of it');
  },
  refuse: () => new Refusal('forbidden', 'not today', { headers: [['X-Why', 'because']], data: { a: 1 } }),
  loop: () => {
    for (;;);
  },
  exit: () => process.exit(3),
  heap: () => {
    for (;;) kept.push(new Array(1_000).fill(kept.length).map(String));
  },
  buffers: () => {
    for (;;) kept.push(Buffer.alloc(16 * 1024 * 1024, 1));
  },
  // Too much at once for V8 to say so first: it ends the process.
  array: () => Outcome.ofResult({ length: new Array(2 ** 27).fill({}).length }),
  texts: () => {
    for (;;) kept.push(JSON.stringify('x'.repeat(2 ** 28)));
  },
  textBuffers: () => {
    for (;;) kept.push(Buffer.from('x'.repeat(2 ** 28)));
  },
  kill: () => process.kill(process.pid, 'SIGKILL'),
  hold: () => Outcome.ofResult({ count: kept.push(Buffer.alloc(64 * 1024 * 1024, 1)) }),
  wait: () => new Promise(() => {}),
  large: () => Outcome.ofResult({ text: 'x'.repeat(400 * 1024 * 1024) }),
  // One text of 16 MiB, 64 times.
  gigabyte: () => Outcome.ofResult({ content: new Array(64).fill({ text: 'x'.repeat(2 ** 24) }) }),
  // Past its own side of the talk: each message is small enough to be taken.
  written: ({ args }) => {
    for (let index = 0; index < args.count; index++) writeAll(3, message(args.bytes));
    return Outcome.ofResult({ written: args.count * args.bytes });
  },
  // One gigabyte is announced to the gateway on the channel of the process.
  announce: () => {
    const head = Buffer.alloc(4);
    head.writeUInt32BE(2 ** 30, 0);
    writeSync(3, head);
    return new Promise(() => {});
  },
  undeclared: ({ ctx }) => Outcome.ofResult({ seen: ctx.principal.id }),
  remark: ({ ctx }) => {
    ctx.remark({ kind: 'flagged', rule: 'r', data: { a: 1 } });
    return Outcome.ofResult({ remarks: ctx.remarks });
  },
  next: async ({ next }) => next(),
  nextHeaders: async ({ next }) => (await next()).withHeaders([['X-Seen', 'yes']]),
  nextChanged: async ({ next }) => next({ arguments: { do: 'changed' }, headers: { 'x-tenant': 'acme' } }),
  nextForbidden: async ({ next }) => next({ headers: { authorization: 'stolen' } }),
  split: () => Outcome.ofResult({ content: [] }).withHeaders([['X-Split', 'a\r\nSet-Cookie: b=c']]),
  store: async ({ host }) => {
    await host.store.set('key', 'value');
    return Outcome.ofResult({ kept: await host.store.get('key'), keys: await host.store.keys('k') });
  },
  units: async ({ host }) => {
    const allowance = { intervalUs: 1_000_000, burst: 5 };
    const portion = await host.buckets.take('key', allowance, 3);
    const refused = await host.buckets.take('key', allowance, -1).catch(({ message }) => message);
    return Outcome.ofResult({ portion, refused });
  },
  fetch: async ({ host, args }) => Outcome.ofResult({ answer: (await host.fetch(args.url)).text }),
  tell: ({ host }) => {
    console.log('written to the output');
    host.log.info({ a: 1 }, 'said by the plugin');
    host.metrics.count('deeds', 'Deeds', { deed: 'tell' });
    return Outcome.ofResult({ told: true });
  },
  talk: ({ host, args }) => {
    for (let count = 0; count < args.count; count++) host.log.debug({ count }, 'said');
    return new Promise(() => {});
  },
  // What a process without rights cannot do; each is a function that shows it can.
  reach: async ({ args }) => Outcome.ofResult({ reached: await reach[args.way]?.(args).catch(said) }),
};

/** A message about a run that is not there. */
function message(bytes) {
  const text = JSON.stringify({ type: 'failed', run: 0, message: '' });
  const own = Buffer.alloc(bytes, 'x');
  own.writeUInt32BE(bytes - 4, 0);
  own.write(text.slice(0, -2), 4);
  own.write('"}', bytes - 2);
  return own;
}

function writeAll(descriptor, bytes) {
  for (let done = 0; done < bytes.byteLength; ) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (thrown) {
      // The gateway is still reading.
      if (thrown.code !== 'EAGAIN') throw thrown;
    }
  }
}

const said = (thrown) => `no: ${thrown?.code ?? thrown?.message}`;

const reach = {
  environment: async () => JSON.stringify(process.env),
  file: async ({ path }) => (await import('node:fs')).readFileSync(path, 'utf8'),
  write: async ({ path }) => (await import('node:fs')).writeFileSync(path, 'x'),
  child: async () => (await import('node:child_process')).execSync('id').toString(),
  thread: async () => String(new (await import('node:worker_threads')).Worker('1', { eval: true })),
  socket: async ({ port }) =>
    connected(() => import('node:net').then(({ connect }) => connect(port, '127.0.0.1'))),
  socketClass: async ({ port }) =>
    connected(async () => new process.stdout.constructor().connect(port, '127.0.0.1')),
  required: async ({ port }) =>
    connected(async () => {
      const { createRequire } = await import('node:module');
      return createRequire(import.meta.url)('net').createConnection(port, '127.0.0.1');
    }),
  builtin: async ({ port }) =>
    connected(async () => process.getBuiltinModule('node:net').connect(port, '127.0.0.1')),
  agent: async ({ port }) =>
    connected(async () =>
      (await import('node:https')).globalAgent.createConnection({ port, host: '127.0.0.1' }),
    ),
  fetch: async ({ port }) => String((await fetch(`http://127.0.0.1:${port}/`)).status),
  http: async ({ port }) =>
    connected(async () => (await import('node:http')).get(`http://127.0.0.1:${port}/`)),
  resolve: async () => JSON.stringify(await (await import('node:dns/promises')).lookup('localhost')),
  loaderHooks: async () =>
    String((await import('node:module')).register('data:text/javascript,', import.meta.url)),
  signal: async ({ pid }) => String(process.kill(pid, 0)),
  binding: async () => String(process.binding('tcp_wrap')),
  inspector: async () => String(new (await import('node:inspector')).Session().connect()),
};

/** Resolves when there is a connection. */
async function connected(open) {
  const socket = await open();
  return new Promise((resolve, reject) => {
    for (const event of ['connect', 'socket', 'response']) socket.once(event, () => resolve('connected'));
    socket.once('error', reject);
  });
}

export default definePlugin({
  name: 'misbehaving',
  version: '1.0.0',
  description: 'Does what its caller says.',
  phase: 'shape',
  config: Type.Object({ hook: Type.Optional(Type.String()), shared: Type.Optional(Type.Number()) }),
  reads: ['arguments', 'headers.x-tenant', 'principal.claims.team', 'remark', 'remarks'],
  changes: ['arguments', 'result', 'headers.x-tenant'],
  sharedBytes: ({ shared }) => shared ?? 0,
  hooks: ({ hook }, host) => ({
    ...(hook === 'head' && { head: () => undefined }),
    ...(hook === 'challenge' && { challenge: () => 'Bearer realm="test"' }),
    ...(hook === 'challenge that reads' && { challenge: (ctx) => ctx.headers['x-tenant'] }),
    exchange: (ctx, next) => {
      const args = ctx.arguments;
      return deeds[args.do]?.({ ctx, next, host, args }) ?? next();
    },
    entries: (_, entries) => entries.filter(({ entry }) => entry.name !== 'hidden'),
    ...(hook !== 'anonymous' && { identify: () => undefined }),
  }),
});
