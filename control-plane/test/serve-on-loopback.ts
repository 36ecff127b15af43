import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { Delivery } from '../src/delivery/service.js';

/** Delivery over real gRPC; unlike the server of the product it can be gone in a moment. */
export async function serveOnLoopback(
  { definition, implementation }: Delivery,
  port: number,
): Promise<{ readonly address: string; cut(): void }> {
  const server = new Server();
  server.addService(definition, implementation);
  const bound = await new Promise<number>((resolve, reject) =>
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    ),
  );
  return { address: `127.0.0.1:${bound}`, cut: () => server.forceShutdown() };
}
