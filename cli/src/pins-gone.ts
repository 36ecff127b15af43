/** Said of `sluice.pins.json` while a gateway runs. */
export const PINS_GONE =
  'the file of accepted definitions is gone; they hold until the configuration is read again, after which pin knows ' +
  'none of them: put the file back before a restart or a change of the configuration';
