/** The admin API over gRPC. */
import type { Message } from '@bufbuild/protobuf';
import {
  type ConnectionInjector,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type sendUnaryData,
  type UntypedHandleCall,
} from '@grpc/grpc-js';
import { passOverClosedStreams, serviceDefinition } from '@sluice/proto/grpc';
import type { Access } from '../access/access.js';
import { AdminError } from '../admin-error.js';
import type { BoundMethod } from '../bound-method.js';
import { MAX_BODY_BYTES, MAX_HEADER_BYTES } from '../limits.js';
import { Admission } from './admission.js';
import { grpcError } from './status-details.js';

/** Calls at once on one connection. */
const MAX_CONCURRENT_STREAMS = 100;
const KEEPALIVE_INTERVAL_MS = 60_000;
const KEEPALIVE_TIMEOUT_MS = 20_000;

export interface GrpcServer {
  readonly injector: ConnectionInjector;
  close(): void;
}

/**
 * Connections come from a listener of its own and are handed in: that of grpc-js takes no other protocol at its
 * address, nor clients with and without a certificate.
 */
export function grpcServer(
  methods: readonly BoundMethod[],
  access: Access,
  onFailure: (error: AdminError) => void,
): GrpcServer {
  const admission = new Admission(access, onFailure);
  const server = new Server({
    'grpc.max_receive_message_length': MAX_BODY_BYTES,
    'grpc.max_send_message_length': -1,
    'grpc.max_metadata_size': MAX_HEADER_BYTES,
    'grpc.max_concurrent_streams': MAX_CONCURRENT_STREAMS,
    'grpc.keepalive_time_ms': KEEPALIVE_INTERVAL_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    'grpc.enable_channelz': 0,
    interceptors: [admission.interceptor],
  });
  passOverClosedStreams(server);
  for (const service of new Set(methods.map(({ description }) => description.parent))) {
    const handlers = methods
      .filter(({ description }) => description.parent === service)
      .map((method): [string, UntypedHandleCall] => [
        method.description.localName,
        (call: ServerUnaryCall<Message, Message>, answer: sendUnaryData<Message>) =>
          void answered(method, admission, call).then(
            (response) => answer(null, response),
            (thrown: unknown) => {
              const error = AdminError.of(thrown);
              onFailure(error);
              answer(grpcError(error));
            },
          ),
      ]);
    server.addService(serviceDefinition(service), Object.fromEntries(handlers));
  }
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  return {
    injector,
    close() {
      injector.destroy();
      server.forceShutdown();
    },
  };
}

async function answered(
  method: BoundMethod,
  admission: Admission,
  call: ServerUnaryCall<Message, Message>,
): Promise<Message> {
  const caller = admission.callerOf(call.metadata);
  const gone = new AbortController();
  call.on('cancelled', () => gone.abort());
  return method.run(call.request, { caller, signal: gone.signal });
}
