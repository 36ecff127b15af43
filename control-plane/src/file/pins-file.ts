/** Where the definitions stand that `pin` has accepted, beside the configuration. */
import { dirname, join } from 'node:path';

const PINS_FILE = 'sluice.pins.json';

/** @param file of the configuration */
export function pinsFileOf(file: string): string {
  return join(dirname(file), PINS_FILE);
}
