// @ts-check
// Runs the official conformance suite against a URL and reads what it found.
//
//   node cli/test/conformance/run.mjs URL [--set 2026-07-28]
import { spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

/**
 * @typedef {'2025-06-18' | '2025-11-25' | '2026-07-28'} ConformanceSet The revision whose scenarios run. For
 *   the two later ones the suite has a frozen list of what is required.
 *
 * @typedef {object} Check One thing that a scenario looked at.
 * @property {string} id
 * @property {'SUCCESS' | 'FAILURE' | 'WARNING' | 'SKIPPED' | 'INFO'} status WARNING: a SHOULD was not met
 * @property {string} description
 * @property {string} [errorMessage]
 * @property {any} [details]
 *
 * @typedef {object} ScenarioResult
 * @property {string} scenario
 * @property {boolean} isRequired counts for the set; the others are run for information
 * @property {boolean} isPassed by the official count: no check failed
 * @property {number} passed checks
 * @property {number} failed checks
 * @property {number} warnings checks
 * @property {number} skipped checks
 * @property {Check[]} checks
 *
 * @typedef {object} ConformanceResult
 * @property {ConformanceSet} set
 * @property {string} url
 * @property {number} durationMs
 * @property {ScenarioResult[]} required
 * @property {ScenarioResult[]} optional
 */

/** A whole set takes seconds; a server that never answers costs the suite's patience in each scenario. */
const MAX_RUN_MS = 600_000;

/** The suite cannot tell when it hangs in a scenario; what it last said can. */
const MAX_OUTPUT_SHOWN_CHARS = 4000;

/** Every scenario has this check: all messages that it saw fit the schema of the revision, if only errors. */
const WIRE_SCHEMA_CHECK = 'wire-schema-valid';

/** How the suite ends the name of a result folder; without it one scenario's name may begin another's. */
const TIMESTAMP = /^\d{4}-\d\d-\d\dT[\d-]+Z$/;

const suiteRoot = dirname(
  createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/package.json'),
);
const preload = new URL('./supply-glob-sync.mjs', import.meta.url).href;

/** @type {Record<ConformanceSet, string[]>} */
const SELECTIONS = {
  '2025-06-18': ['--suite', 'all', '--spec-version', '2025-06-18'],
  '2025-11-25': ['--requirements', '2025-11-25'],
  '2026-07-28': ['--requirements', '2026-07-28'],
};

export const CONFORMANCE_SETS = /** @type {ConformanceSet[]} */ (Object.keys(SELECTIONS));

/**
 * Runs one set of scenarios, one after the other, against the server at `url`.
 *
 * @param {{ url: string, set: ConformanceSet }} target
 * @returns {Promise<ConformanceResult>}
 * @throws when the suite itself did not run; a server that fails is a result
 */
export async function runConformance({ url, set }) {
  const startedAt = performance.now();
  const resultsFolder = await mkdtemp(join(tmpdir(), 'sluice-conformance-'));
  try {
    const output = await runSuite([
      'server',
      '--url',
      url,
      ...SELECTIONS[set],
      '--output-dir',
      resultsFolder,
    ]);
    const scenarios = await readResults(resultsFolder, output);
    if (scenarios.length === 0) throw new Error(`The conformance suite ran no scenario:\n${tail(output)}`);
    const durationMs = Math.round(performance.now() - startedAt);
    const isRequired = await requirementOf(set);
    const results = scenarios.map(({ scenario, checks }) =>
      summarise(scenario, isRequired(scenario), checks),
    );
    return {
      set,
      url,
      durationMs,
      required: results.filter((result) => result.isRequired),
      optional: results.filter((result) => !result.isRequired),
    };
  } finally {
    await rm(resultsFolder, { recursive: true, force: true });
  }
}

/**
 * Runs one scenario of those for clients, in which the suite plays the server.
 *
 * @param {string} scenario
 * @param {{ command: string, revision: string }} client the command gets the URL of the suite's server
 * @returns {Promise<ScenarioResult>}
 */
export async function runClientScenario(scenario, { command, revision }) {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-conformance-'));
  try {
    const selection = ['--scenario', scenario, '--spec-version', revision];
    const output = await runSuite(['client', '--command', command, ...selection, '--output-dir', folder]);
    const files = await readdir(folder, { recursive: true });
    const file = files.find((name) => name.endsWith('checks.json'));
    const checks = file ? JSON.parse(await readFile(join(folder, file), 'utf8')) : [threw(scenario, output)];
    return summarise(scenario, true, checks);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * @param {string[]} args
 * @returns {Promise<string>} what it printed; its exit code only says whether scenarios failed
 */
function runSuite(args) {
  const entry = join(suiteRoot, 'dist/index.js');
  const suite = spawn(process.execPath, ['--import', preload, entry, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: MAX_RUN_MS,
  });
  let output = '';
  const collect = (/** @type {Buffer} */ chunk) => {
    output += chunk;
  };
  suite.stdout.on('data', collect);
  suite.stderr.on('data', collect);
  return new Promise((resolve, reject) => {
    suite.on('error', reject);
    suite.on('close', (_code, signal) => {
      if (signal === null) resolve(output);
      else reject(new Error(`The conformance suite was ended by ${signal}:\n${tail(output)}`));
    });
  });
}

/** @param {string} output */
const tail = (output) => output.slice(-MAX_OUTPUT_SHOWN_CHARS);

/**
 * The suite writes a folder for each scenario. A scenario that threw has no file in it; why it threw stands
 * only in the output.
 * @param {string} folder
 * @param {string} output
 */
async function readResults(folder, output) {
  const started = [...output.matchAll(/^=== Running scenario: (.+) ===$/gm)].map((match) => match[1] ?? '');
  const folders = await readdir(folder);
  return Promise.all(
    started.map(async (scenario) => {
      const prefix = `server-${scenario}-`;
      const own = folders.find(
        (name) => name.startsWith(prefix) && TIMESTAMP.test(name.slice(prefix.length)),
      );
      const file = own && (await readFile(join(folder, own, 'checks.json'), 'utf8').catch(() => undefined));
      return {
        scenario,
        checks: file ? /** @type {Check[]} */ (JSON.parse(file)) : [threw(scenario, output)],
      };
    }),
  );
}

/**
 * @param {string} scenario
 * @param {string} output
 * @returns {Check}
 */
function threw(scenario, output) {
  const report = output.indexOf(`Failed to run scenario ${scenario}:`);
  const errorMessage =
    report < 0 ? 'It left no result' : output.slice(report, report + MAX_OUTPUT_SHOWN_CHARS);
  return { id: scenario, status: 'FAILURE', description: 'The scenario threw', errorMessage };
}

/**
 * Which scenarios of a set count. The suite's own list for the revision says it, as far as it has one.
 * @param {ConformanceSet} set
 * @returns {Promise<(scenario: string) => boolean>}
 */
async function requirementOf(set) {
  if (!SELECTIONS[set].includes('--requirements')) return () => true;
  const yaml = await readFile(join(suiteRoot, 'requirements', `${set}.yaml`), 'utf8');
  const serverSection = /^server:\n((?: {2}- .+\n)+)/m.exec(yaml)?.[1];
  if (!serverSection) throw new Error(`The requirements of ${set} have no list named "server"`);
  const required = new Set(serverSection.trim().split(/\s*- /).filter(Boolean));
  return (scenario) => required.has(scenario);
}

/**
 * @param {string} scenario
 * @param {boolean} isRequired
 * @param {Check[]} checks
 * @returns {ScenarioResult}
 */
function summarise(scenario, isRequired, checks) {
  const count = (/** @type {Check['status']} */ status) =>
    checks.filter((check) => check.status === status).length;
  const failed = count('FAILURE');
  return {
    scenario,
    isRequired,
    isPassed: failed === 0,
    passed: count('SUCCESS'),
    failed,
    warnings: count('WARNING'),
    skipped: count('SKIPPED'),
    checks,
  };
}

/**
 * What is wrong with these results, one line each; empty when nothing is. It asks for more than the official
 * count does: no SHOULD is missed, and something that the scenario itself looked at went well.
 * @param {ScenarioResult[]} results
 */
export function complaints(results) {
  return results.flatMap(({ scenario, checks }) => {
    const lines = checks
      .filter(({ status }) => status === 'FAILURE' || status === 'WARNING')
      .map(({ id, status, errorMessage, description }) => `${id} ${status}: ${errorMessage ?? description}`);
    const wentWell = checks.some(({ id, status }) => status === 'SUCCESS' && id !== WIRE_SCHEMA_CHECK);
    if (!wentWell) lines.push('nothing that it looks at went well');
    return lines.map((line) => `${scenario}: ${line}`);
  });
}

async function main() {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { set: { type: 'string' } } });
  const [url] = positionals;
  const sets = values.set ? [/** @type {ConformanceSet} */ (values.set)] : CONFORMANCE_SETS;
  if (!url || !sets.every((set) => CONFORMANCE_SETS.includes(set))) {
    console.error(`usage: run.mjs URL [--set ${CONFORMANCE_SETS.join('|')}]`);
    process.exit(2);
  }
  for (const set of sets) {
    const { required, durationMs } = await runConformance({ url, set });
    const passed = required.filter((result) => result.isPassed);
    console.log(`${set}: ${passed.length} of ${required.length} scenarios pass (${durationMs} ms)`);
    for (const line of complaints(required)) console.log(`  ${line}`);
    if (passed.length < required.length) process.exitCode = 1;
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main();
