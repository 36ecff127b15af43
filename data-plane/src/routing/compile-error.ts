import { kindWord, type ResourceKey } from '@sluice/proto/cluster';

/** Thrown when resources make nothing that can be run. */
export class CompileError extends Error {
  override readonly name = 'CompileError';

  constructor(
    /** The one that is the reason; undefined when it is no single one. */
    readonly resource: ResourceKey | undefined,
    /** Of the resource, as it is written in a file; empty when it is no single one. */
    readonly field: string,
    readonly reason: string,
  ) {
    const place = resource === undefined ? '' : `${kindWord(resource.kind)} ${nameOf(resource)}: `;
    super(`${place}${field === '' ? '' : `${field}: `}${reason}`);
  }
}

function nameOf({ tenant, name }: ResourceKey): string {
  return tenant === '' ? name : `${tenant}/${name}`;
}
