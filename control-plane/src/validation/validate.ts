import type { Configuration } from '@sluice/proto';
import { checkAccess, checkDerived } from './access-rules.js';
import { Findings } from './findings.js';
import { checkGateway } from './gateway-rules.js';
import { checkPlugins } from './plugin-rules.js';
import type { Problem } from './problem.js';
import { checkServers, servedPaths } from './serving-rules.js';
import { checkUpstreams } from './upstream-rules.js';

/**
 * Everything that a configuration must pass before it may be used. Problems carry the path of their field;
 * where it stands in a file is the reader's to add. No message holds the value of a header or variable.
 *
 * @param unreadPaths fields that could not be read, so that nothing is said of their absence
 */
export function validateConfiguration(
  configuration: Configuration,
  unreadPaths: readonly string[] = [],
): Problem[] {
  const findings = new Findings(unreadPaths);
  checkGateway(findings, configuration);
  checkUpstreams(findings, configuration);
  const paths = servedPaths(configuration);
  checkServers(findings, configuration);
  checkPlugins(findings, configuration, paths);
  checkAccess(findings, configuration, paths);
  const hasErrors = unreadPaths.length > 0 || findings.problems.some(({ severity }) => severity === 'error');
  checkDerived(findings, configuration, hasErrors);
  return findings.problems;
}
