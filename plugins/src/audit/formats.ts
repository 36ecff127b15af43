/** Records in the words of systems that collect them. */
import type { JsonObject } from '@sluice/sdk';
import { asJson, type StoredRecord } from './records.js';

/** RFC 5424, section 6.2.1: "log audit", informational and warning. */
const AUDIT_FACILITY = 13;
const INFORMATIONAL = 6;
const WARNING = 4;
/** RFC 5424, section 7.3.1. */
const MAX_SEQUENCE_ID = 2_147_483_647;
const MAX_HOST_LENGTH = 255;

/** OpenTelemetry, logs data model: INFO and WARN. */
const OTLP_INFO = 9;
const OTLP_WARN = 13;

function isBad({ open }: StoredRecord): boolean {
  return open?.outcome === 'refused' || open?.outcome === 'error' || open?.kind === 'gap';
}

/** A message of RFC 5424. Its text is JSON of ASCII alone, which needs no mark of its encoding (section 6.4). */
export function syslogMessage(record: StoredRecord, host: string): string {
  const priority = AUDIT_FACILITY * 8 + (isBad(record) ? WARNING : INFORMATIONAL);
  const name = host.replaceAll(/[^\x21-\x7e]/g, '').slice(0, MAX_HOST_LENGTH) || '-';
  const kind =
    String(record.open?.kind ?? '-')
      .replaceAll(/[^\x21-\x7e]/g, '')
      .slice(0, 32) || '-';
  const time = new Date(record.timeMs).toISOString();
  const sequenceId = ((record.seq - 1) % MAX_SEQUENCE_ID) + 1;
  const text = JSON.stringify(asJson(record)).replaceAll(
    /[\u007f-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return `<${priority}>1 ${time} ${name} sluice - ${kind} [meta sequenceId="${sequenceId}"] ${text}`;
}

/** The body of a request to `/v1/logs` (OTLP/HTTP, JSON). */
export function otlpLogs(records: readonly StoredRecord[], host: string): JsonObject {
  return {
    resourceLogs: [
      {
        resource: { attributes: [attribute('service.name', 'sluice'), attribute('host.name', host)] },
        scopeLogs: [{ scope: { name: 'sluice.audit' }, logRecords: records.map(logRecord) }],
      },
    ],
  };
}

function logRecord(record: StoredRecord): JsonObject {
  const isWarning = isBad(record);
  const json = asJson(record);
  const { trace, outcome, decision, method, upstream, kind } = json;
  const target = (json.target as JsonObject | undefined)?.name;
  const attributes = Object.entries({ kind, outcome, decision, method, upstream, target })
    .filter((each): each is [string, string] => typeof each[1] === 'string')
    .map(([name, value]) => attribute(`sluice.audit.${name}`, value));
  return {
    timeUnixNano: `${record.timeMs}000000`,
    severityNumber: isWarning ? OTLP_WARN : OTLP_INFO,
    severityText: isWarning ? 'WARN' : 'INFO',
    body: { stringValue: JSON.stringify(json) },
    attributes: [...attributes, attribute('log.record.uid', String(json.id ?? record.seq))],
    ...(typeof trace === 'string' && { traceId: trace }),
  };
}

function attribute(key: string, value: string): JsonObject {
  return { key, value: { stringValue: value } };
}
