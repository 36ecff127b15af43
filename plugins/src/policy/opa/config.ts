/** What stands in a configuration of `policy` about OPA. */
import {
  type ConfigProblem,
  Duration,
  durationMs,
  Secret,
  Size,
  type Static,
  sizeBytes,
  Type,
} from '@sluice/sdk';
import { bundleProblems } from './bundle.js';
import { inputProblems } from './input.js';

/** How long something waits for its turn; what waited longer is denied without having been asked about. */
export const MAX_WAIT_MS = 5_000;
export const PAGE_BYTES = 65_536;
/** What a module of OPA has to have at its start: 5 pages. */
const MIN_MEMORY_BYTES = 5 * PAGE_BYTES;
const MAX_MEMORY_BYTES = 1024 * 1024 * 1024;
const MIN_TIMEOUT_MS = 1;
const MAX_TIMEOUT_MS = 60_000;
const MAX_TTL_MS = 86_400_000;

const Wasm = Type.Object(
  {
    path: Type.String({
      minLength: 1,
      maxLength: 4_096,
      description: 'A bundle that `opa build -t wasm` has made (.tar.gz), or the module alone (.wasm).',
    }),
    digest: Type.Optional(
      Type.String({
        pattern: '^sha256-[A-Za-z0-9+/]{43}=$',
        description: 'SHA-256 of the file in base64, after `sha256-`: any other file is refused.',
      }),
    ),
    entrypoint: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 512,
        description: 'Which one is asked, for example sluice/decision. Default the first.',
      }),
    ),
    timeout: Duration({
      default: '100ms',
      description: 'What takes longer is ended and denied, 1ms to 60s.',
    }),
    max_memory: Size({
      default: '64MiB',
      description: 'Memory of the module, data included; at most 1 GiB.',
    }),
  },
  {
    additionalProperties: false,
    description: 'A policy that is compiled to WebAssembly, and runs in a thread.',
  },
);
export type WasmConfig = Static<typeof Wasm>;

const Rest = Type.Object(
  {
    url: Type.String({
      pattern: '^https?://',
      maxLength: 2_048,
      description: 'What is asked, for example http://127.0.0.1:8181/v1/data/sluice/decision.',
    }),
    token: Type.Optional(
      Secret({
        minLength: 1,
        maxLength: 8_192,
        pattern: '^[\\x21-\\x7e]+$',
        description: 'Sent as a bearer token.',
      }),
    ),
    timeout: Duration({ default: '1s', description: 'What takes longer is denied, 1ms to 60s.' }),
  },
  { additionalProperties: false, description: 'An OPA that runs elsewhere, asked over its data API.' },
);
export type RestConfig = Static<typeof Rest>;

export const OpaConfig = Type.Object(
  {
    wasm: Type.Optional(Wasm),
    rest: Type.Optional(Rest),
    input: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
      default: ['method', 'target', 'arguments', 'principal', 'client.name'],
      minItems: 1,
      maxItems: 64,
      description:
        'What OPA is told, as `input`: attributes or parts of them, and agent and now (to the minute). Decisions are kept by exactly this.',
    }),
    lists: Type.Union([Type.Literal('ask'), Type.Literal('show')], {
      default: 'ask',
      description:
        'Entries of lists: ask OPA about each, with later: true and without arguments; or show all that no rule denies.',
    }),
    cache: Type.Object(
      {
        ttl: Duration({
          default: '5s',
          description: 'How long a decision is kept, at most 1d; 0s keeps none.',
        }),
        max_entries: Type.Integer({
          default: 10_000,
          minimum: 1,
          maximum: 1_000_000,
          description: 'How many are kept; the ones that were used longest ago go first.',
        }),
      },
      { additionalProperties: false, default: {}, description: 'Decisions are kept, by what OPA was told.' },
    ),
  },
  { additionalProperties: false, description: 'Asks the Open Policy Agent where no rule says anything.' },
);
export type OpaConfig = Static<typeof OpaConfig>;

/** What the schema cannot say, by path. */
export function opaProblems(config: OpaConfig | undefined): readonly ConfigProblem[] {
  if (config === undefined) return [];
  const { wasm, rest, input, cache } = config;
  const problems: ConfigProblem[] = [...inputProblems(input)];
  if ((wasm === undefined) === (rest === undefined))
    problems.push({ path: 'opa', message: 'has to have one of `wasm` and `rest`' });
  if (durationMs(cache.ttl) > MAX_TTL_MS)
    problems.push({ path: 'opa.cache.ttl', message: 'is too long', hint: 'at most 1d' });
  const timeouts = { 'opa.wasm.timeout': wasm?.timeout, 'opa.rest.timeout': rest?.timeout };
  for (const [path, written] of Object.entries(timeouts)) {
    const ms = written === undefined ? MIN_TIMEOUT_MS : durationMs(written);
    if (ms < MIN_TIMEOUT_MS || ms > MAX_TIMEOUT_MS)
      problems.push({ path, message: 'is too short or too long', hint: 'from 1ms to 60s' });
  }
  if (rest !== undefined) problems.push(...urlProblems(rest.url));
  if (wasm === undefined) return problems;
  const bytes = sizeBytes(wasm.max_memory);
  if (bytes < MIN_MEMORY_BYTES || bytes > MAX_MEMORY_BYTES)
    problems.push({
      path: 'opa.wasm.max_memory',
      message: 'is too small or too large',
      hint: '320KiB to 1GiB',
    });
  return [...problems, ...bundleProblems(wasm)];
}

function urlProblems(written: string): readonly ConfigProblem[] {
  const path = 'opa.rest.url';
  const url = URL.canParse(written) ? new URL(written) : undefined;
  if (url === undefined) return [{ path, message: 'is no URL' }];
  if (url.username !== '' || url.password !== '')
    return [{ path, message: 'has credentials in it', hint: 'use opa.rest.token' }];
  if (url.hash !== '') return [{ path, message: 'has a fragment, which is not sent' }];
  return [];
}
