/** The one error of the client. */
import { fromBinary } from '@bufbuild/protobuf';
import { type Any, anyUnpack } from '@bufbuild/protobuf/wkt';
import { type ServiceError, status } from '@grpc/grpc-js';
import {
  BadRequestSchema,
  type Conflict,
  ConflictSchema,
  ErrorInfoSchema,
  type Finding,
  InvalidResourcesSchema,
  StatusSchema,
} from '@sluice/proto/admin';

/** The trailer that holds a `google.rpc.Status`. */
const DETAILS_TRAILER = 'grpc-status-details-bin';

/** A field of a request, in the spelling of the schema, and what is wrong with it. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What a refusal says beside its message. */
export interface AdminErrorDetails {
  /** The failure for programs, such as `INVALID_RESOURCES` or `CONFLICT`; it does not change between versions. */
  readonly reason?: string;
  /** What the failure is about, for programs. */
  readonly metadata: Readonly<Record<string, string>>;
  /** What is wrong with the resources that were sent, errors first; the first of them when there are very many. */
  readonly findings: readonly Finding[];
  /** What is wrong with the request itself. */
  readonly violations: readonly FieldViolation[];
  /** What somebody else has changed first. */
  readonly conflict?: Conflict;
}

/** The name of a code of gRPC, such as `UNAVAILABLE`. */
export type AdminErrorCode = keyof typeof status;

/** A call of the admin API that failed: the server refused it, or nobody answered. */
export class AdminCallError extends Error implements AdminErrorDetails {
  override readonly name = 'AdminCallError';
  readonly reason?: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly findings: readonly Finding[];
  readonly violations: readonly FieldViolation[];
  readonly conflict?: Conflict;

  /**
   * @param method as in `ConfigurationService.Apply`
   * @param address that was asked last
   */
  constructor(
    readonly code: AdminErrorCode,
    message: string,
    readonly method: string,
    readonly address: string,
    details: Partial<AdminErrorDetails> = {},
    cause?: unknown,
  ) {
    super(message, cause === undefined ? undefined : { cause });
    this.metadata = details.metadata ?? {};
    this.findings = details.findings ?? [];
    this.violations = details.violations ?? [];
    if (details.reason !== undefined) this.reason = details.reason;
    if (details.conflict !== undefined) this.conflict = details.conflict;
  }
}

/** What a failed call says, with what its trailer says more. */
export function adminCallError(error: ServiceError, method: string, address: string): AdminCallError {
  const code = (status[error.code] ?? 'UNKNOWN') as AdminErrorCode;
  return new AdminCallError(code, error.details, method, address, detailsOf(error), error);
}

function detailsOf(error: ServiceError): Partial<AdminErrorDetails> {
  const [bytes] = error.metadata?.get(DETAILS_TRAILER) ?? [];
  if (!Buffer.isBuffer(bytes)) return {};
  let details: Any[];
  try {
    ({ details } = fromBinary(StatusSchema, bytes));
  } catch {
    // Something between has made it; code and message are there all the same.
    return {};
  }
  const first = <T>(unpack: (detail: Any) => T | undefined): T | undefined =>
    details.map(unpack).find((unpacked) => unpacked !== undefined);
  const info = first((detail) => anyUnpack(detail, ErrorInfoSchema));
  const conflict = first((detail) => anyUnpack(detail, ConflictSchema));
  return {
    ...(info && { reason: info.reason, metadata: info.metadata }),
    findings: first((detail) => anyUnpack(detail, InvalidResourcesSchema))?.findings ?? [],
    violations: first((detail) => anyUnpack(detail, BadRequestSchema))?.fieldViolations ?? [],
    ...(conflict && { conflict }),
  };
}
