/** What threads do for the plugin: the same as a worker does, for what is long. */
import type { JsonObject, OutcomeError } from '@sluice/sdk';
import { kept } from '../matching/kept.js';
import { Answers, type AnswersConfig } from './answers.js';
import type { Config } from './config.js';
import type { Report } from './report.js';
import { type Asked, type Hit, RequestRules } from './request-rules.js';

/** Configurations that a thread keeps compiled; with one more it begins anew. */
const MAX_KEPT_COUNT = 16;

export interface RequestTask {
  readonly config: Pick<Config, 'sets' | 'rules'>;
  readonly asked: Asked;
}

export interface ResultTask {
  readonly config: AnswersConfig;
  readonly random: Uint8Array;
  readonly json: string;
}

export interface ErrorTask {
  readonly config: AnswersConfig;
  readonly random: Uint8Array;
  readonly error: OutcomeError;
}

/** Without a text where nothing was changed. */
export interface ThreadAnswer {
  readonly json?: string;
  readonly report: Report;
}

const rules = new Map<string, RequestRules>();
const answers = new Map<string, Answers>();

export function requestHits({ config, asked }: RequestTask): readonly Hit[] {
  return kept(rules, JSON.stringify(config), MAX_KEPT_COUNT, () => new RequestRules(config)).hits(asked);
}

export function guardedResult({ config, random, json }: ResultTask): ThreadAnswer {
  const result = JSON.parse(json) as JsonObject;
  const { value, report } = answersFor(config, random).result(result, json);
  return value === result ? { report } : { report, json: JSON.stringify(value) };
}

export function guardedError({ config, random, error }: ErrorTask): ThreadAnswer {
  const { value, report } = answersFor(config, random).error(error);
  return value === error ? { report } : { report, json: JSON.stringify(value) };
}

function answersFor(config: AnswersConfig, random: Uint8Array): Answers {
  const key = JSON.stringify([config, Buffer.from(random).toString('base64')]);
  return kept(answers, key, MAX_KEPT_COUNT, () => new Answers(config, random));
}
