/** What can be called: every method of every service of the admin API, as the schema has them. */
import {
  type DescMessage,
  type DescMethod,
  type DescMethodUnary,
  type DescService,
  getOption,
  type MessageInitShape,
  type MessageShape,
} from '@bufbuild/protobuf';
import * as schema from '@sluice/proto/admin';

type Schema = typeof schema;

/** How one call is made. */
export interface CallOptions {
  /** Time for the call, beside what it waits for by itself. Default that of the client. */
  readonly timeoutMs?: number | undefined;
  /** Ends the call; it is then rejected with the reason of the signal. */
  readonly signal?: AbortSignal | undefined;
}

type Methods<Service> = Service extends { readonly method: infer All }
  ? {
      readonly [Name in keyof All as All[Name] extends { methodKind: 'unary' }
        ? Name
        : never]: All[Name] extends {
        input: infer Input extends DescMessage;
        output: infer Output extends DescMessage;
      }
        ? (request: MessageInitShape<Input>, options?: CallOptions) => Promise<MessageShape<Output>>
        : never;
    }
  : never;

/** A member for each service, `ConfigurationService` as `configuration`, with a function for each of its methods. */
export type AdminServices = {
  readonly [Name in keyof Schema as Name extends `${infer Short}Service`
    ? Uncapitalize<Short>
    : never]: Methods<Schema[Name]>;
};

/** Calls one method. */
type Call = (
  method: DescMethodUnary,
  request: MessageInitShape<DescMessage>,
  options: CallOptions,
) => Promise<unknown>;

/** All services, over what makes one call. */
export function servicesOver(call: Call): AdminServices {
  const services = Object.values(schema as object).filter(isService);
  return Object.fromEntries(
    services.map((service) => [
      memberName(service),
      Object.fromEntries(
        service.methods
          .filter(isUnary)
          .map((method) => [
            method.localName,
            (request: MessageInitShape<DescMessage>, options: CallOptions = {}) =>
              call(method, request, options),
          ]),
      ),
    ]),
  ) as AdminServices;
}

/** Whether a method changes nothing, so that it may be called again whatever became of the first call. */
export function isRead(method: DescMethod): boolean {
  const { method: verb, role } = getOption(method, schema.rest);
  return verb === 'GET' || role === schema.Role.VIEWER;
}

function isService(value: unknown): value is DescService {
  return typeof value === 'object' && value !== null && 'kind' in value && value.kind === 'service';
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === 'unary';
}

function memberName({ name }: DescService): string {
  const short = name.replace(/Service$/, '');
  return short.charAt(0).toLowerCase() + short.slice(1);
}
