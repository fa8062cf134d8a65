// Errors of the JSON-RPC, as public gateways answer them: an HTTP status that is also the envelope's code, and a text.
import { CocoonError } from '../../core/errors.ts';

export class RpcError extends CocoonError<'E_CHAIN_REFUSED'> {
  readonly status: number;

  constructor(status: number, message: string) {
    super('E_CHAIN_REFUSED', message);
    this.status = status;
  }
}

/** Parameters that are not as the method needs them. */
export const invalid = (message: string): RpcError => new RpcError(422, message);
export const missing = (message: string): RpcError => new RpcError(404, message);
