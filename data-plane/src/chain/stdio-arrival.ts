/** A request on stdin as plugins see it before it is known who calls. */
import type { Arrival } from '@sluice/sdk/engine';
import type { RequestHeaders } from '../exchange/exchange.js';

/** @param headers what whoever started the process gave along; stdin itself has no header fields */
export function stdioArrival(endpoint: string, headers: RequestHeaders): Arrival {
  return {
    transport: 'stdio',
    endpoint,
    httpMethod: 'POST',
    headers,
    repeatedHeaders: [],
    address: '',
    origin: '',
  };
}
