import { writeFileSync } from 'node:fs';
import type { Plugin } from '@sluice/sdk';
import { BUILT_IN, builtIn } from '../index.js';
import { pluginsPage } from './plugins-page.js';

/** Writes the reference page of the plugins. */
const plugins = BUILT_IN.map((name) => builtIn(name) as Plugin);
writeFileSync(new URL('../../../docs/reference/plugins.md', import.meta.url), pluginsPage(plugins));
