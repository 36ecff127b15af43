/** The methods of ConfigurationService that change nothing, but for those about revisions. */
import { create } from '@bufbuild/protobuf';
import {
  type ExportRequest,
  type ExportResponse,
  ExportResponseSchema,
  type GetResourceRequest,
  type GetResourceResponse,
  GetResourceResponseSchema,
  type ListResourcesRequest,
  type ListResourcesResponse,
  ListResourcesResponseSchema,
} from '@sluice/proto/admin';
import { keyText, kindWord, type Resource, ResourceKeySchema, ResourceKind } from '@sluice/proto/cluster';
import type { ConfigurationHead } from '../../revisions/head.js';
import { AdminError } from '../admin-error.js';
import type { Call } from '../bound-method.js';
import { maySee, requireTenant } from '../caller.js';
import { redacted } from '../redaction.js';
import { revisionNumber } from './numbers.js';
import { pageCount, pageEnd, pageToken } from './page.js';
import { parseFilter } from './resource-filter.js';
import { knownKey, sortText, stateAt } from './states.js';

export async function getResource(
  head: ConfigurationHead,
  request: GetResourceRequest,
  { caller }: Call,
): Promise<GetResourceResponse> {
  const { kind, name, tenant } = request;
  requireKind(kind);
  requireTenant(caller, tenant);
  const key = create(ResourceKeySchema, { kind, tenant, name });
  const found = maySee(caller, key) ? head.state.get(keyText(key)) : undefined;
  if (found === undefined) throw missing(kind, tenant, name);
  return create(GetResourceResponseSchema, {
    resource: redacted(found.resource),
    etag: String(found.resource.revision),
  });
}

export async function listResources(
  head: ConfigurationHead,
  request: ListResourcesRequest,
  { caller }: Call,
): Promise<ListResourcesResponse> {
  const { kind, tenant, filter, pageSize, pageToken: token, revision } = request;
  requireTenant(caller, tenant);
  const count = pageCount(pageSize);
  const passes = parseFilter(filter);
  const after = pageEnd(token);
  const at = revisionNumber('revision', revision);
  const found: (readonly [sort: string, resource: Resource])[] = [];
  for (const { resource } of stateAt(head, at).entries()) {
    if (tenant !== '' && resource.tenant !== tenant) continue;
    const key = knownKey(resource);
    if (kind !== ResourceKind.UNSPECIFIED && key.kind !== kind) continue;
    const sort = sortText(key);
    if (sort > after && maySee(caller, key) && passes(key, resource)) found.push([sort, resource]);
  }
  found.sort(([a], [b]) => (a < b ? -1 : 1));
  const page = found.slice(0, count);
  return create(ListResourcesResponseSchema, {
    resources: page.map(([, resource]) => redacted(resource)),
    nextPageToken: found.length > count ? pageToken(page.at(-1)?.[0] as string) : '',
    revision: BigInt(at || head.revision),
  });
}

/** A backup is the one answer with secrets in it: without them, nothing could be brought back. */
export async function exportAll(
  head: ConfigurationHead,
  { revision }: ExportRequest,
): Promise<ExportResponse> {
  const at = revisionNumber('revision', revision);
  stateAt(head, at);
  return create(ExportResponseSchema, { checkpoint: head.checkpoint(at || undefined) });
}

/** @param field where it stands in the request */
export function requireKind(kind: ResourceKind, field = 'kind'): void {
  if (kindWord(kind) === undefined) throw AdminError.field(field, 'has to be one of the kinds of resources');
}

export function missing(kind: ResourceKind, tenant: string, name: string): AdminError {
  const owner = tenant === '' ? '' : ` of the tenant ${tenant}`;
  return new AdminError('NOT_FOUND', `there is no ${kindWord(kind)} ${name}${owner}`);
}
