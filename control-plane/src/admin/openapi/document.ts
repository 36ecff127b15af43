/** The description of the admin API in OpenAPI 3.1, made from the descriptions of its services. */
import {
  type DescField,
  type DescMessage,
  type DescMethod,
  type DescService,
  getOption,
} from '@bufbuild/protobuf';
import { ConflictSchema, FindingSchema, type Rest, rest as restOption } from '@sluice/proto/admin';
import { KIND_WORDS, ResourceKindSchema } from '@sluice/proto/cluster';
import { roleWord } from '../caller.js';
import { REASONS } from '../reasons.js';
import { type JsonSchema, MessageSchemas } from './schemas.js';

type Declaration = DescMessage | DescField | DescService | DescMethod;

/** @param describe says what a declaration is for */
export function openApiDocument(
  services: readonly DescService[],
  describe: (declaration: Declaration) => string,
): JsonSchema {
  const schemas = new MessageSchemas(describe);
  const paths: Record<string, Record<string, unknown>> = {};
  for (const service of services)
    for (const method of service.methods) {
      const rest = getOption(method, restOption);
      paths[rest.path] = { ...paths[rest.path], [rest.method.toLowerCase()]: operation(method, rest) };
    }
  const problem = problemSchema(schemas);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sluice admin API',
      version: 'v1',
      description: 'Reads and changes the configuration of a cluster, and shows its nodes.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    security: [{ bearer: [] }, { certificate: [] }],
    tags: services.map((service) => ({ name: service.name, description: describe(service) })),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'An API token, or a JWT of the OIDC issuer.' },
        certificate: { type: 'mutualTLS' },
      },
      responses: {
        Problem: {
          description: 'The call failed (RFC 9457).',
          content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
        },
      },
      schemas: { ...schemas.all(), Problem: problem },
    },
  };

  function operation(method: DescMethod, rest: Rest): JsonSchema {
    const { input, output, name, parent } = method;
    const inPath = [...rest.path.matchAll(/\{(\w+)\}/g)].map(([, field]) => field as string);
    const hasBody = rest.method === 'PUT' || rest.method === 'POST';
    const isEntireBody = hasBody && rest.body === '';
    const inQuery = input.fields.filter(
      (field) => !isEntireBody && field.name !== rest.body && !inPath.includes(field.name),
    );
    const options = input.fields.find((field) => field.name === 'options')?.message;
    const inOptions = isEntireBody && options !== undefined ? options.fields : [];
    const hasEtag = output.fields.some((field) => field.name === 'etag');
    return {
      operationId: name,
      tags: [parent.name],
      summary: describe(method),
      'x-sluice-role': roleWord(rest.role),
      parameters: [
        ...inPath.map((field) => parameter(fieldNamed(input, field), 'path')),
        ...inQuery.flatMap(queryFields).map((field) => parameter(field, 'query')),
        ...inOptions.map((field) => parameter(field, 'query')),
        ...headerParameters(method),
      ],
      ...(hasBody && { requestBody: { required: true, content: jsonOf(bodySchema(input, rest)) } }),
      responses: {
        200: {
          description: describe(output),
          content: jsonOf(schemas.reference(output)),
          ...(hasEtag && {
            headers: {
              ETag: {
                description: 'To be sent with the next change, as If-Match.',
                schema: { type: 'string' },
              },
            },
          }),
        },
        ...(hasEtag && rest.method === 'GET' && { 304: { description: 'It is the one of If-None-Match.' } }),
        default: { $ref: '#/components/responses/Problem' },
      },
    };
  }

  function bodySchema(input: DescMessage, { body }: Rest): JsonSchema {
    return body === '' ? schemas.reference(input) : schemas.field(fieldNamed(input, body));
  }

  function parameter(field: DescField, place: 'path' | 'query'): JsonSchema {
    const { description, ...schema } = schemas.field(field);
    const isKind = field.enum?.typeName === ResourceKindSchema.typeName;
    return {
      name: field.name,
      in: place,
      ...(place === 'path' && { required: true }),
      ...(description !== undefined && { description }),
      schema: isKind ? { type: 'string', enum: [...KIND_WORDS] } : schema,
    };
  }
}

/** Options of a change are parameters of their own. */
function queryFields(field: DescField): readonly DescField[] {
  return field.name === 'options' && field.message !== undefined ? field.message.fields : [field];
}

/** What HTTP has a header for is one. */
function headerParameters({ input }: DescMethod): JsonSchema[] {
  const has = (name: string) => input.fields.some((field) => field.name === name);
  const header = (name: string, description: string) => ({
    name,
    in: 'header',
    description,
    schema: { type: 'string' },
  });
  return [
    ...(has('etag')
      ? [
          header('If-Match', 'The ETag that one has seen, or `*`: else the change is refused.'),
          header('If-None-Match', '`*`: the change is refused when there is one already.'),
        ]
      : []),
    ...(has('options')
      ? [header('Idempotency-Key', 'A change that was made with this key before is not made again.')]
      : []),
  ];
}

function problemSchema(schemas: MessageSchemas): JsonSchema {
  const violation = {
    type: 'object',
    properties: { field: { type: 'string' }, description: { type: 'string' } },
    required: ['field', 'description'],
  };
  return {
    type: 'object',
    description: 'Why a call failed.',
    properties: {
      type: { type: 'string', format: 'uri' },
      title: { type: 'string' },
      status: { type: 'integer' },
      detail: { type: 'string' },
      reason: { type: 'string', enum: Object.keys(REASONS) },
      metadata: { type: 'object', additionalProperties: { type: 'string' } },
      violations: { type: 'array', items: violation },
      findings: { type: 'array', items: schemas.reference(FindingSchema) },
      conflict: schemas.reference(ConflictSchema),
    },
    required: ['type', 'title', 'status', 'detail', 'reason'],
  };
}

function jsonOf(schema: JsonSchema): JsonSchema {
  return { 'application/json': { schema } };
}

function fieldNamed({ fields, typeName }: DescMessage, name: string): DescField {
  const field = fields.find((each) => each.name === name);
  if (field === undefined)
    throw new TypeError(`${typeName} has no field ${name}, which its path or body names`);
  return field;
}
