/* And each of those nodes has two workers. */

process.env.SLUICE_TEST_NATS = '1';
process.env.SLUICE_TEST_WORKERS = '2';
await import('./two-nodes.test.js');
