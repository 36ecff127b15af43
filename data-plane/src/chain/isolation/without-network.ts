/**
 * Takes the network, other processes and this process's own rights away from what is loaded afterwards. Node's
 * permission model stops files, processes, threads and native code; up to version 24 it does not stop sockets or
 * signals. So the functions that lead there are replaced, in the modules and in the classes behind them, before the
 * plugin is loaded. This is no wall of the kernel; SECURITY.md says what that means.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { Server, Socket } from 'node:net';

const require = createRequire(import.meta.url);

/** Nothing of these is left. */
const MODULES = [
  'child_process',
  'cluster',
  'dgram',
  'dns',
  'dns/promises',
  'http',
  'http2',
  'https',
  'inspector',
  'inspector/promises',
  'net',
  'repl',
  'tls',
  'wasi',
  'worker_threads',
];
const FUNCTIONS: readonly (readonly [module: string, names: readonly string[]])[] = [
  // A thread of loader hooks would have all that is taken away here.
  ['module', ['register', 'registerHooks', 'enableCompileCache']],
  ['os', ['setPriority']],
  ['v8', ['setFlagsFromString', 'setHeapSnapshotNearHeapLimit', 'startupSnapshot']],
];
const GLOBALS = ['fetch', 'WebSocket', 'EventSource', 'navigator'];
const OF_THE_PROCESS = [
  '_debugEnd',
  '_debugProcess',
  '_getActiveHandles',
  '_getActiveRequests',
  '_kill',
  '_linkedBinding',
  'abort',
  'binding',
  'channel',
  'chdir',
  'dlopen',
  'execve',
  'initgroups',
  'kill',
  'report',
  'setegid',
  'seteuid',
  'setgid',
  'setgroups',
  'setuid',
  'stdin',
  'umask',
];

export function takeNetworkAway(): void {
  const { connect, listen } = { connect: denied('connect'), listen: denied('listen') };
  Object.defineProperty(Socket.prototype, 'connect', {
    value: connect,
    writable: false,
    configurable: false,
  });
  Object.defineProperty(Server.prototype, 'listen', { value: listen, writable: false, configurable: false });
  for (const name of MODULES) {
    const module = load(name);
    for (const member of Object.keys(module ?? {})) replace(module as object, member, name);
  }
  for (const [name, members] of FUNCTIONS) {
    const module = load(name);
    for (const member of members) if (module !== undefined && member in module) replace(module, member, name);
  }
  syncBuiltinESMExports();
  for (const name of GLOBALS) Reflect.deleteProperty(globalThis, name);
  for (const name of OF_THE_PROCESS) {
    if (name in process) replace(process, name, 'process');
  }
}

function load(name: string): Record<string, unknown> | undefined {
  try {
    return require(`node:${name}`) as Record<string, unknown>;
  } catch {
    // This version does not have it, or has it denied.
    return undefined;
  }
}

/** Data stays: status codes and names of methods harm nobody. */
function replace(owner: object, member: string, where: string): void {
  const { value, get, configurable } = Object.getOwnPropertyDescriptor(owner, member) ?? {};
  const isData =
    get === undefined && typeof value !== 'function' && (typeof value !== 'object' || /^[A-Z]/.test(member));
  if (isData && where !== 'process') return;
  const denial = typeof value === 'function' ? denied(`${where}.${member}`) : undefined;
  if (configurable !== false) {
    Object.defineProperty(owner, member, {
      value: denial,
      writable: false,
      enumerable: true,
      configurable: false,
    });
  } else Reflect.set(owner, member, denial);
}

/** Can be extended and asked for its members, so that a library that never uses it still loads. */
function denied(what: string): () => never {
  return function Denied(): never {
    throw new Error(`a plugin in a process of its own has no ${what}; host.fetch is its way out`);
  };
}
