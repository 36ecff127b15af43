/* The stories of two nodes, which speak with each other over NATS. */

process.env.SLUICE_TEST_NATS = '1';
await import('./two-nodes.test.js');
