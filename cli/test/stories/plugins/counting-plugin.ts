import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
const COUNTING = `
import { definePlugin, Type } from '@sluice/sdk';

export default definePlugin({
  name: 'call-count',
  version: '1.0.0',
  description: 'Says in each result how many there were.',
  phase: 'shape',
  config: Type.Object({}, { additionalProperties: false }),
  reads: [],
  changes: ['result'],
  hooks: (_, { store }) => ({
    outcome: async (_, outcome) => {
      if (outcome.result?.content === undefined) return outcome;
      const count = Number((await store.get('count')) ?? 0) + 1;
      await store.set('count', String(count));
      return outcome.withResult({ ...outcome.result, content: [{ type: 'text', text: 'call ' + count }] });
    },
  }),
});
`;

/** Makes a plugin that counts calls in its store, and says in each result how many there were. Resolves with its hash. */
export async function packCountingPlugin(folder: string): Promise<string> {
  await mkdir(folder);
  await writeFile(
    join(folder, 'package.json'),
    '{ "name": "call-count", "type": "module", "exports": "./index.js" }',
  );
  await writeFile(join(folder, 'index.js'), COUNTING);
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, 'plugin', 'pack', folder]);
  return /hash: (sha256-\S{44})/.exec(stdout)?.[1] as string;
}
