/**
 * A module with the interface of those that `opa build -t wasm` makes (openpolicyagent.org/docs/wasm, ABI 1.2), for tests:
 * there is no compiler for Rego here. What it says depends on marks in its input.
 */
import { gzipSync } from 'node:zlib';

/** What the first of these in an input has it do; without one, it allows. */
export const MARKS = {
  '!': [{ result: { allow: false, reason: 'not with that' } }],
  '?': [{ result: { allow: false, ask: { message: 'May it go on?' } } }],
  '%': [],
  '#': 'no set of results',
  '@': [{ result: { allow: true, more: 1 } }],
} as const;
/** Has it go on without end. */
export const LOOP_MARK = '~';
/** Has it take more and more memory. */
export const GROW_MARK = '^';
/** Has it answer with its data, as the whole set of results. */
export const DATA_MARK = '$';
/** Has it ask for a built-in function that nobody has. */
export const BUILTIN_MARK = '&';
/** Has it print what it was asked about. */
export const PRINT_MARK = '*';

const ALLOW = [{ result: true }];
const OTHER = [{ result: false }];
export const ENTRYPOINTS = { 'sluice/decision': 0, 'other/no': 1 } as const;

const I32 = 0x7f;
const TEXTS_AT = 1_024;
const HEAP_AT = 65_536;

/** Indices of functions: those that are imported come first. */
const [ABORT, PRINTLN, BUILTIN0] = [0, 1, 2];
const OWN = 3;

/** @param change makes another module of it: exports that are missing, or more that are imported. */
export function scriptedModule(
  change: { readonly without?: string; readonly abi?: number; readonly imports?: string } = {},
): Buffer {
  const texts = new Texts();
  const builtins = texts.add('{"no.such.function":7}');
  const entrypoints = texts.add(JSON.stringify(ENTRYPOINTS));
  const functions: Own[] = [
    { name: 'builtins', type: 1, body: constant(builtins) },
    { name: 'entrypoints', type: 1, body: constant(entrypoints) },
    { name: 'opa_heap_ptr_get', type: 1, body: [0x23, 0] },
    { name: 'opa_heap_ptr_set', type: 0, body: [0x20, 0, 0x24, 0] },
    { name: 'opa_malloc', type: 2, body: malloc() },
    // What was written is what is read: JSON text, with a zero behind it.
    { name: 'opa_json_parse', type: 3, body: [0x20, 0] },
    { name: 'opa_json_dump', type: 2, body: [0x20, 0] },
    { name: 'opa_eval', type: 4, body: evaluation(texts), localCount: 2 },
  ];
  const exported = functions.filter(({ name }) => name !== change.without);
  return Buffer.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [
      functionType([I32], []),
      functionType([], [I32]),
      functionType([I32], [I32]),
      functionType([I32, I32], [I32]),
      functionType(Array(7).fill(I32), [I32]),
    ]),
    ...section(2, [
      [...name(change.imports ?? 'env'), ...name('opa_abort'), 0, 0],
      [...name('env'), ...name('opa_println'), 0, 0],
      [...name('env'), ...name('opa_builtin0'), 0, 3],
      [...name('env'), ...name('memory'), 2, 0, 2],
    ]),
    ...section(
      3,
      functions.map(({ type }) => [type]),
    ),
    ...section(6, [
      [I32, 1, ...constant(HEAP_AT), 0x0b],
      [I32, 0, ...constant(change.abi ?? 1), 0x0b],
      [I32, 0, ...constant(2), 0x0b],
    ]),
    ...section(7, [
      ...exported.map((own) => [...name(own.name), 0, OWN + functions.indexOf(own)]),
      [...name('opa_wasm_abi_version'), 3, 1],
      [...name('opa_wasm_abi_minor_version'), 3, 2],
    ]),
    ...section(
      10,
      functions.map(({ body, localCount = 0 }) => {
        const code = [...(localCount === 0 ? [0] : [1, localCount, I32]), ...body, 0x0b];
        return [...unsigned(code.length), ...code];
      }),
    ),
    ...section(11, [[0, ...constant(TEXTS_AT), 0x0b, ...vector(texts.bytes)]]),
  ]);
}

/** A bundle as `opa build` packs it. */
export function scriptedBundle(files: Readonly<Record<string, Buffer | string>> = {}): Buffer {
  const manifest = {
    revision: '',
    roots: [''],
    wasm: [{ entrypoint: 'sluice/decision', module: '/policy.wasm' }],
  };
  const all = {
    '/.manifest': JSON.stringify(manifest),
    '/data.json': '{}',
    '/policy.wasm': scriptedModule(),
    ...files,
  };
  return gzipSync(tarOf(Object.entries(all).map(([path, content]) => [path, Buffer.from(content)])));
}

/** A tar archive (POSIX.1-1988, ustar). */
export function tarOf(files: readonly (readonly [path: string, content: Buffer])[]): Buffer {
  const blocks: Buffer[] = [];
  for (const [path, content] of files) {
    const header = Buffer.alloc(512);
    header.write(path, 0, 'latin1');
    header.write('0000644\0', 100, 'latin1');
    header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
    header.write('        0', 148, 'latin1');
    header.write('ustar\x0000', 257, 'latin1');
    blocks.push(header, content, Buffer.alloc((512 - (content.length % 512)) % 512));
  }
  return Buffer.concat([...blocks, Buffer.alloc(1_024)]);
}

interface Own {
  readonly name: string;
  readonly type: number;
  readonly body: readonly number[];
  readonly localCount?: number;
}

/** `heap += length + 1`, with memory for it; the byte behind stays zero. */
function malloc(): number[] {
  return [
    // grow while memory.size * 65536 <= heap + length + 1; give up when there is none.
    ...[0x03, 0x40, 0x3f, 0, ...constant(16), 0x74],
    ...[0x23, 0, 0x20, 0, 0x6a, ...constant(1), 0x6a, 0x4d, 0x04, 0x40],
    ...[...constant(1), 0x40, 0, ...constant(-1), 0x46, 0x04, 0x40, 0x00, 0x0b, 0x0c, 1, 0x0b, 0x0b],
    // the old heap is the answer
    ...[0x23, 0, 0x23, 0, 0x20, 0, 0x6a, ...constant(1), 0x6a, 0x24, 0],
  ];
}

/** `opa_eval(_, entrypoint, data, input, length, heap, _)`: looks for the first mark. Locals: 7 where, 8 the character. */
function evaluation(texts: Texts): number[] {
  const answer = (address: number) => [...constant(address), 0x0f];
  const when = (mark: string, then: readonly number[]) => [
    ...[0x20, 8, ...constant(mark.charCodeAt(0)), 0x46, 0x04, 0x40],
    ...then,
    0x0b,
  ];
  const marks = Object.entries(MARKS).flatMap(([mark, says]) =>
    when(mark, answer(texts.add(JSON.stringify(says)))),
  );
  const allow = texts.add(JSON.stringify(ALLOW));
  return [
    ...[0x20, 1, 0x04, 0x40, ...answer(texts.add(JSON.stringify(OTHER))), 0x0b],
    ...[0x02, 0x40, 0x03, 0x40],
    // until the input ends
    ...[0x20, 7, 0x20, 4, 0x4e, 0x0d, 1],
    ...[0x20, 3, 0x20, 7, 0x6a, 0x2d, 0, 0, 0x21, 8],
    ...marks,
    ...when(LOOP_MARK, [0x03, 0x40, 0x0c, 0, 0x0b]),
    ...when(GROW_MARK, [
      ...[0x03, 0x40, ...constant(1), 0x40, 0, ...constant(-1), 0x46, 0x04, 0x40],
      ...[...constant(texts.add('out of memory')), 0x10, ABORT, 0x00, 0x0b, 0x0c, 0, 0x0b],
    ]),
    ...when(DATA_MARK, [0x20, 2, 0x0f]),
    ...when(BUILTIN_MARK, [...constant(7), ...constant(0), 0x10, BUILTIN0, 0x0f]),
    ...when(PRINT_MARK, [0x20, 3, 0x10, PRINTLN]),
    ...[0x20, 7, ...constant(1), 0x6a, 0x21, 7, 0x0c, 0, 0x0b, 0x0b],
    ...constant(allow),
  ];
}

/** Texts with a zero behind each, as C has them. */
class Texts {
  readonly bytes: number[] = [];

  /** Its address. */
  add(text: string): number {
    const address = TEXTS_AT + this.bytes.length;
    this.bytes.push(...Buffer.from(text), 0);
    return address;
  }
}

function constant(value: number): number[] {
  return [0x41, ...signed(value)];
}

function functionType(parameters: readonly number[], results: readonly number[]): number[] {
  return [0x60, ...vector(parameters), ...vector(results)];
}

function section(id: number, entries: readonly (readonly number[])[]): number[] {
  const content = [...unsigned(entries.length), ...entries.flat()];
  return [id, ...unsigned(content.length), ...content];
}

function name(text: string): number[] {
  return vector([...Buffer.from(text)]);
}

function vector(bytes: readonly number[]): number[] {
  return [...unsigned(bytes.length), ...bytes];
}

/** LEB128. */
function unsigned(value: number): number[] {
  const low = value & 0x7f;
  const rest = value >>> 7;
  return rest === 0 ? [low] : [low | 0x80, ...unsigned(rest)];
}

function signed(value: number): number[] {
  const low = value & 0x7f;
  const rest = value >> 7;
  const isLast = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
  return isLast ? [low] : [low | 0x80, ...signed(rest)];
}
