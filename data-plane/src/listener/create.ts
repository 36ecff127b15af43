import type { CreateListener } from './listener.js';
import { loadUws } from './uws-load.js';

/**
 * Makes a listener; see {@link CreateListener}. Why `auto` took node:http is the `reason` of {@link loadUws}. Only the
 * one that serves is loaded: what the other needs takes memory.
 */
export const createListener: CreateListener = async (kind, options, door) => {
  const loaded = kind === 'node' ? undefined : await loadUws();
  if (loaded?.ok) {
    const { createUwsListener } = await import('./uws.js');
    return createUwsListener(loaded.uws, options, door);
  }
  if (kind === 'uws') throw new Error(`${loaded?.reason}. The node listener serves without it.`);
  const { createNodeListener } = await import('./node.js');
  return createNodeListener(options, door);
};
