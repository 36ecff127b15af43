/** Finds the method that a path and a verb mean, by the option `rest` of the methods. */
import { AdminError } from '../admin-error.js';
import type { BoundMethod } from '../bound-method.js';

/** A method, and the fields of its request that stand in the path. */
export interface FoundRoute {
  readonly method: BoundMethod;
  readonly parameters: Readonly<Record<string, string>>;
}

/** A segment that stands for itself, or a field. */
type Segment = { readonly literal: string } | { readonly field: string };

interface Route {
  readonly method: BoundMethod;
  readonly segments: readonly Segment[];
}

export class Routes {
  private readonly routes: readonly Route[];

  constructor(methods: readonly BoundMethod[]) {
    this.routes = methods.map((method) => ({ method, segments: segmentsOf(method.rest.path) }));
  }

  /** @throws AdminError when there is nothing at the path, or nothing for the verb */
  find(verb: string, pathname: string): FoundRoute {
    const parts = pathname.split('/');
    const verbs: string[] = [];
    for (const { method, segments } of this.routes) {
      const parameters = matched(segments, parts);
      if (parameters === undefined) continue;
      if (method.rest.method === verb) return { method, parameters };
      verbs.push(method.rest.method);
    }
    if (verbs.length > 0) {
      const message = `this path takes ${verbs.join(', ')}`;
      throw new AdminError('METHOD_NOT_ALLOWED', message, { metadata: { allow: verbs.join(', ') } });
    }
    throw new AdminError(
      'NOT_FOUND',
      'there is nothing at this path; /api/v1/openapi.json lists what there is',
    );
  }
}

function segmentsOf(template: string): Segment[] {
  return template.split('/').map((part) => {
    const field = /^\{(\w+)\}$/.exec(part)?.[1];
    return field === undefined ? { literal: part } : { field };
  });
}

function matched(
  segments: readonly Segment[],
  parts: readonly string[],
): Readonly<Record<string, string>> | undefined {
  if (segments.length !== parts.length) return undefined;
  const parameters: Record<string, string> = {};
  for (const [index, segment] of segments.entries()) {
    const part = parts[index] as string;
    if ('literal' in segment) {
      if (segment.literal !== part) return undefined;
    } else {
      const value = decoded(part);
      if (value === '') return undefined;
      parameters[segment.field] = value;
    }
  }
  return parameters;
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw new AdminError('INVALID_REQUEST', 'a percent sign in the path begins no character in UTF-8');
  }
}
