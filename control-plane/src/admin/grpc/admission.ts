/** Finds out who calls before a message is read, so that nobody else can send one. */
import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptor,
  ServerListenerBuilder,
} from '@grpc/grpc-js';
import type { Access } from '../access/access.js';
import { AdminError } from '../admin-error.js';
import type { Caller } from '../caller.js';
import { REQUEST_TIMEOUT_MS } from '../limits.js';
import { grpcError } from './status-details.js';

export class Admission {
  private readonly callers = new WeakMap<Metadata, Caller>();

  constructor(
    private readonly access: Access,
    private readonly onFailure: (error: AdminError) => void,
  ) {}

  /** @throws AdminError for a call that did not come through the interceptor */
  callerOf(metadata: Metadata): Caller {
    const caller = this.callers.get(metadata);
    if (caller === undefined) throw new AdminError('UNAUTHENTICATED', 'it is not known who calls');
    return caller;
  }

  readonly interceptor: ServerInterceptor = (_, call) =>
    new ServerInterceptingCall(call, {
      start: (next) => {
        let late: NodeJS.Timeout | undefined;
        const refuse = (error: AdminError) => {
          clearTimeout(late);
          this.onFailure(error);
          const { code = 2, details = '', metadata } = grpcError(error);
          call.sendStatus({ code, details, ...(metadata && { metadata }) });
        };
        const listener = new ServerListenerBuilder()
          .withOnReceiveMetadata((metadata, pass) => {
            const [authorization] = metadata.get('authorization');
            const credentials = {
              authorization: authorization?.toString(),
              certificate: call.getAuthContext().sslPeerCertificate,
            };
            late = setTimeout(refuse, REQUEST_TIMEOUT_MS, tooLate());
            this.access.authenticate(credentials).then(
              (caller) => {
                this.callers.set(metadata, caller);
                pass(metadata);
              },
              (thrown: unknown) => refuse(AdminError.of(thrown)),
            );
          })
          .withOnReceiveHalfClose((pass) => {
            clearTimeout(late);
            pass();
          })
          .withOnCancel(() => clearTimeout(late))
          .build();
        next(listener);
      },
    });
}

function tooLate(): AdminError {
  return new AdminError('REQUEST_TIMEOUT', `the message has not come within ${REQUEST_TIMEOUT_MS / 1_000} s`);
}
