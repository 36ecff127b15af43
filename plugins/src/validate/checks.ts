/** Checks of schemas, made once for each content, off the event loop, and kept as long as there is room. */
import { createHash } from 'node:crypto';
import { type MaybePromise, Refusal } from '@sluice/sdk';
import { offLoop } from '../matching/index.js';
import { type Finding, findingOf, TOO_COSTLY } from './finding.js';
import { type Check, checkOf } from './runtime.js';
import type { Compiled, CompileTask, LongTask } from './thread.js';

/** Programs and the schemas they were made of, in characters. */
const MAX_KEPT_LENGTH = 33_554_432;
const MAX_KEPT_COUNT = 2_000;
/** Of a longer text its value is checked off the event loop. */
const MAX_AT_ONCE_LENGTH = 65_536;
/** Threads run what was built, also where this is run from its source. */
const PROGRAM = new URL('../../dist/validate/thread.js', import.meta.url);

/** A longer program takes the event loop some milliseconds to be read, so it runs beside it. */
const MAX_LOOP_PROGRAM_LENGTH = 262_144;

/** What holds values against one schema. */
export class SchemaCheck {
  private readonly check: Check | undefined;

  constructor(
    readonly schema: unknown,
    private readonly program: string,
  ) {
    if (program.length <= MAX_LOOP_PROGRAM_LENGTH) this.check = checkOf(program);
  }

  get length(): number {
    return this.program.length;
  }

  /**
   * What is wrong with a value; undefined when nothing is.
   *
   * @param text the JSON of an object that has the value as a member; undefined where it has none
   */
  find(value: unknown, text: string | undefined, member: string): MaybePromise<Finding | undefined> {
    const isShort = text === undefined || text.length <= MAX_AT_ONCE_LENGTH;
    if (this.check !== undefined && isShort) return findingOf(this.check, value);
    return this.findElsewhere(text ?? JSON.stringify({ [member]: value }), member);
  }

  private async findElsewhere(text: string, member: string): Promise<Finding | undefined> {
    const task: LongTask = { program: this.program, text, member };
    try {
      return await offLoop<Finding | undefined>(PROGRAM, 'checkLong', task);
    } catch (thrown) {
      // Whoever brings a thread to its end does not bring the plugin to its own.
      if (thrown instanceof Refusal) throw thrown;
      return TOO_COSTLY;
    }
  }
}

/** Why nothing can be held against a schema. */
export class Unfit {
  constructor(readonly reason: string) {}
}

export type Made = SchemaCheck | Unfit;

export class SchemaChecks {
  /** By the schemas' own objects, which lists keep from one request to the next. */
  private readonly bySchema = new WeakMap<object, Made>();
  private readonly byContent = new Map<string, Made>();
  private readonly underWay = new Map<string, Promise<Made>>();
  private keptLength = 0;

  constructor(
    private readonly formats: boolean,
    private readonly maxSchemaBytes: number,
    /** Told of each schema that had to be compiled. */
    private readonly compiled: (made: Made) => void,
  ) {}

  of(schema: unknown): MaybePromise<Made> {
    if (typeof schema !== 'object' || schema === null) return this.made(schema);
    return this.bySchema.get(schema) ?? this.made(schema);
  }

  private made(schema: unknown): MaybePromise<Made> {
    const text = JSON.stringify(schema);
    const size = Buffer.byteLength(text);
    if (size > this.maxSchemaBytes)
      return new Unfit(`it has ${size} bytes, and ${this.maxSchemaBytes} may be`);
    const key = createHash('sha256').update(text).digest('base64url');
    const kept = this.byContent.get(key);
    if (kept === undefined) return this.underWay.get(key) ?? this.compile(key, text, schema);
    // Used last, so dropped last.
    this.byContent.delete(key);
    this.byContent.set(key, kept);
    this.remember(schema, kept);
    return kept;
  }

  private compile(key: string, schema: string, own: unknown): Promise<Made> {
    const task: CompileTask = { schema, formats: this.formats };
    const compiling = offLoop<Compiled>(PROGRAM, 'compileSchema', task)
      .catch((thrown: unknown): Compiled => {
        // As a schema can whose program takes all memory of a thread.
        if (thrown instanceof Refusal) throw thrown;
        return { unfit: 'it cannot be compiled within what a thread may take' };
      })
      .then((compiled) => {
        const made = 'unfit' in compiled ? new Unfit(compiled.unfit) : new SchemaCheck(own, compiled.program);
        this.keep(key, made);
        this.remember(own, made);
        this.compiled(made);
        return made;
      })
      .finally(() => this.underWay.delete(key));
    this.underWay.set(key, compiling);
    return compiling;
  }

  private remember(schema: unknown, made: Made): void {
    if (typeof schema === 'object' && schema !== null) this.bySchema.set(schema, made);
  }

  private keep(key: string, made: Made): void {
    this.byContent.set(key, made);
    this.keptLength += lengthOf(made);
    for (const [oldest, each] of this.byContent) {
      if (this.keptLength <= MAX_KEPT_LENGTH && this.byContent.size <= MAX_KEPT_COUNT) return;
      this.byContent.delete(oldest);
      this.keptLength -= lengthOf(each);
    }
  }
}

function lengthOf(made: Made): number {
  return made instanceof SchemaCheck ? made.length : made.reason.length;
}
