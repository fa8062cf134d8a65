// TLS 1.3 between two peers that both show one self-signed certificate (WIRE.md section 3). Node decides nothing about
// certificates here: VerifyPeer does, before any application byte is sent or accepted; what comes meanwhile stays in the
// socket's bounded buffer. Refuses a peer without a certificate, one with more than one, a resumed session, another version
// or cipher suite, and silence; the deadline covers the verdict.
//
// Session tickets: Node cannot tell OpenSSL to send none in TLS 1.3. SSL_OP_NO_TICKET makes the two that it sends mere
// numbers of sessions that are never stored, so nothing can be resumed with them and early data is never accepted.
import { constants } from 'node:crypto';
import type { Socket } from 'node:net';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import type { SecureContext } from 'node:tls';
import { withDeadline } from '../core/deadline.ts';
import { AttestationError, CocoonError, ConfigError, NetworkError } from '../core/errors.ts';
import { EXPORTER_BYTES, EXPORTER_LABEL } from '../tee/fresh-attestation.ts';
import type { Attester } from '../tee/fresh-attestation.ts';
import type { VerifiedPeer, VerifyPeer } from '../tee/peer.ts';
import type { ChannelBinding } from './connection.ts';

const CIPHER_SUITES = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384';
const SECURE_OPTIONS = constants.SSL_OP_NO_TICKET | constants.SSL_OP_CIPHER_SERVER_PREFERENCE | constants.SSL_OP_NO_RENEGOTIATION;

/** This side's certificate and key; what `makeCertificate` returns has this shape. */
export interface TlsIdentity {
  readonly certificatePem: string;
  /** PKCS#8. Secret. */
  readonly privateKeyPem: string;
  /** Answers challenges for this key; absent where this side has no evidence. */
  readonly attest?: Attester | undefined;
}

export interface SecureOptions {
  readonly identity: TlsIdentity;
  readonly verifyPeer: VerifyPeer;
  readonly timeoutMs: number;
  /** "ip:port" of the other end, for messages. */
  readonly remoteAddress: string;
  readonly signal?: AbortSignal | undefined;
}

export interface SecureChannel {
  readonly socket: TLSSocket;
  readonly peer: VerifiedPeer;
  readonly channel: ChannelBinding;
}

/**
 * TLS as the dialling side over a connected socket. Throws what `verifyPeer` throws, AttestationError E_NO_CERTIFICATE or
 * E_EVIDENCE_REFUSED, or NetworkError E_TIMEOUT, E_CLOSED, E_PROTOCOL; the socket is destroyed then.
 * The peer may still refuse this side's certificate after this resolves: TLS 1.3 tells the dialler on the first read.
 */
export async function secureAsDialer(socket: Socket, options: SecureOptions): Promise<SecureChannel> {
  const secureContext = contextOf(options.identity);
  // Without host, servername and ALPNProtocols neither SNI nor ALPN is sent; without session none is offered.
  return handshake(() => connect({ socket, secureContext, rejectUnauthorized: false }), 'secureConnect', socket, options);
}

/** TLS as the accepting side; bytes pushed back into `socket` with `unshift` are read first. Errors as for `secureAsDialer`. */
export async function secureAsAcceptor(socket: Socket, options: SecureOptions): Promise<SecureChannel> {
  const secureContext = contextOf(options.identity);
  // rejectUnauthorized makes OpenSSL demand a certificate; a bare TLSSocket verifies nothing else about it.
  const accept = (): TLSSocket => new TLSSocket(socket, { isServer: true, secureContext, requestCert: true, rejectUnauthorized: true });
  return handshake(accept, 'secure', socket, options);
}

async function handshake(start: () => TLSSocket, done: string, socket: Socket, options: SecureOptions): Promise<SecureChannel> {
  const { remoteAddress, timeoutMs, signal, identity } = options;
  let judging = false;
  const late = (): NetworkError => (judging
    ? new NetworkError('E_TIMEOUT', `evidence of ${remoteAddress} was not judged within ${timeoutMs} ms`, { hint: 'try again: what had to be fetched for it may be there by then' })
    : new NetworkError('E_TIMEOUT', `TLS handshake with ${remoteAddress} did not finish within ${timeoutMs} ms`));
  let secure: TLSSocket | null = null;
  // Ends the judging when nobody waits for it any more.
  const left = new AbortController();
  try {
    return await withDeadline(async () => {
      if (socket.destroyed || socket.readableEnded) throw closed(remoteAddress);
      const started = start();
      secure = started;
      return await new Promise<SecureChannel>((resolve, reject) => {
        // Both listeners stay: a socket without one throws a late error into the process.
        socket.on('error', (error) => reject(tlsError(error, remoteAddress)));
        started.on('error', (error) => reject(tlsError(error, remoteAddress)));
        started.once('close', () => reject(closed(remoteAddress)));
        started.once(done, () => {
          judging = true;
          verify(started, options, left.signal).then((peer) => {
            resolve({ socket: started, peer, channel: { exporter: exporterOf(started), attest: identity.attest ?? null } });
          }).catch(reject);
        });
      });
    }, { timeoutMs, signal, late });
  } catch (error) {
    left.abort(closed(remoteAddress, error));
    (secure as TLSSocket | null)?.destroy();
    socket.destroy();
    throw error;
  }
}

/** What needs no verdict is looked at in the very event that ends the handshake. */
async function verify(socket: TLSSocket, { verifyPeer, remoteAddress }: SecureOptions, signal: AbortSignal): Promise<VerifiedPeer> {
  const certificate = socket.getPeerX509Certificate();
  if (certificate === undefined) throw noCertificate(remoteAddress);
  if (certificate.issuerCertificate !== undefined) {
    throw new AttestationError('E_EVIDENCE_REFUSED', `${remoteAddress} sent more than one certificate, expected one self-signed certificate`);
  }
  if (socket.isSessionReused()) {
    throw new NetworkError('E_PROTOCOL', `${remoteAddress} resumed a TLS session, expected a full handshake`);
  }
  if (socket.getProtocol() !== 'TLSv1.3') {
    throw new NetworkError('E_PROTOCOL', `${remoteAddress} negotiated ${socket.getProtocol() ?? 'no TLS'}, expected TLSv1.3`);
  }
  return await verifyPeer(new Uint8Array(certificate.raw), signal);
}

/** RFC 8446 section 7.5, with an empty context. */
const exporterOf = (socket: TLSSocket): Uint8Array => new Uint8Array(socket.exportKeyingMaterial(EXPORTER_BYTES, EXPORTER_LABEL, Buffer.alloc(0)));

const noCertificate = (remoteAddress: string, cause?: unknown): AttestationError =>
  new AttestationError('E_NO_CERTIFICATE', `${remoteAddress} presented no TLS certificate`, { cause });

const closed = (remoteAddress: string, cause?: unknown): NetworkError =>
  new NetworkError('E_CLOSED', `${remoteAddress} closed the connection in the TLS handshake`, { cause });

function tlsError(error: Error & { code?: string; reason?: string }, remoteAddress: string): CocoonError {
  if (error instanceof CocoonError) return error;
  if (error.code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') return noCertificate(remoteAddress, error);
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE') {
    return closed(remoteAddress, error);
  }
  return new NetworkError('E_PROTOCOL', `TLS handshake with ${remoteAddress} failed: ${error.reason ?? error.code ?? error.message}`, { cause: error });
}

const contexts = new WeakMap<TlsIdentity, SecureContext>();

function contextOf(identity: TlsIdentity): SecureContext {
  const known = contexts.get(identity);
  if (known !== undefined) return known;
  try {
    const context = createSecureContext({
      cert: identity.certificatePem,
      key: identity.privateKeyPem,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
      ciphers: CIPHER_SUITES,
      secureOptions: SECURE_OPTIONS,
    });
    contexts.set(identity, context);
    return context;
  } catch (cause) {
    throw new ConfigError('E_CONFIG', 'cannot use the TLS certificate and key of this side', { cause });
  }
}
