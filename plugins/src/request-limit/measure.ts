/** How large a value is, looked at no further than a limit goes. */

export interface Limits {
  /** As JSON without spaces. */
  readonly bytes: number;
  /** 1 for an object that holds plain values. */
  readonly depth: number;
  readonly valueCount: number;
  readonly stringBytes: number;
}

/** What is too much, as the end of a sentence; undefined when nothing is. Needs no stack, however deep the value. */
export function measure(root: unknown, limits: Limits): string | undefined {
  const open: [value: unknown, depth: number][] = [[root, 0]];
  let bytes = 0;
  let count = 0;
  for (let each = open.pop(); each !== undefined; each = open.pop()) {
    const [value, depth] = each;
    count += 1;
    if (count > limits.valueCount) return `hold more than ${limits.valueCount} values`;
    if (typeof value === 'string') {
      if (Buffer.byteLength(value) > limits.stringBytes) return tooLong(limits);
      bytes += jsonBytes(value);
    } else if (typeof value === 'object' && value !== null) {
      if (depth === limits.depth) return `are nested deeper than ${limits.depth}`;
      const members = Object.entries(value);
      const isList = Array.isArray(value);
      // Brackets and commas, and names with their colons.
      bytes += 2 + Math.max(0, members.length - 1);
      for (const [name, member] of members) {
        if (!isList) {
          if (Buffer.byteLength(name) > limits.stringBytes) return tooLong(limits);
          bytes += jsonBytes(name) + 1;
        }
        open.push([member, depth + 1]);
      }
      if (count + open.length > limits.valueCount) return `hold more than ${limits.valueCount} values`;
    } else bytes += String(value).length;
    if (bytes > limits.bytes) return `are larger than ${limits.bytes} bytes`;
  }
  return undefined;
}

function tooLong({ stringBytes }: Limits): string {
  return `hold a text that is longer than ${stringBytes} bytes`;
}

/** Texts that JSON writes as they are are many; the others are written to be counted. */
function jsonBytes(text: string): number {
  return PLAIN.test(text) ? text.length + 2 : Buffer.byteLength(JSON.stringify(text));
}

const PLAIN = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;
