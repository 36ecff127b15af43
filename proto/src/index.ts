export { GATEWAY_DEFAULTS, UPSTREAM_DEFAULTS } from './defaults.js';
export {
  type DerivedCallers,
  derivedCallers,
  derivedPlugins,
  withCallers,
  withDerivedPlugins,
} from './derived-plugins.js';
export * from './gen/sluice/config/v1/access_pb.js';
export * from './gen/sluice/config/v1/config_pb.js';
export * from './gen/sluice/config/v1/serving_pb.js';
export { formatQuantity } from './quantity.js';
export type { SettingRange } from './ranges.js';
export type {
  LogLevel,
  ResolvedAddress,
  ResolvedAdminAddress,
  ResolvedConfiguration,
  ResolvedGateway,
  ResolvedHttpTransport,
  ResolvedListen,
  ResolvedPlugin,
  ResolvedSelectedItem,
  ResolvedSelectedResource,
  ResolvedSelection,
  ResolvedServer,
  ResolvedSseTransport,
  ResolvedStdioTransport,
  ResolvedTransport,
  ResolvedTrial,
  ResolvedUpstream,
  ResolvedWebSocketTransport,
} from './resolved.js';
export {
  LOG_FORMATS,
  LOG_LEVELS,
  resolveConfiguration,
  resolveGateway,
  resolvePlugin,
  resolveUpstream,
} from './resolved.js';
export { pathOfVirtualServer, resolveEndpoint, resolveVirtualServer } from './resolved-servers.js';
export type { ResourceList, Setting, SettingType } from './settings.js';
export {
  enumWords,
  GATEWAY_SETTINGS,
  isFreeForm,
  PLUGIN_SETTINGS,
  RESOURCE_LISTS,
  settingType,
  UPSTREAM_SETTINGS,
} from './settings.js';
