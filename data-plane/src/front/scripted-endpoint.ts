/** An endpoint whose answers are given by the test, for tests of what stands in front of it. */
import type { Exchange, Outcome } from '../exchange/exchange.js';
import type { RpcError } from '../protocol/errors.js';
import type { Message } from '../protocol/translate.js';
import type { Endpoint, LegacyBacking, LegHost } from './endpoint.js';

/** An endpoint whose answers are given by the test. */
export class ScriptedEndpoint implements Endpoint {
  readonly path = '/mcp';
  readonly label = '*';
  readonly opened: ScriptedBacking[] = [];

  /** Modern requests. */
  readonly requests: Exchange[] = [];
  /** Methods of modern notifications. */
  readonly told: string[] = [];
  /** Called for each modern request. */
  answer: (exchange: Exchange) => Promise<Outcome> = (exchange) =>
    Promise.resolve(result(exchange, { modern: true }));

  modern(exchange: Exchange): Promise<Outcome> {
    this.requests.push(exchange);
    return this.answer(exchange);
  }

  modernNotification({ envelope }: Message): void {
    this.told.push(envelope.method);
  }

  openLegacy(host: LegHost): LegacyBacking {
    const backing = new ScriptedBacking(host);
    this.opened.push(backing);
    return backing;
  }

  get first(): ScriptedBacking {
    return this.opened[0] as ScriptedBacking;
  }

  get last(): ScriptedBacking {
    return this.opened.at(-1) as ScriptedBacking;
  }
}

export class ScriptedBacking implements LegacyBacking {
  revision = '2025-11-25';
  requests: Exchange[] = [];
  /** What `notification` and `response` were given. */
  told: string[] = [];
  closeCount = 0;
  /** Called for each request. */
  answer: (exchange: Exchange) => Promise<Outcome> = (exchange) =>
    Promise.resolve(result(exchange, { ok: true }));
  private settleInitialize: (() => void) | undefined;
  private failInitialize: ((error: RpcError) => void) | undefined;
  /** Makes `initialize` wait for {@link goOn}. */
  static waits = false;

  constructor(readonly host: LegHost) {}

  async initialize(_params: string, revision: string): Promise<string> {
    if (ScriptedBacking.waits) {
      await new Promise<void>((resolve, reject) => {
        this.settleInitialize = resolve;
        this.failInitialize = reject;
      });
    }
    return JSON.stringify({ protocolVersion: revision });
  }

  goOn(): void {
    this.settleInitialize?.();
  }

  fail(error: RpcError): void {
    this.failInitialize?.(error);
  }

  request(exchange: Exchange): Promise<Outcome> {
    this.requests.push(exchange);
    return this.answer(exchange);
  }

  notification({ envelope }: { envelope: { method: string } }): void {
    this.told.push(envelope.method);
  }

  response(): void {
    this.told.push('response');
  }

  listen(): void {}

  resync(): void {
    this.told.push('resync');
  }

  close(): void {
    this.closeCount++;
  }
}

/** A result for whoever sent an exchange. */
export function result({ bytes, envelope }: Exchange, value: unknown): Outcome {
  const id = JSON.parse(bytes.toString('utf8', envelope.id?.start, envelope.id?.end));
  return { bytes: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result: value })), errorCode: 0 };
}
