import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import { build, install, ROOT } from './workspace.mjs';

const DEMO_CONFIGURATION = join(ROOT, 'cli', 'demo', 'sluice.yaml');
const DEMO_SERVER = join(ROOT, 'cli', 'examples', 'demo-server.mjs');
const SLUICE = join(ROOT, 'cli', 'bin', 'sluice.js');

/** @param {string[]} args what was typed after `npm start --` */
export async function start(args) {
  if (!((await install()) && (await build()))) process.exit(1);
  // npm changes into the folder of the workspace; paths were typed in another one, perhaps.
  if (process.env.INIT_CWD) process.chdir(process.env.INIT_CWD);
  const serveArgs = ['--screen', ...args];
  if (!choosesConfiguration(args)) {
    await startDemoServer();
    serveArgs.unshift('--config', DEMO_CONFIGURATION);
  }
  // This process becomes the small parent of the gateway, so that one less stays resident.
  process.argv = [process.execPath, SLUICE, 'serve', ...serveArgs];
  await import(pathToFileURL(SLUICE).href);
}

function choosesConfiguration(args) {
  if (process.env.SLUICE_CONFIG) return true;
  return args.some((arg) => /^(--config|-c|--help|-h)(=|$)/.test(arg) || /^-c./.test(arg));
}

/** Starts the demo server on a free port, and puts its URL where the demo configuration looks for it. */
async function startDemoServer() {
  // The channel tells the server when this process ends, however it ends.
  const server = fork(DEMO_SERVER, ['--port', '0'], { stdio: ['ignore', 'pipe', 'inherit', 'ipc'] });
  const lines = createInterface({ input: server.stdout });
  const [line] = await Promise.race([
    once(lines, 'line'),
    once(server, 'exit').then(([code]) => {
      throw new Error(`the demo server ended with exit code ${code}`);
    }),
  ]);
  process.env.DEMO_SERVER_URL = JSON.parse(line).listening;
}
