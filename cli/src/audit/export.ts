/** `sluice audit export`: records in the form of another system, and to where it takes them. */
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { hostname } from 'node:os';
import type { Writable } from 'node:stream';
import {
  asJson,
  openForReading,
  otlpLogs,
  recordsOf,
  type StoredRecord,
  syslogMessage,
} from '@sluice/plugins/audit';
import { EXIT } from '../exit-codes.js';
import type { Output } from '../health.js';
import { WrongUsage } from '../unusable.js';
import type { ExportFlags } from './audit-command-line.js';
import { filterOf } from './flags.js';

/** Records of one request. */
const OTLP_BATCH_COUNT = 500;
const REQUEST_TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 10_000;

interface Sink {
  write(record: StoredRecord): Promise<void> | undefined;
  end(): Promise<void>;
}

export async function exportRecords(
  flags: ExportFlags,
  { out, err, nowMs }: { readonly out: Output; readonly err: Output; readonly nowMs: number },
): Promise<number> {
  const filter = { ...filterOf(flags, nowMs), afterSeq: flags.after };
  const database = openForReading(flags.file);
  let count = 0;
  let last: number | undefined;
  try {
    const sink = await sinkOf(flags, out);
    for (const record of recordsOf(database, filter)) {
      await sink.write(record);
      count++;
      last = record.seq;
    }
    await sink.end();
  } finally {
    database.close();
  }
  err.write(`${count} records were exported${last === undefined ? '' : `; the last is ${last}`}\n`);
  return EXIT.ok;
}

async function sinkOf({ to, out: file, tcp, url, header = [] }: ExportFlags, out: Output): Promise<Sink> {
  const odd = (flag: string) => new WrongUsage(`${flag} does not go with --to ${to}`);
  if (url !== undefined && to !== 'otlp') throw odd('--url');
  if (tcp !== undefined && to !== 'syslog') throw odd('--tcp');
  if (header.length > 0 && to !== 'otlp') throw odd('--header');
  if (file !== undefined && (to === 'otlp' || tcp !== undefined)) throw odd('--out');
  if (to === 'otlp') {
    if (url === undefined)
      throw new WrongUsage('--to otlp needs --url, for example http://collector:4318/v1/logs');
    return new OtlpSink(url, fieldsOf(header));
  }
  const host = hostname();
  const textOf =
    to === 'jsonl'
      ? (record: StoredRecord) => `${JSON.stringify(asJson(record))}\n`
      : (record: StoredRecord) => framed(syslogMessage(record, host), tcp !== undefined);
  if (tcp !== undefined) return streamSink(await connected(tcp), textOf);
  if (file !== undefined) return streamSink(createWriteStream(file, { flags: 'a', mode: 0o600 }), textOf);
  return { write: (record) => void out.write(textOf(record)), end: async () => undefined };
}

/** RFC 6587, section 3.4.1, over TCP. In files, a line each. */
function framed(message: string, isStream: boolean): string {
  return isStream ? `${Buffer.byteLength(message)} ${message}` : `${message}\n`;
}

function streamSink(stream: Writable, textOf: (record: StoredRecord) => string): Sink {
  const failed = new Promise<never>((_, reject) => stream.once('error', reject));
  failed.catch(() => undefined);
  return {
    async write(record) {
      if (!stream.write(textOf(record))) await Promise.race([once(stream, 'drain'), failed]);
    },
    async end() {
      stream.end();
      await Promise.race([once(stream, 'finish'), failed]);
    },
  };
}

async function connected(place: string): Promise<Socket> {
  const [, host, port] = /^\[?([^\]]+)\]?:([0-9]{1,5})$/.exec(place) ?? [];
  if (host === undefined || port === undefined || Number(port) > 65_535)
    throw new WrongUsage(`--tcp ${place}: say host:port`);
  const socket = connect({ host, port: Number(port) });
  socket.setTimeout(CONNECT_TIMEOUT_MS, () => socket.destroy(new Error(`${place} does not take anything`)));
  await once(socket, 'connect');
  return socket;
}

function fieldsOf(headers: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    headers.map((header) => {
      const colon = header.indexOf(':');
      if (colon < 1) throw new WrongUsage('--header: say NAME: VALUE');
      return [header.slice(0, colon).trim(), header.slice(colon + 1).trim()];
    }),
  );
}

class OtlpSink implements Sink {
  private batch: StoredRecord[] = [];

  constructor(
    private readonly url: string,
    private readonly headers: Readonly<Record<string, string>>,
  ) {
    if (!/^https?:\/\//.test(url) || !URL.canParse(url))
      throw new WrongUsage(`--url ${url}: is no URL of http or https`);
  }

  write(record: StoredRecord): Promise<void> | undefined {
    this.batch.push(record);
    return this.batch.length >= OTLP_BATCH_COUNT ? this.send() : undefined;
  }

  async end(): Promise<void> {
    if (this.batch.length > 0) await this.send();
  }

  private async send(): Promise<void> {
    const body = JSON.stringify(otlpLogs(this.batch, hostname()));
    const before = (this.batch[0] as StoredRecord).seq - 1;
    this.batch = [];
    const again = `; what it has taken ends before record ${before + 1}, go on with --after ${before}`;
    const answer = await fetch(this.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...this.headers },
      body,
      redirect: 'error',
      signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    }).catch((thrown: Error) => {
      const { cause } = thrown as { cause?: Error };
      throw new Error(`${this.url} cannot be reached (${cause?.message ?? thrown.message})${again}`);
    });
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`${this.url} answers ${answer.status}${again}`);
  }
}
