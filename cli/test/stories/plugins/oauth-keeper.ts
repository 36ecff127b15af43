import type { OAuthClientProvider } from '@modelcontextprotocol/client';
import { CALLBACK } from '../../../../plugins/test/authorization-server.mjs';

/** What a client keeps of its user, and where it sent them. */
export class OAuthKeeper implements OAuthClientProvider {
  readonly redirectUrl = CALLBACK;
  readonly clientMetadata = {
    client_name: 'story',
    redirect_uris: [this.redirectUrl],
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code'],
    response_types: ['code'],
  };
  sentTo: URL | undefined;
  private held: any;
  private verifier = '';
  private found: any;

  /** @param client the one that was registered by hand; without it, it registers itself */
  constructor(private client?: any) {}

  clientInformation = () => this.client;
  saveClientInformation = (client: any) => void (this.client = client);
  tokens = () => this.held;
  saveTokens = (tokens: any) => void (this.held = tokens);
  saveCodeVerifier = (verifier: string) => void (this.verifier = verifier);
  codeVerifier = () => this.verifier;
  saveDiscoveryState = (state: any) => void (this.found = state);
  discoveryState = () => this.found;

  redirectToAuthorization(url: URL): void | Promise<void> {
    this.sentTo = url;
  }
}
