export { type EnvironmentVariable, listEnvironmentVariables } from './file/environment.js';
export {
  type ConfigurationOverrides,
  type LoadedConfiguration,
  type LoadOptions,
  loadConfigurationFile,
  loadConfigurationWithoutFile,
  parseConfiguration,
} from './file/load.js';
export { type Pins, pinsBelowTenant, readPins } from './file/pins.js';
export { pinsFileOf } from './file/pins-file.js';
export {
  loadResourceFile,
  parseResources,
  repeatedResources,
  type WrittenResource,
} from './file/resources.js';
export { substitute } from './file/substitution.js';
export { type ConfigurationWatch, watchConfiguration } from './file/watch.js';
export { formatYaml, parseYamlValue } from './file/yaml-value.js';
export { formatProblem, type Problem } from './validation/problem.js';
export { validateConfiguration } from './validation/validate.js';
