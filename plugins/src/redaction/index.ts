/** Finds secrets and personal data in texts and in JSON, and puts stable tokens in their place. */
export { RedactionConfig, redactionProblems, redactorOptions } from './config.js';
export { DETECTORS } from './detectors.js';
export { NODE_SECRET_BYTES, nodeSecret } from './node-secret.js';
export { type Found, Redactor, type RedactorOptions } from './redactor.js';
export { StreamRedactor } from './stream.js';
export { meant } from './views.js';
export { changed, type Visitor } from './walk.js';
