import { MemoryBusHub } from './memory-bus.js';
import { nodeBusCases } from './node-bus.cases.js';

nodeBusCases('a bus in memory', async () => {
  const hub = new MemoryBusHub();
  return { bus: async () => hub.bus(), clear: async () => {}, close: async () => {} };
});
