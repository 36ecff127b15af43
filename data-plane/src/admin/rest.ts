/** The admin API as paths, methods and parameters of HTTP. */
import type { RequestHead } from '../listener/listener.js';
import { quoted } from './admin-error.js';
import { DEFAULT_PAGE_COUNT, MAX_PAGE_COUNT, type NodeAdmin } from './node-admin.js';

const BASE = '/api/v1/';

/** An answer that is no resource (RFC 9457). */
export interface Problem {
  readonly status: number;
  readonly detail: string;
  readonly headers?: readonly (readonly [string, string])[];
}

/** What a request is to do; resolves with the resource, and with undefined where there is nothing to show. */
export type Action = (api: NodeAdmin) => Promise<object | undefined>;

type Parameters = ReadonlyMap<string, string>;
type MakeAction = (segment: string, parameters: Parameters) => Action | Problem;

interface Route {
  /** Below {@link BASE}; a segment in braces takes any. */
  readonly path: string;
  readonly parameters?: readonly string[];
  readonly get: MakeAction;
  readonly delete?: MakeAction;
}

const ROUTES: readonly Route[] = [
  { path: 'status', get: () => (api) => api.status() },
  { path: 'upstreams', get: () => (api) => api.upstreams() },
  { path: 'upstreams/{name}', get: (name) => (api) => api.upstream(name) },
  { path: 'upstreams/{name}/status', get: (name) => (api) => api.upstreamState(name) },
  { path: 'connections', parameters: ['limit', 'cursor'], get: (_, parameters) => connections(parameters) },
  {
    path: 'connections/{id}',
    get: (id) => (api) => api.connection(id),
    delete: (id) => async (api) => {
      await api.endConnection(id);
      return undefined;
    },
  },
];

function connections(parameters: Parameters): Action | Problem {
  const said = parameters.get('limit');
  const limit = said === undefined ? DEFAULT_PAGE_COUNT : /^\d{1,6}$/.test(said) ? Number(said) : 0;
  if (limit < 1 || limit > MAX_PAGE_COUNT)
    return { status: 400, detail: `limit has to be a whole number from 1 to ${MAX_PAGE_COUNT}` };
  return (api) => api.connections(limit, parameters.get('cursor'));
}

/** What a request asks for, or what is wrong with it. */
export function route({ method, path, query }: RequestHead): Action | Problem {
  const found = find(path);
  if (found === undefined) {
    const paths = ROUTES.map((each) => BASE + each.path).join(', ');
    return { status: 404, detail: `nothing is served at ${quoted(path)}; there are ${paths}` };
  }
  const { row, segment } = found;
  if (segment === undefined) return { status: 400, detail: `${quoted(path)} is not percent-encoded text` };
  const make = method === 'GET' || method === 'HEAD' ? row.get : method === 'DELETE' ? row.delete : undefined;
  if (make === undefined) {
    const allowed = row.delete === undefined ? 'GET, HEAD' : 'GET, HEAD, DELETE';
    const detail = `${quoted(method)} is not what ${BASE}${row.path} takes; it takes ${allowed}`;
    return { status: 405, detail, headers: [['allow', allowed]] };
  }
  const parameters = readParameters(query, make === row.get ? (row.parameters ?? []) : []);
  return parameters instanceof Map ? make(segment, parameters) : (parameters as Problem);
}

/** The row of a path, and the text of its free segment; that is undefined when it cannot be decoded. */
function find(path: string): { row: Route; segment: string | undefined } | undefined {
  if (!path.startsWith(BASE)) return undefined;
  const segments = path.slice(BASE.length).split('/');
  for (const row of ROUTES) {
    const pattern = row.path.split('/');
    const matches = (part: string, index: number) =>
      part.startsWith('{') ? segments[index] !== '' : part === segments[index];
    if (pattern.length !== segments.length || !pattern.every(matches)) continue;
    const free = segments[pattern.findIndex((part) => part.startsWith('{'))];
    return { row, segment: free === undefined ? '' : decoded(free) };
  }
  return undefined;
}

function decoded(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}

function readParameters(query: string, known: readonly string[]): Parameters | Problem {
  const parameters = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    const takes = known.length === 0 ? 'none is taken here' : `${known.join(' and ')} are taken here`;
    if (!known.includes(name))
      return { status: 400, detail: `${quoted(name)} is not a known parameter; ${takes}` };
    if (parameters.has(name)) return { status: 400, detail: `the parameter ${name} came twice; say it once` };
    parameters.set(name, value);
  }
  return parameters;
}
