/** From a gRPC call to what its caller may see, and from what goes wrong to what the caller is told. */
import { type ServerWritableStream, type ServiceError, status } from '@grpc/grpc-js';
import type { View } from '@sluice/proto/cluster';
import { TooManyNodesError } from '../fleet/fleet.js';
import { StoreUnavailableError } from '../store/revision-log.js';
import { type NodeAccess, NodeRefusedError } from './node-access.js';
import { TooManyViewsError } from './views.js';

/** What of a call tells who calls. */
type AdmittedCall = Pick<ServerWritableStream<unknown, unknown>, 'metadata' | 'getAuthContext'>;

/** @throws NodeRefusedError */
export function admit(
  access: NodeAccess,
  call: AdmittedCall,
  { node, region }: { readonly node: string; readonly region: string },
): View {
  const [authorization] = call.metadata.get('authorization');
  const [, token] = /^Bearer (\S+)$/i.exec(String(authorization ?? '')) ?? [];
  return access({ node, region, token, certificateNames: certificateNames(call) });
}

/** The common name and the DNS names of a certificate that the TLS layer checked. */
function certificateNames(call: AdmittedCall): string[] {
  const certificate = call.getAuthContext().sslPeerCertificate;
  if (certificate === undefined) return [];
  const alternatives = (certificate.subjectaltname ?? '').split(', ');
  const names = alternatives.flatMap((each) => (each.startsWith('DNS:') ? [each.slice('DNS:'.length)] : []));
  const common = certificate.subject?.CN;
  return [...(common === undefined ? [] : [common].flat()), ...names];
}

const STATUS_OF_REFUSAL = {
  invalid: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  forbidden: status.PERMISSION_DENIED,
} as const;

/** The status that ends a call. What nobody foresaw is not told to callers. */
export function refusalOf(error: unknown): Pick<ServiceError, 'code' | 'details'> {
  if (error instanceof NodeRefusedError)
    return { code: STATUS_OF_REFUSAL[error.reason], details: error.message };
  if (error instanceof TooManyViewsError || error instanceof TooManyNodesError)
    return { code: status.RESOURCE_EXHAUSTED, details: error.message };
  if (error instanceof StoreUnavailableError) return { code: status.UNAVAILABLE, details: error.message };
  return { code: status.INTERNAL, details: 'the control plane failed; its log says why' };
}
