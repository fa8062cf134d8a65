// Errors of the network's own prompt encryption, with the codes and texts that its nodes send (WIRE-2026-04.md section 2.8).
import { RemoteError } from '../../core/errors.ts';

export const notAllFields = (): RemoteError => new RemoteError(602, 'not all encryption-related fields are present');
export const publicKeyMismatch = (): RemoteError => new RemoteError(602, 'public key mismatch');
export const senderMismatch = (): RemoteError => new RemoteError(602, 'sender public key mismatch');
export const noPrivateKey = (): RemoteError => new RemoteError(602, 'cannot find private key for an encrypted request');
export const notEncrypted = (): RemoteError => new RemoteError(602, 'encryption key is provided, but request is unencrypted');
export const badKeyLength = (): RemoteError => new RemoteError(621, 'public_key bad length');
export const badMethod = (): RemoteError => new RemoteError(621, 'bad encryption method');
export const failedToDecrypt = (why: string): RemoteError => new RemoteError(0, `Failed to decrypt: ${why}`);
