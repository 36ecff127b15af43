/** An error as RFC 9457 says it. */
import { toJson } from '@bufbuild/protobuf';
import { ConflictSchema, FindingSchema } from '@sluice/proto/admin';
import type { AdminError } from '../admin-error.js';
import { REASONS } from '../reasons.js';

export function problemJson({ reason, message, details }: AdminError): string {
  const { httpStatus, title } = REASONS[reason];
  const { violations, findings, conflict, metadata } = details;
  const options = { useProtoFieldName: true };
  return JSON.stringify({
    type: `urn:sluice:error:${reason.toLowerCase().replaceAll('_', '-')}`,
    title,
    status: httpStatus,
    detail: message,
    reason,
    ...(metadata && { metadata }),
    ...(violations && { violations }),
    ...(findings && { findings: findings.map((finding) => toJson(FindingSchema, finding, options)) }),
    ...(conflict && { conflict: toJson(ConflictSchema, conflict, options) }),
  });
}
