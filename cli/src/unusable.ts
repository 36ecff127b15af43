/** What commands were given and cannot use. */
import { EXIT } from './exit-codes.js';

/** The message has been made for people. */
export class Unusable extends Error {
  constructor(
    message: string,
    readonly exitCode: number = EXIT.configuration,
  ) {
    super(message);
  }
}

/** The command line says what cannot be. */
export class WrongUsage extends Unusable {
  constructor(message: string) {
    super(message, EXIT.usage);
  }
}
