#!/usr/bin/env node
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const main = new URL('../dist/main.js', import.meta.url);
if (!existsSync(fileURLToPath(main))) {
  console.error('bench: not built yet: loadtest/dist/main.js is missing. Run `npm run build` first.');
  process.exit(2);
}
await import(main.href);
