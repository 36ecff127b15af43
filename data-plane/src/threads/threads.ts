import type { DataPlane, DataPlaneOptions } from '../data-plane.js';

export function startThreads(_options: DataPlaneOptions): Promise<DataPlane> {
  throw new Error('not yet');
}
