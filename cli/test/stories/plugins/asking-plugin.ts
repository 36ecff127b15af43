import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const COMMAND = fileURLToPath(new URL('../../../bin/sluice.js', import.meta.url));
const ASKING = `
import { definePlugin, Outcome, Refusal, Type } from '@sluice/sdk';

export default definePlugin({
  name: 'asking',
  version: '1.0.0',
  description: 'Asks before each call of a tool.',
  phase: 'decision',
  config: Type.Object({ who: Type.String(), url: Type.Optional(Type.String()) }, { additionalProperties: false }),
  reads: ['ask', 'arguments', 'method'],
  changes: [],
  hooks: ({ who, url }) => ({
    exchange: async (ctx, next) => {
      if (ctx.method !== 'tools/call') return next();
      const message = 'May ' + who + ' run ' + JSON.stringify(ctx.arguments) + '?';
      const said = await ctx.ask({ key: 'sure', message, url });
      if (said instanceof Outcome) return said;
      return said.action === 'accept' ? next() : new Refusal('forbidden', who + ' said ' + said.action);
    },
  }),
});
`;

/** Makes a plugin that asks for approval of each call. Resolves with its hash. */
export async function packAskingPlugin(folder: string): Promise<string> {
  await mkdir(folder);
  await writeFile(
    join(folder, 'package.json'),
    '{ "name": "asking", "type": "module", "exports": "./index.js" }',
  );
  await writeFile(join(folder, 'index.js'), ASKING);
  const { stdout } = await promisify(execFile)(process.execPath, [COMMAND, 'plugin', 'pack', folder]);
  return /hash: (sha256-\S{44})/.exec(stdout)?.[1] as string;
}
