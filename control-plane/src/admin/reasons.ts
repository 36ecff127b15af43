/** Every way in which a call of the admin API fails: its name for programs, its gRPC code, and its HTTP status. */
import { status as Code } from '@grpc/grpc-js';

interface ReasonFacts {
  readonly code: Code;
  readonly httpStatus: number;
  /** The same for every failure of this reason. */
  readonly title: string;
}

const facts = (code: Code, httpStatus: number, title: string): ReasonFacts => ({ code, httpStatus, title });

/** Names and codes do not change between versions: programs rest on them. */
export const REASONS = {
  INVALID_REQUEST: facts(Code.INVALID_ARGUMENT, 400, 'The request cannot be understood'),
  INVALID_RESOURCES: facts(Code.INVALID_ARGUMENT, 422, 'The configuration would not be valid'),
  IDEMPOTENCY_KEY_REUSED: facts(Code.INVALID_ARGUMENT, 422, 'The idempotency key belongs to another change'),
  UNAUTHENTICATED: facts(Code.UNAUTHENTICATED, 401, 'Who calls is not known'),
  ROLE_TOO_LOW: facts(Code.PERMISSION_DENIED, 403, 'The role of the caller does not suffice'),
  FOREIGN_TENANT: facts(Code.PERMISSION_DENIED, 403, 'The tenant is not one of the caller'),
  CLUSTER_RESOURCE: facts(Code.PERMISSION_DENIED, 403, 'Only an admin changes this'),
  NODE_REACH: facts(Code.PERMISSION_DENIED, 403, 'Only an admin lets a tenant reach into nodes'),
  NOT_FOUND: facts(Code.NOT_FOUND, 404, 'There is no such thing'),
  REVISION_UNKNOWN: facts(Code.OUT_OF_RANGE, 404, 'The revision is not known'),
  METHOD_NOT_ALLOWED: facts(Code.UNIMPLEMENTED, 405, 'The path has no such method'),
  REQUEST_TIMEOUT: facts(Code.DEADLINE_EXCEEDED, 408, 'The request took too long to arrive'),
  CONFLICT: facts(Code.ABORTED, 409, 'Somebody else has changed the configuration first'),
  ROLLOUT_ACTIVE: facts(Code.FAILED_PRECONDITION, 409, 'A revision is being rolled out'),
  ROLLOUT_OVER: facts(Code.FAILED_PRECONDITION, 409, 'The rollout has ended'),
  ETAG_MISMATCH: facts(Code.FAILED_PRECONDITION, 412, 'The resource is another than the caller has seen'),
  TOO_LARGE: facts(Code.RESOURCE_EXHAUSTED, 413, 'More than the admin API takes'),
  UNSUPPORTED_MEDIA_TYPE: facts(Code.INVALID_ARGUMENT, 415, 'The body has to be JSON'),
  HEADERS_TOO_LARGE: facts(Code.RESOURCE_EXHAUSTED, 431, 'The header is larger than the admin API takes'),
  CANCELLED: facts(Code.CANCELLED, 499, 'The caller has gone'),
  INTERNAL: facts(Code.INTERNAL, 500, 'The control plane failed'),
  STORE_UNAVAILABLE: facts(Code.UNAVAILABLE, 503, 'The store cannot be reached'),
  NODE_UNREACHABLE: facts(Code.UNAVAILABLE, 503, 'The node cannot be told'),
  ISSUER_UNAVAILABLE: facts(Code.UNAVAILABLE, 503, 'The issuer of the token cannot be reached'),
} as const;

export type Reason = keyof typeof REASONS;
