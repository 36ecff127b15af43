import { sessionStoreCases } from './session-store.cases.js';
import { MemorySessionStore } from './store.js';

sessionStoreCases('a store in memory', async () => {
  const store = new MemorySessionStore();
  return { store: async () => store, written: async () => {}, clear: async () => {}, close: async () => {} };
});
