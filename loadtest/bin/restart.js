#!/usr/bin/env node
// How long nobody answers after the data plane was killed: `node loadtest/bin/restart.js [tries]`
//
// Each try starts a gateway with one subprocess behind it, kills its data plane with SIGKILL once it is ready, and
// asks /live and /ready until they answer 200 again. Linux only, because it finds the data plane in /proc.
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const ASK_INTERVAL_MS = 2;
const TRY_LIMIT_MS = 30_000;
const SLUICE = fileURLToPath(new URL('../../cli/bin/sluice.js', import.meta.url));
const SERVER = fileURLToPath(new URL('../../cli/test/stories/plain-server.mjs', import.meta.url));

const tries = Number(process.argv[2] ?? 9);
const folder = mkdtempSync(join(tmpdir(), 'sluice-restart-'));
const config = join(folder, 'sluice.json');
const plain = { command: process.execPath, args: [SERVER] };
writeFileSync(config, JSON.stringify({ mcpServers: { plain } }));

const outages = [];
for (let count = 0; count < tries; count++) outages.push(await outage());
rmSync(folder, { recursive: true });
for (const [what, key] of [
  ['answers again (/live)', 'live'],
  ['every upstream asked (/ready)', 'ready'],
]) {
  const sorted = outages.map((each) => each[key]).sort((a, b) => a - b);
  const [least, median, most] = [0, (tries - 1) >> 1, tries - 1].map((at) => Math.round(sorted[at]));
  console.log(`${what}: median ${median} ms of ${tries} tries, least ${least} ms, most ${most} ms`);
}

async function outage() {
  const parent = spawn(process.execPath, [SLUICE, 'serve', '--config', config, '--port', '0'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise((resolve) => parent.once('close', resolve));
  try {
    const url = await new Promise((resolve, reject) => {
      parent.once('close', () => reject(new Error('the gateway ended before it listened')));
      createInterface({ input: parent.stderr }).on('line', (line) => {
        if (line.includes('"msg":"listening"')) resolve(JSON.parse(line).url);
      });
    });
    await until(() => answers(`${url}/ready`));
    const killedAt = performance.now();
    process.kill(childOf(parent.pid), 'SIGKILL');
    await until(() => answers(`${url}/live`));
    const live = performance.now() - killedAt;
    await until(() => answers(`${url}/ready`));
    return { live, ready: performance.now() - killedAt };
  } finally {
    parent.kill('SIGTERM');
    await ended;
  }
}

/** A connection of its own each time: that of before died with the data plane. */
function answers(url) {
  return new Promise((resolve) => {
    const request = get(url, { agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    request.once('error', () => resolve(false));
  });
}

async function until(condition) {
  for (const end = Date.now() + TRY_LIMIT_MS; !(await condition()); await sleep(ASK_INTERVAL_MS))
    if (Date.now() > end) throw new Error(`nothing answered within ${TRY_LIMIT_MS} ms`);
}

function childOf(pid) {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ')[0]);
}
