export { type DataPlane, type DataPlaneOptions, startDataPlane } from './data-plane.js';
export type { UpstreamStatus } from './telemetry/ops-door.js';
