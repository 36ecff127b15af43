/** The connection to one control plane. */
import type { DescMethodUnary, Message } from '@bufbuild/protobuf';
import { Client, Metadata, type ServiceError, connectivityState as State } from '@grpc/grpc-js';
import { connectReason, serviceDefinition } from '@sluice/proto/grpc';
import type { ControlPlaneAddress } from './addresses.js';
import { AdminCallError, adminCallError } from './error.js';

/** Room for a backup that is larger than what the server takes back. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** An address that does not even refuse a connection is given up after this. */
const CONNECT_LIMIT_MS = 5_000;
/** What grpc-js says of a call that never left. */
const NEVER_LEFT = /^(?:No connection established|Name resolution failed)/;

/** Nothing of the call has left this machine. */
export class NotSentError extends AdminCallError {}

interface OneCall {
  readonly token: string | undefined;
  /** Milliseconds since 1970. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

export class Connection {
  readonly #address: ControlPlaneAddress;
  #client: Client | undefined;

  constructor(address: ControlPlaneAddress) {
    this.#address = address;
  }

  /** @throws AdminCallError */
  async call(method: DescMethodUnary, request: Message, call: OneCall): Promise<Message> {
    this.#client ??= new Client(this.#address.text, this.#address.credentials, {
      'grpc.max_receive_message_length': MAX_ANSWER_BYTES,
      'grpc.max_send_message_length': -1,
      // What may be called again is known here, and not to the channel.
      'grpc.enable_retries': 0,
    });
    const name = `${method.parent.name}.${method.name}`;
    if (!(await isDecided(this.#client, call)))
      throw new NotSentError(
        'UNAVAILABLE',
        `no connection within ${CONNECT_LIMIT_MS} ms`,
        name,
        this.#address.text,
      );
    try {
      return await unary(this.#client, method, request, call);
    } catch (error) {
      if (!isServiceError(error)) throw error;
      const failed = adminCallError(error, name, this.#address.text);
      if (failed.code !== 'UNAVAILABLE' || !NEVER_LEFT.test(failed.message)) throw failed;
      throw new NotSentError(failed.code, connectReason(failed.message), name, failed.address, {}, error);
    }
  }

  close(): void {
    this.#client?.close();
  }
}

/** Waits until there is a connection, or a reason why there is none, which the call then says. */
async function isDecided(client: Client, { deadline, signal }: OneCall): Promise<boolean> {
  const channel = client.getChannel();
  const limit = Math.min(Date.now() + CONNECT_LIMIT_MS, deadline);
  for (;;) {
    signal?.throwIfAborted();
    const state = channel.getConnectivityState(true);
    if (state === State.READY || state === State.TRANSIENT_FAILURE || state === State.SHUTDOWN) return true;
    const hasChanged = await new Promise<boolean>((resolve) =>
      channel.watchConnectivityState(state, limit, (error) => resolve(error === undefined)),
    );
    if (!hasChanged) return false;
  }
}

function unary(
  client: Client,
  method: DescMethodUnary,
  request: Message,
  { token, deadline, signal }: OneCall,
): Promise<Message> {
  const definition = serviceDefinition(method.parent)[method.localName];
  if (definition === undefined) throw new TypeError(`no method ${method.name}`);
  const { path, requestSerialize, responseDeserialize } = definition;
  const metadata = new Metadata();
  if (token !== undefined) metadata.set('authorization', `Bearer ${token}`);
  return new Promise((resolve, reject) => {
    const abort = () => call.cancel();
    const call = client.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      metadata,
      { deadline },
      (error, answer) => {
        signal?.removeEventListener('abort', abort);
        if (error !== null) reject(signal?.aborted ? signal.reason : error);
        else resolve(answer as Message);
      },
    );
    signal?.addEventListener('abort', abort);
    if (signal?.aborted) abort();
  });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && 'code' in error && 'details' in error && 'metadata' in error;
}
