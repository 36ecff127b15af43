/* "My server over stdio must run once, and I have several nodes of two workers." */

process.env.SLUICE_TEST_WORKERS = '2';
await import('./shared-process.test.js');
