import { watchConfigurationFile } from '@sluice/control-plane/watch';
import type { DataPlane } from '@sluice/data-plane';
import type { ResolvedListen } from '@sluice/proto';
import type { Logger } from 'pino';

/**
 * Has the certificate read again whenever one of its two files changes. They change one after the other, so the
 * first change may be refused because they do not fit together yet; the second is then taken.
 *
 * @returns ends the watching
 */
export function followCertificate(tls: NonNullable<ResolvedListen['tls']>, gateway: DataPlane, log: Logger) {
  const reload = async () => {
    try {
      await gateway.reloadTls();
      log.info(tls, 'certificate read again');
    } catch (error) {
      log.warn({ ...tls, reason: (error as Error).message }, 'certificate refused; the last good one stays');
    }
  };
  const watches = [tls.certFile, tls.keyFile].map((file) =>
    watchConfigurationFile(file, () => void reload()),
  );
  return () => {
    for (const watch of watches) watch.close();
  };
}
