// @ts-check
// What the conformance suite takes for its client: it tells a test where the suite's server is and what a client has to
// know, and lasts until the test has done what a client does.
//
//   node cli/test/conformance/hand-over.mjs URL-OF-THE-TEST URL-OF-THE-SUITE
const [test, url] = process.argv.slice(2);
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT ?? '{}');
const answer = await fetch(String(test), { method: 'POST', body: JSON.stringify({ url, context }) });
process.exitCode = answer.ok ? 0 : 1;
