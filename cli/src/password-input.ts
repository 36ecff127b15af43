import type { Readable } from 'node:stream';
import type { Output } from './health.js';

/** Stdin, as far as reading a password needs it. */
export interface PasswordInput extends Readable {
  readonly isTTY?: boolean;
  setRawMode?(isRaw: boolean): unknown;
}

/** Ctrl-C or Ctrl-D at a prompt. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/**
 * What comes through a pipe, without the line end that programs put behind it.
 *
 * @throws RangeError when it is longer than a password may be, or not UTF-8
 */
export async function readPiped(input: PasswordInput, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of input) {
    const bytes = Buffer.from(chunk);
    size += bytes.length;
    // With a line end, which may be two bytes.
    if (size > maxBytes + 2) throw new RangeError(`a password has ${maxBytes} bytes at most`);
    chunks.push(bytes);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks)).replace(/\r?\n$/, '');
  } catch {
    throw new RangeError('a password is text in UTF-8');
  }
}

/** A line that is typed on a terminal, which shows nothing of it. @throws Interrupted */
export async function readHidden(input: PasswordInput, err: Output, prompt: string): Promise<string> {
  err.write(prompt);
  input.setRawMode?.(true);
  try {
    return await new Promise<string>((resolve, reject) => {
      const typed: string[] = [];
      const decoder = new TextDecoder();
      const leave = (settle: () => void) => {
        input.off('data', take);
        input.off('end', interrupt);
        input.pause();
        settle();
      };
      const interrupt = () => leave(() => reject(new Interrupted()));
      const take = (chunk: Buffer) => {
        const characters = [...decoder.decode(chunk, { stream: true })];
        for (const [index, character] of characters.entries()) {
          if (character === '\u0003' || character === '\u0004') return interrupt();
          if (character === '\r' || character === '\n') {
            // What was typed ahead is for the next prompt.
            const ahead = characters
              .slice(index + 1)
              .join('')
              .replace(/^\n/, '');
            return leave(() => {
              if (ahead !== '') input.unshift(Buffer.from(ahead));
              resolve(typed.join(''));
            });
          }
          if (character === '\u007f' || character === '\b') typed.pop();
          else if (character === '\u0015') typed.length = 0;
          else typed.push(character);
        }
      };
      input.on('data', take);
      input.on('end', interrupt);
      input.resume();
    });
  } finally {
    input.setRawMode?.(false);
    err.write('\n');
  }
}
