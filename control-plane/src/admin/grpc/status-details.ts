/** An error as gRPC says it: code and message, and google.rpc.Status with its details in a trailer. */
import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { Metadata, type ServiceError } from '@grpc/grpc-js';
import {
  BadRequestSchema,
  ConflictSchema,
  ErrorInfoSchema,
  type Finding,
  InvalidResourcesSchema,
  StatusSchema,
} from '@sluice/proto/admin';
import { keyName } from '@sluice/proto/cluster';
import type { AdminError } from '../admin-error.js';
import { REASONS } from '../reasons.js';

/** Who defines the reasons. */
export const ERROR_DOMAIN = 'sluice';
/** Clients take trailers of 16 KiB and less, some 8 KiB; a trailer is a third larger than what it holds. */
const MAX_STATUS_BYTES = 5 * 1024;

export function grpcError({ reason, message, details }: AdminError): Partial<ServiceError> {
  const { code } = REASONS[reason];
  const metadata = new Metadata();
  const { violations = [], findings = [], conflict } = details;
  let told = findings.length;
  let status = statusBytes(findings);
  while (status.byteLength > MAX_STATUS_BYTES && told > 0) {
    told = Math.floor(told / 2);
    status = statusBytes(findings.slice(0, told));
  }
  metadata.set('grpc-status-details-bin', Buffer.from(status));
  return { code, details: message, metadata };

  function statusBytes(shown: readonly Finding[]): Uint8Array {
    const counted: Record<string, string> =
      findings.length === 0 ? {} : { findings_total: String(findings.length) };
    const info = create(ErrorInfoSchema, {
      reason,
      domain: ERROR_DOMAIN,
      metadata: { ...details.metadata, ...counted },
    });
    const fieldViolations = [...violations, ...shown.filter(({ warning }) => !warning).map(violationOf)];
    return toBinary(
      StatusSchema,
      create(StatusSchema, {
        code,
        message,
        details: [
          anyPack(ErrorInfoSchema, info),
          ...(fieldViolations.length === 0
            ? []
            : [
                anyPack(
                  BadRequestSchema,
                  create(BadRequestSchema, { fieldViolations: fieldViolations.map((each) => ({ ...each })) }),
                ),
              ]),
          ...(shown.length === 0
            ? []
            : [anyPack(InvalidResourcesSchema, create(InvalidResourcesSchema, { findings: [...shown] }))]),
          ...(conflict === undefined ? [] : [anyPack(ConflictSchema, conflict)]),
        ],
      }),
    );
  }
}

function violationOf({ resource, field, message, hint }: Finding) {
  const key = resource === undefined ? '' : keyName(resource);
  return {
    field: [key, field].filter((part) => part !== '').join(': '),
    description: hint === '' ? message : `${message}; ${hint}`,
  };
}
