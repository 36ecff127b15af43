import type { Caller } from '../caller.js';
import { callerOf, type Grant } from './access.js';

/** What counts of a certificate of a client. */
export interface ClientCertificate {
  readonly subject: { readonly CN?: string | string[] };
  /** As Node.js writes it: `DNS:ops.example.com, URI:spiffe://example.com/ops`. */
  readonly subjectaltname?: string | undefined;
}

/** Whose certificate it is: exactly one of the two is given. */
export interface CertificateRule extends Grant {
  /** The common name of the subject. */
  readonly commonName?: string;
  /** An alternative name with its kind: `URI:spiffe://example.com/ops`, `DNS:ops.example.com`, `email:ops@example.com`. */
  readonly alternativeName?: string;
}

/** The first rule that fits decides. */
export function certificateCallers(
  rules: readonly CertificateRule[],
): (certificate: ClientCertificate) => Caller | undefined {
  const known = rules.map((rule) => {
    const { commonName, alternativeName } = rule;
    const name = commonName ?? alternativeName ?? '';
    if (name === '' || (commonName !== undefined && alternativeName !== undefined))
      throw new TypeError('a rule for certificates needs either a common name or an alternative name');
    return { commonName, alternativeName, caller: callerOf(`certificate/${name}`, rule) };
  });
  return ({ subject, subjectaltname = '' }) => {
    const alternatives = alternativeNames(subjectaltname);
    return known.find(({ commonName, alternativeName }) =>
      commonName === undefined ? alternatives.includes(alternativeName as string) : subject.CN === commonName,
    )?.caller;
  };
}

/** Node.js puts quotes around a name that holds what could be taken for another one; those fit no rule. */
function alternativeNames(text: string): string[] {
  return (text.match(/(?:[^,"]|"(?:[^"\\]|\\.)*")+/g) ?? []).map((name) => name.trim());
}
