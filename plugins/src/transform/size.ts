/** How large a document is, without making its text. */
import type { Json } from '@sluice/sdk';

/** True when the JSON text takes at most so many bytes, what characters cost that have to be escaped aside. */
export function isWithin(document: Json, maxBytes: number): boolean {
  let bytes = 0;
  const stack: (Json | undefined)[] = [document];
  while (stack.length > 0 && bytes <= maxBytes) {
    const value = stack.pop();
    if (typeof value === 'string') bytes += Buffer.byteLength(value) + 3;
    else if (Array.isArray(value)) {
      bytes += 2;
      // Pushed one by one: a list may have more items than a call has room for.
      for (const item of value) stack.push(item);
    } else if (typeof value === 'object' && value !== null) {
      bytes += 2;
      for (const [name, member] of Object.entries(value)) {
        bytes += Buffer.byteLength(name) + 4;
        stack.push(member);
      }
    } else bytes += String(value).length + 1;
  }
  return bytes <= maxBytes;
}
