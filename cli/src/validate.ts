import { formatProblem } from '@sluice/control-plane';
import { findFile, OWN_VARIABLES, readConfiguration } from './configuration.js';
import { EXIT } from './exit-codes.js';
import type { Output } from './health.js';
import { palette, usesColour } from './terminal.js';

/**
 * Checks a configuration file as the gateway would, and prints every problem with its place and what would be
 * right.
 *
 * @param named without it that of `SLUICE_CONFIG`, one that `serve` would find in this folder, or the environment alone
 * @returns the exit code: 0 when the gateway would take the file, warnings included
 */
export async function validate(named: string | undefined, out: Output, err: Output): Promise<number> {
  const file = named ?? (process.env.SLUICE_CONFIG || findFile('.'));
  const { configuration, problems } = await readConfiguration(file, { otherVariables: OWN_VARIABLES });
  const what = file ?? 'the configuration of the environment';
  const colour = usesColour(err);
  for (const problem of problems) err.write(`${formatProblem(problem, { colour })}\n`);
  if (!configuration) {
    const count = problems.filter(({ severity }) => severity === 'error').length;
    err.write(`${what} is invalid: ${count} ${count === 1 ? 'error' : 'errors'}\n`);
    return EXIT.configuration;
  }
  const served = configuration.upstreams.filter(({ disabled }) => !disabled).length;
  const disabled = configuration.upstreams.length - served;
  const plugins = configuration.plugins.length;
  const counts = [`${served} ${served === 1 ? 'upstream' : 'upstreams'}`];
  if (disabled > 0) counts.push(`${disabled} disabled`);
  if (plugins > 0) counts.push(`${plugins} ${plugins === 1 ? 'plugin' : 'plugins'}`);
  const paint = palette(usesColour(out));
  out.write(`${paint.green(`${what} is valid`)}: ${counts.join(', ')}\n`);
  return EXIT.ok;
}
