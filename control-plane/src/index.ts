export { type EnvironmentVariable, listEnvironmentVariables } from './file/environment.js';
export {
  type ConfigurationOverrides,
  type LoadedConfiguration,
  type LoadOptions,
  loadConfigurationFile,
  loadConfigurationWithoutFile,
  parseConfiguration,
} from './file/load.js';
export { substitute } from './file/substitution.js';
export { type ConfigurationWatch, watchConfigurationFile } from './file/watch.js';
export { formatProblem, type Problem } from './validation/problem.js';
export { validateConfiguration } from './validation/validate.js';
