/** The methods of the admin API, as their descriptions in protobuf say, bound to what carries them out. */
import {
  type DescMethod,
  type DescService,
  getOption,
  hasOption,
  type Message,
  type MessageShape,
} from '@bufbuild/protobuf';
import { type Rest, rest as restOption } from '@sluice/proto/admin';
import { type Caller, requireRole } from './caller.js';

/** One call, beside its request. */
export interface Call {
  readonly caller: Caller;
  /** The caller has gone. */
  readonly signal: AbortSignal;
}

/** A function for each method of a service. */
export type Implementation<S extends DescService> = {
  readonly [N in keyof S['method']]: (
    request: MessageShape<S['method'][N]['input']>,
    call: Call,
  ) => Promise<MessageShape<S['method'][N]['output']>>;
};

export interface BoundMethod {
  readonly description: DescMethod;
  readonly rest: Rest;
  /** Carries it out, if the role of the caller suffices. Which tenants it is about, only the method itself knows. */
  run(request: Message, call: Call): Promise<Message>;
}

/** @throws TypeError for a method without the option `rest`: then nobody has said who may call it */
export function bound<S extends DescService>(service: S, implementation: Implementation<S>): BoundMethod[] {
  return service.methods.map((description) => {
    if (!hasOption(description, restOption))
      throw new TypeError(`${service.typeName}.${description.name} does not say who may call it`);
    const rest = getOption(description, restOption);
    const carryOut = implementation[description.localName as keyof S['method']] as unknown as (
      request: Message,
      call: Call,
    ) => Promise<Message>;
    return {
      description,
      rest,
      async run(request, call) {
        requireRole(call.caller, rest.role, description.name);
        return carryOut(request, call);
      },
    };
  });
}
