// Loaded before a program of the product: its clock says what the system's says and as much more as a file does.
import { readFileSync, watchFile } from 'node:fs';

const file = process.env.SLUICE_TEST_CLOCK_FILE;
if (file !== undefined) {
  const SystemDate = globalThis.Date;
  let shiftMs = 0;
  const read = () => {
    try {
      shiftMs = Number(readFileSync(file, 'utf8'));
    } catch {
      // The test is over.
    }
  };
  read();
  watchFile(file, { interval: 50, persistent: false }, read);
  class ShiftedDate extends SystemDate {
    constructor(...args) {
      if (args.length === 0) super(SystemDate.now() + shiftMs);
      else super(...args);
    }
    static now() {
      return SystemDate.now() + shiftMs;
    }
  }
  globalThis.Date = ShiftedDate;
}
