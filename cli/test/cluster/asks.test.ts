/* The stories of asks, told to two nodes of two workers behind a balancer that sends each request wherever it likes. */

process.env.SLUICE_TEST_NODES = '2';
process.env.SLUICE_TEST_WORKERS = '2';
await import('../stories/asks.test.js');
