/** All services of the admin API over what carries them out. */
import { create } from '@bufbuild/protobuf';
import {
  CatalogueService,
  ConfigurationService,
  FleetService,
  ListPluginsResponseSchema,
  type PluginDescription,
  RolloutService,
} from '@sluice/proto/admin';
import { type BoundMethod, bound } from '../bound-method.js';
import { waitRevision } from './convergence.js';
import { drainNode, endConnection, listConnections, listNodeEvents, listNodes } from './fleet.js';
import { diff, getRevision, history } from './history.js';
import { exportAll, getResource, listResources } from './reads.js';
import { abortRollout, getRollout, listRollouts, promoteRollout } from './rollouts.js';
import type { Writing } from './write.js';
import { apply, deleteResource, importAll, putResource, rollback, validate } from './writes.js';

export const ADMIN_SERVICES = [ConfigurationService, FleetService, RolloutService, CatalogueService] as const;

export interface ServiceParts extends Writing {
  /** The plugins that come with the gateway, by name. */
  readonly catalogue: readonly PluginDescription[];
}

export function boundServices(parts: ServiceParts): BoundMethod[] {
  const { head, fleet, rollouts, catalogue } = parts;
  return [
    ...bound(ConfigurationService, {
      getResource: (request, call) => getResource(head, request, call),
      listResources: (request, call) => listResources(head, request, call),
      putResource: (request, call) => putResource(parts, request, call),
      deleteResource: (request, call) => deleteResource(parts, request, call),
      apply: (request, call) => apply(parts, request, call),
      validate: (request, call) => validate(parts, request, call),
      diff: (request, call) => diff(head, request, call),
      history: (request, call) => history(head, request, call),
      getRevision: (request, call) => getRevision(head, request, call),
      rollback: (request, call) => rollback(parts, request, call),
      waitRevision: (request, call) => waitRevision(parts, request, call),
      export: (request) => exportAll(head, request),
      import: (request, call) => importAll(parts, request, call),
    }),
    ...bound(FleetService, {
      listNodes: async (request, call) => listNodes(head, fleet, request, call),
      drainNode: (request) => drainNode(fleet, request),
      listConnections: (request, call) => listConnections(fleet, request, call),
      endConnection: (request, call) => endConnection(fleet, request, call),
      listNodeEvents: async (request, call) => listNodeEvents(fleet, request, call),
    }),
    ...bound(RolloutService, {
      getRollout: async (request, call) => getRollout(rollouts, request, call),
      listRollouts: async (request, call) => listRollouts(rollouts, request, call),
      promoteRollout: (request, call) => promoteRollout(rollouts, request, call),
      abortRollout: (request, call) => abortRollout(rollouts, request, call),
    }),
    ...bound(CatalogueService, {
      listPlugins: async () => create(ListPluginsResponseSchema, { plugins: [...catalogue] }),
    }),
  ];
}
