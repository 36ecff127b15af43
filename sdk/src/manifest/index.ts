/**
 * Packed plugins: what `sluice plugin pack` writes, and what the gateway checks before it runs anything; and how a
 * misspelled field is recognised, in the configuration of a plugin as elsewhere.
 */
export { nearestName } from '../nearest-name.js';
export { verifiedContents } from './files.js';
export { checkManifestConfig, type FoundPlugin, findPlugin, type Manifest } from './manifest.js';
export { packPlugin } from './pack.js';
