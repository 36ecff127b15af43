// @ts-check
/** Hides e-mail addresses in what servers answer: an example of the hook `outcome`, which sees what came back. */
import { definePlugin, Type } from '@sluice/sdk';

const ADDRESS = /[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+/g;

export default definePlugin({
  name: 'redact-emails',
  version: '1.0.0',
  description: 'Hides e-mail addresses in texts of results.',
  phase: 'shape',
  config: Type.Object(
    {
      replacement: Type.String({
        default: '[address]',
        maxLength: 100,
        description: 'What stands in their place.',
      }),
      keep_domains: Type.Array(Type.String(), { default: [], description: 'Domains whose addresses stay.' }),
    },
    { additionalProperties: false },
  ),
  reads: [],
  changes: ['result'],
  hooks: ({ replacement, keep_domains }, host) => {
    const kept = new Set(keep_domains.map((domain) => domain.toLowerCase()));
    const isKept = (address) => kept.has(address.slice(address.lastIndexOf('@') + 1).toLowerCase());
    return {
      outcome: (_, outcome) => {
        const { result, resultJson } = outcome;
        // An error, or nothing that could be an address: what came goes on as it came.
        if (result === undefined || !resultJson?.includes('@')) return outcome;
        let count = 0;
        const redacted = withTexts(result, (text) =>
          text.replace(ADDRESS, (address) => {
            if (isKept(address)) return address;
            count++;
            return replacement;
          }),
        );
        if (count === 0) return outcome;
        host.metrics.count('redacted_total', 'Addresses that were hidden', {}, count);
        return outcome.withResult(redacted);
      },
    };
  },
});

/** The same value with each of its texts changed. Results are never changed in place. */
function withTexts(value, change) {
  if (typeof value === 'string') return change(value);
  if (Array.isArray(value)) return value.map((each) => withTexts(each, change));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withTexts(each, change)]));
}
