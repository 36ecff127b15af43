/* The stories of a process that nodes share, which speak with each other over NATS. */

process.env.SLUICE_TEST_NATS = '1';
await import('./shared-process.test.js');
