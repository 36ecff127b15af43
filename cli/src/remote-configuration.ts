import { type LoadedConfiguration, type Problem, parseConfiguration } from '@sluice/control-plane';
import { readHeaderLines } from './header-option.js';
import type { StdioFlags } from './stdio-flags.js';

/** What the remote server is called in the log. */
export const REMOTE_NAME = 'remote';

/** `SLUICE_UPSTREAMS_…` variables describe servers of a gateway; a relay has the one of its command line. */
const UPSTREAM_VARIABLE = /^SLUICE_UPSTREAMS_/;

/**
 * The configuration of a relay: one upstream, which is the remote server. `${NAME}` in the address and the headers
 * is a variable of the environment, as in a file, so that no secret has to stand on the command line.
 *
 * @param otherVariables `SLUICE_…` variables that are no settings
 */
export function remoteConfiguration(
  { connect = '', header = [], logLevel, logFormat }: StdioFlags,
  otherVariables: readonly string[],
): LoadedConfiguration {
  const { lines: headers, problem } = readHeaderLines(header);
  if (problem !== undefined) return { problems: [problem] };
  const environment = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !UPSTREAM_VARIABLE.test(name)),
  );
  const upstream = { name: REMOTE_NAME, url: connect, ...(header.length > 0 && { headers }) };
  const { configuration, problems } = parseConfiguration(JSON.stringify({ upstreams: [upstream] }), {
    file: 'sluice.json',
    format: 'json',
    environment,
    overrides: { ...(logLevel && { logLevel }), ...(logFormat && { logFormat }) },
    otherVariables,
  });
  return { ...(configuration && { configuration }), problems: problems.map(fromCommandLine) };
}

/** There is no file: what would stand in it came from the command line. */
function fromCommandLine({ severity, path, origin, message, hint }: Problem): Problem {
  const flag = path.includes('.headers') ? '--header' : '--connect';
  const field = path.replace(/^upstreams\[0\](?:\.\w+)?\.?/, '');
  return { severity, path: origin === undefined ? field : path, origin: origin ?? flag, message, hint };
}
