import { readFileSync, writeFileSync } from 'node:fs';
import { sdkPage } from './sdk-page.js';

/** Writes the reference page of the SDK, from what the compiler has made of the sources. */
const page = sdkPage((name) => readFileSync(new URL(`../${name}.d.ts`, import.meta.url), 'utf8'));
writeFileSync(new URL('../../../docs/reference/sdk.md', import.meta.url), page);
