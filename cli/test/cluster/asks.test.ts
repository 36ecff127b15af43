/* The stories of asks, told to two nodes behind a balancer that sends each request wherever it likes. */

process.env.SLUICE_TEST_NODES = '2';
await import('../stories/asks.test.js');
