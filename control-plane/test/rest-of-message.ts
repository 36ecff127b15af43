/** The HTTP request that means the same as a message, by the option `rest` of its method. */
import {
  type DescMethod,
  getOption,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from '@bufbuild/protobuf';
import { rest as restOption } from '@sluice/proto/admin';
import { KIND_WORDS, ResourceKindSchema } from '@sluice/proto/cluster';

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly body: JsonValue | undefined;
}

export function httpRequestOf({ input, ...description }: DescMethod, message: Message): HttpRequest {
  const rest = getOption({ input, ...description } as DescMethod, restOption);
  const json = toJson(input, message, { useProtoFieldName: true }) as JsonObject;
  const take = (name: string): JsonValue | undefined => {
    const value = json[name];
    delete json[name];
    return typeof value === 'string' ? kindWordOf(value) : value;
  };
  const path = rest.path.replace(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String(take(name) ?? 0)),
  );
  if (rest.method === 'POST' && rest.body === '') return { method: 'POST', path, body: json };
  const body = rest.body === '' ? undefined : take(rest.body);
  const query = new URLSearchParams();
  for (const name of Object.keys(json)) addTo(query, name, take(name) as JsonValue);
  return { method: rest.method, path: query.size === 0 ? path : `${path}?${query}`, body };
}

function addTo(query: URLSearchParams, name: string, value: JsonValue): void {
  if (Array.isArray(value)) for (const each of value) addTo(query, name, each);
  else if (typeof value === 'object' && value !== null)
    for (const [inner, each] of Object.entries(value)) addTo(query, `${name}.${inner}`, each);
  else query.append(name, String(value));
}

function kindWordOf(text: string): string {
  const kind = ResourceKindSchema.values.find(({ name }) => name === text);
  return kind === undefined ? text : (KIND_WORDS[kind.number - 1] as string);
}
