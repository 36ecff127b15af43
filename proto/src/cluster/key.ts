/** What tells one resource from all others, as text, in the order in which resources are listed. */
import { create } from '@bufbuild/protobuf';
import {
  type Resource,
  type ResourceKey,
  ResourceKeySchema,
  ResourceKind,
} from '../gen/sluice/config/v1/resource_pb.js';

/**
 * What a resource is kept by: `upstream/acme/files`; the tenant is empty for what belongs to the operator:
 * `upstream//files`. People are shown {@link keyName}.
 */
export type KeyText = string;

type SpecCase = NonNullable<Resource['spec']['case']>;

/** The word of each kind, as in `sluice config get upstream`, and the member of a resource that holds it. */
const KINDS: readonly (readonly [kind: ResourceKind, word: string, spec: SpecCase])[] = [
  [ResourceKind.GATEWAY, 'gateway', 'gateway'],
  [ResourceKind.UPSTREAM, 'upstream', 'upstream'],
  [ResourceKind.ENDPOINT, 'endpoint', 'endpoint'],
  [ResourceKind.VIRTUAL_SERVER, 'virtual-server', 'virtualServer'],
  [ResourceKind.CONSUMER, 'consumer', 'consumer'],
  [ResourceKind.CREDENTIAL, 'credential', 'credential'],
  [ResourceKind.POLICY, 'policy', 'policy'],
  [ResourceKind.PLUGIN, 'plugin', 'plugin'],
  [ResourceKind.LIMIT, 'limit', 'limit'],
  [ResourceKind.SECRET, 'secret', 'secret'],
  [ResourceKind.REGION, 'region', 'region'],
  [ResourceKind.TENANT, 'tenant', 'tenantSpec'],
];

/** There is one, so it needs no name of its own. */
const GATEWAY_NAME = 'gateway';

/** The words of the kinds, in the order in which resources are listed. */
export const KIND_WORDS: readonly string[] = KINDS.map(([, word]) => word);

/** The word of a kind; undefined for one that this version does not know. */
export function kindWord(kind: ResourceKind): string | undefined {
  return KINDS.find(([each]) => each === kind)?.[1];
}

/** The kind of a word; undefined when there is none. */
export function kindOfWord(word: string): ResourceKind | undefined {
  return KINDS.find(([, each]) => each === word)?.[0];
}

/** The key of a resource; undefined when it holds nothing that this version knows. */
export function keyOf({ tenant, spec }: Resource): ResourceKey | undefined {
  const found = KINDS.find(([, , each]) => each === spec.case);
  if (found === undefined || spec.case === undefined) return undefined;
  const name =
    spec.case === 'gateway'
      ? GATEWAY_NAME
      : spec.case === 'plugin'
        ? spec.value.name || spec.value.plugin
        : spec.value.name;
  return create(ResourceKeySchema, { kind: found[0], tenant, name });
}

/** A key as text. Neither tenants nor names of valid resources have a slash, but for plugins, whose name comes last. */
export function keyText({ kind, tenant, name }: ResourceKey): KeyText {
  return `${kindWord(kind) ?? kind}/${tenant}/${name}`;
}

/** The key of a text that `keyText` made; undefined for anything else. */
export function parseKeyText(text: KeyText): ResourceKey | undefined {
  const [word = '', tenant, ...name] = text.split('/');
  const kind = kindOfWord(word);
  if (kind === undefined || tenant === undefined || name.length === 0) return undefined;
  return create(ResourceKeySchema, { kind, tenant, name: name.join('/') });
}

/** How people write a key: `upstream/files`, and for what belongs to a tenant `upstream/acme/files`. */
export function keyName({ kind, tenant, name }: ResourceKey): string {
  return `${kindWord(kind) ?? kind}/${tenant === '' ? '' : `${tenant}/`}${name}`;
}

/** The same of a key as text. */
export function keyNameOf(text: KeyText): string {
  const key = parseKeyText(text);
  return key === undefined ? text : keyName(key);
}

/** As names of tenants may be written; what a plugin is loaded from (`./x.js`, `npm:x`) never looks so. */
const TENANT = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/** The tenant and the name out of what stands behind the kind in {@link keyName}. */
export function parseOwnedName(text: string): { readonly tenant: string; readonly name: string } {
  const end = text.indexOf('/');
  const tenant = text.slice(0, Math.max(0, end));
  return TENANT.test(tenant) ? { tenant, name: text.slice(end + 1) } : { tenant: '', name: text };
}
