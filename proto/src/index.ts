export { GATEWAY_DEFAULTS, UPSTREAM_DEFAULTS } from './defaults.js';
export * from './gen/sluice/config/v1/config_pb.js';
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
  ResolvedSseTransport,
  ResolvedStdioTransport,
  ResolvedTransport,
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
export type { Setting, SettingType } from './settings.js';
export {
  enumWords,
  GATEWAY_SETTINGS,
  isFreeForm,
  PLUGIN_SETTINGS,
  settingType,
  UPSTREAM_SETTINGS,
} from './settings.js';
