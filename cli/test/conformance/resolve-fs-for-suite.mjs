// Module hook: `fs`, when the conformance suite asks for it, is our module with `globSync`.
const SUITE_ENTRY = '/@modelcontextprotocol/conformance/dist/index.js';
const SUBSTITUTE_URL = new URL('./fs-glob-sync.mjs', import.meta.url).href;

/** @type {import('node:module').ResolveHook} */
export async function resolve(specifier, context, nextResolve) {
  const isFs = specifier === 'fs' || specifier === 'node:fs';
  if (isFs && context.parentURL?.endsWith(SUITE_ENTRY)) {
    return { url: SUBSTITUTE_URL, format: 'module', shortCircuit: true };
  }
  return nextResolve(specifier, context);
}
