/** Packed plugins: what `sluice plugin pack` writes, and what the gateway checks before it runs anything. */
export { verifiedContents } from './files.js';
export { checkManifestConfig, type FoundPlugin, findPlugin, type Manifest } from './manifest.js';
export { packPlugin } from './pack.js';
