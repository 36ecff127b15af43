/** `node plugins/dist/guard/cost.js`: what going through answers costs, for the page of the plugin. */
import { DETECTORS } from '../redaction/index.js';
import { Answers, type AnswersConfig } from './answers.js';

const ROUND_COUNT = 15;
const MEGABYTE = 1_000_000;
const SMALL_CALL_COUNT = 2_000;
const IDS = DETECTORS.filter(({ isDefault }) => isDefault).map(({ id }) => id);

const NOTHING: AnswersConfig = {
  mode: 'enforce',
  redaction: undefined as never,
  max_result_bytes: undefined as never,
  oversize: 'deny',
  invisible: 'keep',
  instructions: { action: 'ignore', min_score: 60 },
};
const REDACTION = { detectors: IDS, exclude: [], patterns: [], token_secret: 'a secret of measurements' };
const OWN = { id: 'ticket', pattern: '[A-Z]{2,5}-[0-9]{4,9}', ignore_case: false };
const CONFIGS: Readonly<Record<string, AnswersConfig>> = {
  'characters that nobody sees': { ...NOTHING, invisible: 'strip' },
  instructions: { ...NOTHING, instructions: { action: 'flag', min_score: 60 } },
  redaction: { ...NOTHING, redaction: REDACTION },
  'redaction with an own pattern': { ...NOTHING, redaction: { ...REDACTION, patterns: [OWN] } },
  'all of it': {
    ...NOTHING,
    redaction: { ...REDACTION, patterns: [OWN] },
    invisible: 'strip',
    instructions: { action: 'flag', min_score: 60 },
  },
};
const PROSE =
  'The quick brown fox jumps over the lazy dog while the five boxing wizards (12 of them) jump quickly; see docs/a.md. ';
const TEXTS: Readonly<Record<string, string>> = {
  prose: PROSE,
  JSON: '{"id":8812,"name":"fox","path":"src/a/b.ts","at":"2026-01-01T10:00:00Z","n":[1,2,3]},\n',
  Chinese: '\u654f\u6377\u7684\u68d5\u8272\u72d0\u72f8\u8df3\u8fc7\u4e86\u61d2\u72d7\u3002',
};

function millisOf(config: AnswersConfig, text: string, count: number): number {
  const answers = new Answers(config, 'unused');
  const result = { content: [{ type: 'text', text }] };
  const json = JSON.stringify(result);
  const times: number[] = [];
  for (let round = 0; round < ROUND_COUNT; round += 1) {
    // Processor time: others on the machine do not count.
    const start = process.cpuUsage();
    for (let index = 0; index < count; index += 1) answers.result(result, json);
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / 1_000);
  }
  return times.sort((a, b) => a - b)[ROUND_COUNT >> 1] as number;
}

function megabyteOf(unit: string): string {
  return unit.repeat(Math.ceil(MEGABYTE / Buffer.byteLength(unit)));
}

const lines = [
  `| what is done | 120 bytes, µs | ${Object.keys(TEXTS)
    .map((name) => `${name}, ms per MB`)
    .join(' | ')} |`,
  `|---|---${'|---'.repeat(Object.keys(TEXTS).length)}|`,
];
// What is compiled while it runs has been compiled then.
for (const config of Object.values(CONFIGS)) millisOf(config, PROSE, SMALL_CALL_COUNT);
for (const [name, config] of Object.entries(CONFIGS)) {
  const small = (millisOf(config, PROSE, SMALL_CALL_COUNT) / SMALL_CALL_COUNT) * 1_000;
  const large = Object.values(TEXTS).map((text) => millisOf(config, megabyteOf(text), 1).toFixed(0));
  lines.push(`| ${name} | ${small.toFixed(1)} | ${large.join(' | ')} |`);
}
process.stdout.write(`${lines.join('\n')}\n`);
