/** What resources refer to, on this machine. */
import { readFileSync } from 'node:fs';
import type { Lookup } from '../routing/compiler.js';

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'this user may not read it',
  EISDIR: 'it is a folder',
};

/** Variables of this process and files of this machine. Whoever looks says what is missing, and nothing of what was found. */
export function ownLookup(): Lookup {
  return {
    variable: (name) => process.env[name],
    file: (path) => {
      try {
        return readFileSync(path, 'utf8');
      } catch (thrown) {
        const { code = 'it cannot be read' } = thrown as NodeJS.ErrnoException;
        throw new Error(REASONS[code] ?? code);
      }
    },
  };
}
