import { join } from 'node:path';
import { connect, type OfficialClient } from '../stories/official-client.js';
import { PLACES } from '../stories/places.js';
import type { Era } from './era.js';
import { type FrontTransport, KIND_OF } from './front-transports.js';
import type { UpstreamTransport } from './upstream-transports.js';

/** A server behind the gateway, by the name that it has there. */
export interface Server {
  readonly name: string;
  readonly era: Era;
  readonly transport: UpstreamTransport;
}

/** A client and a server with the gateway between them: one column of the matrix. */
export interface Pair {
  readonly client: Era;
  readonly front: FrontTransport;
  readonly server: Server;
  readonly place: keyof typeof PLACES;
}

export function titleOf({ client, front, server, place }: Pair): string {
  return `${client} over ${front.name} → ${server.era} over ${server.transport.name}, on ${place}`;
}

/** What the client was asked, and what it is set to say. */
export class Person {
  /** Messages of forms, URLs of pages, prompts for the model, and `roots`, as they came. */
  readonly asked: string[] = [];
  /** What becomes of a question; `error` answers it with an error, whatever it is. */
  action: 'accept' | 'decline' | 'error' = 'accept';
  /** What comes of looking at a page. */
  onPage?: () => void;

  readonly handlers = {
    onElicit: ({ mode, message, url }: { mode?: string; message: string; url: string }) => {
      this.hear(mode === 'url' ? url : message);
      if (this.action === 'decline') return { action: 'decline' };
      if (mode === 'url') this.onPage?.();
      return mode === 'url' ? { action: 'accept' } : { action: 'accept', content: FORM };
    },
    onSample: ({ messages }: { messages: { content: { text: string } }[] }) => {
      this.hear(String(messages[0]?.content.text));
      return { role: 'assistant', model: 'a-model', content: { type: 'text', text: 'sampled ✓' } };
    },
    onRoots: () => {
      this.hear('roots');
      return { roots: ROOTS.map((uri) => ({ uri, name: uri })) };
    },
  };

  private hear(question: string): void {
    this.asked.push(question);
    if (this.action === 'error') throw new Error('I will not');
  }
}

/** What the person fills in, and the folders that are offered. */
export const FORM = { username: 'Ada ✓', email: 'ada@example.org' };
export const ROOTS = ['file:///home/ada', 'file:///srv/a%20b'];

/** Where the configuration is that has only this upstream. */
export function configFileOf(folder: string, upstream: string): string {
  return join(folder, `${upstream}.json`);
}

/** What a cell has to work with: clients of one pair, and the names at its place. */
export class Bench {
  readonly person = new Person();
  private readonly clients: OfficialClient[] = [];
  private first: Promise<OfficialClient> | undefined;
  private second: Promise<OfficialClient> | undefined;

  constructor(
    readonly pair: Pair,
    private readonly gatewayUrl: string,
    /** Where configurations of single servers are, and files that a tool writes to show what became of its call. */
    readonly folder: string,
  ) {}

  /** The client that can be asked for everything. */
  get client(): Promise<OfficialClient> {
    this.first ??= this.connect(true);
    return this.first;
  }

  /** Another one of the same gateway, which can be asked for nothing; undefined where there can be no other. */
  get bystander(): Promise<OfficialClient> | undefined {
    if (this.pair.front.isPrivate) return undefined;
    this.second ??= this.connect(false);
    return this.second;
  }

  /** The address over streamable HTTP, for what no official client does. */
  get url(): string {
    return this.gatewayUrl + PLACES[this.pair.place].path(this.pair.server.name);
  }

  /** The name of a tool or prompt at this place. */
  name(name: string): string {
    return PLACES[this.pair.place].name(this.pair.server.name, name);
  }

  /** The URI of a resource at this place. */
  uri(uri: string): string {
    return PLACES[this.pair.place].uri(this.pair.server.name, uri);
  }

  async close(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close().catch(() => undefined)));
  }

  private async connect(answers: boolean): Promise<OfficialClient> {
    const { client: era, front, server, place } = this.pair;
    const upstream = server.name;
    const path = PLACES[place].path(upstream);
    const configFile = configFileOf(this.folder, upstream);
    const transport = front.transport(era, { url: this.gatewayUrl, path, upstream, configFile });
    const client = await connect(KIND_OF[era], this.url, {
      ...(answers && this.person.handlers),
      ...(transport && { transport }),
    });
    this.clients.push(client);
    return client;
  }
}
