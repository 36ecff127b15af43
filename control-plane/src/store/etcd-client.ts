/** Calls of etcd below one prefix: each has a deadline and is made once, and fails in the words of the port. */
import { connectReason } from '@sluice/proto/grpc';
import {
  Etcd3,
  type ICompare,
  type IKeyValue,
  type ILeaseKeepAliveResponse,
  type IOptions,
  type IRequestOp,
  type ITxnResponse,
  type IWatchResponse,
} from 'etcd3';
import { StoreDamagedError, StoreReplacedError, StoreUnavailableError } from './revision-log.js';

/** How long one call may take, that of a frozen server too. */
const CALL_DEADLINE_MS = 3_000;
/** As etcd has it in `rpctypes.ErrCompacted`. */
const COMPACTED = /required revision has been compacted/;
/** Nobody compacts so often that none of so many reads gets through. */
const MAX_READ_ATTEMPTS = 10;
/** Largest answer: a page of values, each as large as one may be. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** How many values are asked for at once. */
const PAGE_COUNT = 64;

export interface EtcdOptions {
  /** URLs of the members, all of one scheme: `http://` or `https://`. */
  readonly endpoints: readonly string[];
  /** The cluster of gateways that the revisions are of: several may share an etcd. */
  readonly cluster: string;
  readonly auth?: { readonly user: string; readonly password: string };
  /** PEM texts: who signed the servers' certificates, and what is shown to them. By default the system's authorities. */
  readonly tls?: { readonly ca: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

/** An answer, and the revision of etcd that it is of. */
interface Page {
  readonly at: string;
  readonly found: readonly IKeyValue[];
}

type Policy = ReturnType<NonNullable<NonNullable<IOptions['faultHandling']>['host']>>;

/**
 * Makes each call once. What the library does by default stops all calls for five seconds after three failures, and
 * repeats writes of which nobody knows whether they were done.
 */
const ONCE = {
  execute: async (work: (context: { signal: AbortSignal }) => unknown) =>
    work({ signal: new AbortController().signal }),
} as unknown as Policy;

export class EtcdClient {
  private readonly etcd: Etcd3;
  private readonly prefix: string;
  private readonly place: string;
  private isClosed = false;

  constructor({ endpoints, cluster, auth, tls }: EtcdOptions) {
    this.place = `etcd at ${endpoints.join(', ')}`;
    this.prefix = `/sluice/${cluster}/`;
    this.etcd = new Etcd3({
      hosts: [...endpoints],
      faultHandling: { host: () => ONCE, global: ONCE },
      grpcOptions: { 'grpc.max_receive_message_length': MAX_ANSWER_BYTES },
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + CALL_DEADLINE_MS }),
      ...(auth && { auth: { username: auth.user, password: auth.password } }),
      ...(tls && {
        credentials: {
          rootCertificate: tls.ca,
          ...(tls.key && { privateKey: tls.key }),
          ...(tls.cert && { certChain: tls.cert }),
        },
      }),
    });
  }

  key(name: string): Buffer {
    return Buffer.from(this.prefix + name);
  }

  /** The name of a key below the prefix. */
  nameOf(found: IKeyValue): string {
    return found.key.toString().slice(this.prefix.length);
  }

  /** Whether the value of a key is this one. */
  holds(name: string, value: string): ICompare {
    return { result: 'Equal', target: 'Value', key: this.key(name), value: Buffer.from(value) };
  }

  /** Whether a key was last written at a revision of etcd; at 0 when it is not there. */
  isOf(name: string, modRevision: string | 0): ICompare {
    return { result: 'Equal', target: 'Mod', key: this.key(name), mod_revision: modRevision };
  }

  /** Whether there is such a key. */
  exists(name: string): ICompare {
    return { result: 'Greater', target: 'Create', key: this.key(name), create_revision: 0 };
  }

  put(name: string, value: string | Buffer, lease?: string): IRequestOp {
    const request_put = { key: this.key(name), value: Buffer.from(value) };
    return { request_put: lease === undefined ? request_put : { ...request_put, lease } };
  }

  /** Deletes one key, or those from one on and before another. */
  delete(name: string, before?: string): IRequestOp {
    const key = this.key(name);
    return { request_delete_range: before === undefined ? { key } : { key, range_end: this.key(before) } };
  }

  transact(compare: ICompare[], success: IRequestOp[], failure: IRequestOp[] = []): Promise<ITxnResponse> {
    return this.call(() => this.etcd.kv.txn({ compare, success, failure }));
  }

  /** The values of some keys at one moment, in the order of the names. */
  async get(...names: string[]): Promise<{ at: string; values: (IKeyValue | undefined)[] }> {
    const { header, responses } = await this.transact(
      [],
      names.map((name) => ({ request_range: { key: this.key(name) } })),
    );
    return { at: header.revision, values: responses.map((each) => each.response_range.kvs[0]) };
  }

  /**
   * Keys from one on and before another, page by page.
   *
   * @param at the revision of etcd; that of the first page by default
   */
  async list(from: string, before: string, options: ListOptions = {}): Promise<Page> {
    const { limitCount = Number.POSITIVE_INFINITY, isNewestFirst = false, isKeysOnly = false } = options;
    let [start, end] = [this.key(from), this.key(before)];
    let at = options.at;
    const found: IKeyValue[] = [];
    for (;;) {
      const page = await this.call(() =>
        this.etcd.kv.range({
          key: start,
          range_end: end,
          limit: Math.min(PAGE_COUNT, limitCount - found.length),
          sort_target: 'Key',
          sort_order: isNewestFirst ? 'Descend' : 'Ascend',
          keys_only: isKeysOnly,
          ...(at !== undefined && { revision: at }),
        }),
      );
      at ??= page.header.revision;
      found.push(...page.kvs);
      const last = page.kvs.at(-1);
      if (last === undefined || !page.more || found.length >= limitCount) return { at, found };
      if (isNewestFirst) end = last.key;
      else start = Buffer.concat([last.key, Buffer.of(0)]);
    }
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    return (await this.call(() => this.etcd.leaseClient.leaseGrant({ TTL: ttlSeconds }))).ID;
  }

  /** Has a lease begin anew; returns whether there is such a lease. */
  async keepLease(id: string): Promise<boolean> {
    return this.call(async () => {
      const stream = await this.etcd.leaseClient.leaseKeepAlive();
      let late: NodeJS.Timeout | undefined;
      try {
        const { TTL } = await new Promise<ILeaseKeepAliveResponse>((resolve, reject) => {
          late = setTimeout(() => reject(new Error('no answer in time')), CALL_DEADLINE_MS);
          stream.on('data', resolve);
          stream.on('error', reject);
          stream.on('end', () => reject(new Error('the stream ended')));
          stream.write({ ID: id });
        });
        return Number(TTL) > 0;
      } finally {
        clearTimeout(late);
        stream.end();
        stream.cancel();
      }
    });
  }

  async revokeLease(id: string): Promise<void> {
    await this.call(() => this.etcd.leaseClient.leaseRevoke({ ID: id }));
  }

  /**
   * Has a bell rung whenever one of some keys changes after a revision of etcd.
   *
   * @param keys from one on and before another; that one alone when there is no other
   * @param ended when it will ring no more, unless by the returned function, which ends it
   */
  async watch(
    { from, before }: { readonly from: string; readonly before?: string },
    after: string,
    ring: () => void,
    ended: () => void,
  ): Promise<() => void> {
    const stream = await this.call(() => this.etcd.watchClient.watch());
    const close = () => {
      // A stream that is cancelled while it can be written to counts as a failed server.
      stream.end();
      stream.cancel();
    };
    stream.on('data', ({ canceled, events }: IWatchResponse) => {
      if (canceled) {
        close();
        ended();
      } else if (events.length > 0) ring();
    });
    stream.on('error', ended);
    stream.on('end', ended);
    stream.write({
      create_request: {
        key: this.key(from),
        ...(before !== undefined && { range_end: this.key(before) }),
        start_revision: (BigInt(after) + 1n).toString(),
      },
    });
    return close;
  }

  close(): void {
    this.isClosed = true;
    this.etcd.close();
  }

  damaged(what: string): StoreDamagedError {
    return new StoreDamagedError(`${this.place}, ${this.prefix}: ${what}`);
  }

  replaced(): StoreReplacedError {
    return new StoreReplacedError(`${this.place} was wiped, put back, or begun anew by somebody else`);
  }

  /** Does work that reads at one revision of etcd, and does it anew when somebody compacts that one away meanwhile. */
  async atOneMoment<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof CompactedMeanwhileError) || attempt === MAX_READ_ATTEMPTS) throw error;
      }
    }
  }

  private async call<T>(work: () => Promise<T>): Promise<T> {
    if (this.isClosed) throw new StoreUnavailableError('the store is closed');
    try {
      return await work();
    } catch (cause) {
      const { message } = cause as Error;
      const kind = COMPACTED.test(message) ? CompactedMeanwhileError : StoreUnavailableError;
      throw new kind(`${this.place} cannot be used: ${connectReason(message)}`, { cause });
    }
  }
}

/** What was to be read as it was at a moment is known as it is now alone. */
class CompactedMeanwhileError extends StoreUnavailableError {}

interface ListOptions {
  readonly at?: string;
  readonly limitCount?: number;
  readonly isNewestFirst?: boolean;
  readonly isKeysOnly?: boolean;
}
