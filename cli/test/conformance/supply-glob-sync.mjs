// Preloaded (`node --import`) into the conformance suite. On a Node without `fs.globSync` it hands the
// suite, and nobody else, a module that has the name. `syncBuiltinESMExports` cannot do this: it updates
// the exports a builtin already has and adds none.
import fs from 'node:fs';
import { register } from 'node:module';

if (!('globSync' in fs)) {
  register('./resolve-fs-for-suite.mjs', import.meta.url);
}
