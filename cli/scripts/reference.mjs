// Writes docs/reference/cli.md from the definitions of the command line. Build first.
import { mkdirSync, writeFileSync } from 'node:fs';
import { renderReference } from '../dist/reference.js';

const page = new URL('../../docs/reference/cli.md', import.meta.url);
mkdirSync(new URL('.', page), { recursive: true });
writeFileSync(page, renderReference());
