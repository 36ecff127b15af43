/* "And each of my nodes has two workers." */

process.env.SLUICE_TEST_WORKERS = '2';
await import('./two-nodes.test.js');
