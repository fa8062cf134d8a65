// The exchange before TLS (WIRE.md section 2): the acceptor sends a challenge, the dialer 12 bytes of proof, and TLS may
// follow in the same packet. Refuses wrong magic numbers, difficulties beyond a limit, wrong proofs, and silence.
import type { Socket } from 'node:net';
import { withDeadline } from '../core/deadline.ts';
import { NetworkError } from '../core/errors.ts';
import {
  CHALLENGE_BYTES, decodeChallenge, decodeProof, encodeChallenge, encodeProof, makeChallenge, PROOF_BYTES, solveProof, verifyProof,
} from './pow.ts';
import { readExact } from './read-exact.ts';

export interface ProveOptions {
  /** Until the challenge has come. */
  readonly challengeMs: number;
  /** Until it is solved. */
  readonly solveMs: number;
  readonly maxDifficultyBits: number;
  readonly signal?: AbortSignal | undefined;
}

/** The dialer's part. Throws NetworkError E_TIMEOUT, E_CLOSED, E_PROTOCOL, or the signal's reason; the socket is the caller's to destroy. */
export async function proveWork(socket: Socket, options: ProveOptions): Promise<void> {
  const { challengeMs, solveMs, maxDifficultyBits, signal } = options;
  const challenge = await withDeadline(
    async (inner) => decodeChallenge(await readExact(socket, CHALLENGE_BYTES, 'proof-of-work challenge', inner)),
    { timeoutMs: challengeMs, signal, late: () => new NetworkError('E_TIMEOUT', `no challenge came within ${challengeMs} ms`) },
  );
  const nonce = await withDeadline((inner) => whilePresent(socket, inner, (signal) => solveProof(challenge, { maxDifficultyBits, signal })), {
    timeoutMs: solveMs,
    signal,
    late: () => new NetworkError('E_TIMEOUT', `this machine did not solve a challenge of ${challenge.difficultyBits} bits within ${solveMs} ms`),
  });
  socket.write(encodeProof(nonce));
}

/** Stops the work when the acceptor leaves: solving may take minutes. */
async function whilePresent<T>(socket: Socket, signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const left = new AbortController();
  const onClose = (): void => left.abort(new NetworkError('E_CLOSED', 'peer closed the connection before its challenge was solved'));
  const onReadable = (): void => {
    if (socket.readableLength === 0) onClose(); // nothing to read is how the end announces itself
  };
  socket.on('close', onClose);
  socket.on('readable', onReadable);
  try {
    return await work(AbortSignal.any([signal, left.signal]));
  } finally {
    socket.off('close', onClose);
    socket.off('readable', onReadable);
  }
}

export interface DemandOptions {
  readonly difficultyBits: number;
  readonly timeoutMs: number;
  readonly random?: ((length: number) => Uint8Array) | undefined;
}

/** The acceptor's part; what follows the proof stays in the socket. Throws as `proveWork`, E_PROTOCOL for a wrong proof. */
export async function demandProof(socket: Socket, { difficultyBits, timeoutMs, random }: DemandOptions): Promise<void> {
  const challenge = makeChallenge(difficultyBits, random);
  socket.write(encodeChallenge(challenge));
  const nonce = await withDeadline(async (signal) => decodeProof(await readExact(socket, PROOF_BYTES, 'proof of work', signal)), {
    timeoutMs,
    late: () => new NetworkError('E_TIMEOUT', `no proof came within ${timeoutMs} ms`),
  });
  if (!verifyProof(challenge, nonce)) {
    throw new NetworkError('E_PROTOCOL', `nonce ${nonce} does not prove ${difficultyBits} bits of work`);
  }
}
