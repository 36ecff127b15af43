/** The page docs/reference/admin-authorization.md, from what was seen. */
import type { DescMethod } from '@bufbuild/protobuf';

/** What became of a call: a reason, `yes`, or that the answer left it out. */
export type Outcome = string;

export interface Tried {
  readonly method: DescMethod;
  readonly about: string;
  /** In the order of the callers. */
  readonly outcomes: readonly Outcome[];
}

const HEAD = `# Who may do what in the admin API

Made by \`control-plane/src/admin/authorization.test.ts\`, which calls every method over gRPC and REST as every kind of
caller. [How callers prove themselves](../operating/admin-api.md#who-calls) is told elsewhere.

- **yes**: it is carried out, and the answer holds what was asked for.
- **left out**: it is carried out, and what the caller may not see is not in the answer.
- Anything else is the \`reason\` of the refusal. A foreign tenant is refused alike whether it exists or not.

A caller with tenants is one of the tenant *acme* here: that is its own tenant; *globex* is a foreign one. What belongs
to no tenant is the operator's.
`;

export function authorizationPage(callers: readonly string[], tried: readonly Tried[]): string {
  const services = [...new Set(tried.map(({ method }) => method.parent))];
  const tables = services.map((service) => {
    const rows = tried
      .filter(({ method }) => method.parent === service)
      .map(({ method, about, outcomes }) => line([`\`${method.name}\``, about, ...outcomes.map(shown)]));
    const titles = ['method', 'about', ...callers];
    return [`## ${service.name}`, '', line(titles), line(titles.map(() => '---')), ...rows, ''].join('\n');
  });
  return `${HEAD}\n${tables.join('\n')}`;
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function shown(outcome: Outcome): string {
  return /^[A-Z_]+$/.test(outcome) ? outcome.toLowerCase().replaceAll('_', ' ') : `**${outcome}**`;
}
