/**
 * Limits what a thread holds in buffers, which are not part of its heap: V8 limits the heap alone. Put in place before
 * a plugin is loaded. It stops mistakes; whoever means harm is stopped by the limits of a process.
 */
import { getHeapStatistics } from 'node:v8';

/** Bytes made between two looks at what is held: a look takes a microsecond or two. */
const LOOK_EVERY_BYTES = 4 * 1024 * 1024;

const BUFFER_TYPES = [
  'ArrayBuffer',
  'SharedArrayBuffer',
  'Int8Array',
  'Uint8Array',
  'Uint8ClampedArray',
  'Int16Array',
  'Uint16Array',
  'Int32Array',
  'Uint32Array',
  'Float32Array',
  'Float64Array',
  'BigInt64Array',
  'BigUint64Array',
] as const;

type Constructor = new (...given: unknown[]) => object;

/** Makes too much an exception where it is asked for. */
export function limitBuffers(maxBytes: number): void {
  let unseenBytes = 0;
  const allow = (bytes: number) => {
    unseenBytes += bytes;
    if (unseenBytes < LOOK_EVERY_BYTES) return;
    const heldBytes = getHeapStatistics().external_memory + bytes;
    if (heldBytes > maxBytes)
      throw new RangeError(`a plugin may hold ${maxBytes} bytes in buffers; this would be ${heldBytes}`);
    unseenBytes = 0;
  };
  const all = globalThis as unknown as Record<string, Constructor & { BYTES_PER_ELEMENT?: number }>;
  for (const name of BUFFER_TYPES) {
    const own = all[name] as Constructor & { BYTES_PER_ELEMENT?: number };
    const unit = own.BYTES_PER_ELEMENT ?? 1;
    all[name] = new Proxy(own, {
      construct(target, given, newTarget) {
        const [length] = given as [unknown];
        if (typeof length === 'number' && length > 0) allow(length * unit);
        return Reflect.construct(target, given, newTarget === all[name] ? target : newTarget);
      },
    });
  }
  for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow'] as const) {
    const make = Buffer[name] as (size: number, ...rest: unknown[]) => Buffer;
    Buffer[name] = ((size: number, ...rest: unknown[]) => {
      allow(size);
      return make.call(Buffer, size, ...rest);
    }) as never;
  }
}
