import type { CreateListener } from './listener.js';
import { createNodeListener } from './node.js';
import { createUwsListener } from './uws.js';
import { loadUws } from './uws-load.js';

/** Makes a listener; see {@link CreateListener}. Why `auto` took node:http is the `reason` of {@link loadUws}. */
export const createListener: CreateListener = async (kind, options, door) => {
  if (kind === 'node') return createNodeListener(options, door);
  const loaded = await loadUws();
  if (loaded.ok) return createUwsListener(loaded.uws, options, door);
  if (kind === 'auto') return createNodeListener(options, door);
  throw new Error(`${loaded.reason}. The node listener serves without it.`);
};
