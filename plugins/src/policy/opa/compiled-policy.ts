/** A compiled policy in its memory, on whatever thread it is made. */
import { createRequire } from 'node:module';
import type { LoadedPolicy } from '@open-policy-agent/opa-wasm';
import type { Bundle } from './bundle.js';

/** What a thread is told at its start. */
export interface PolicyOrder extends Bundle {
  readonly maxPageCount: number;
}

/** What comes back: what the policy says as JSON text, or why it says nothing. */
export type EvaluatedMessage = { readonly result: string } | { readonly failure: string };

const INITIAL_PAGE_COUNT = 5;
/** Longest result; a decision is short. */
const MAX_RESULT_LENGTH = 65_536;

const require = createRequire(import.meta.url);

export class CompiledPolicy {
  private loaded: LoadedPolicy | undefined;
  private readonly module: WebAssembly.Module;

  constructor(private readonly order: PolicyOrder) {
    this.module = new WebAssembly.Module(order.wasm);
    try {
      this.loaded = this.load();
    } catch (thrown) {
      // The library throws texts.
      throw new Error(reasonOf(thrown), { cause: thrown });
    }
  }

  evaluate(input: string): EvaluatedMessage {
    try {
      this.loaded ??= this.load();
      const said: unknown = this.loaded.evaluate(bytesOf(input), this.order.entrypoint ?? 0);
      const result = JSON.stringify(said);
      if (result.length > MAX_RESULT_LENGTH)
        return { failure: `the policy said more than ${MAX_RESULT_LENGTH} characters` };
      return { result };
    } catch (thrown) {
      // What is left in its memory is nobody's guess.
      this.loaded = undefined;
      return { failure: reasonOf(thrown) };
    }
  }

  private load(): LoadedPolicy {
    const { loadPolicySync } =
      require('@open-policy-agent/opa-wasm') as typeof import('@open-policy-agent/opa-wasm');
    const { maxPageCount, data, entrypoint } = this.order;
    const policy = loadPolicySync(this.module, { initial: INITIAL_PAGE_COUNT, maximum: maxPageCount });
    policy.setData(bytesOf(data));
    const names = Object.keys(policy.entrypoints);
    if (entrypoint !== undefined && !names.includes(entrypoint))
      throw new Error(`it has no entrypoint ${entrypoint}; there are ${names.join(', ')}`);
    return policy;
  }
}

function bytesOf(text: string): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = new TextEncoder().encode(text);
  return buffer.slice(byteOffset, byteOffset + byteLength);
}

/** What is thrown in there is an error, a text, or an object with a message. */
function reasonOf(thrown: unknown): string {
  if (typeof thrown === 'string') return thrown;
  const { message } = (thrown ?? {}) as { message?: unknown };
  return typeof message === 'string' ? message : 'the policy could not be run';
}
