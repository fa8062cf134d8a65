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
  const nonce = await withDeadline((inner) => solveProof(challenge, { maxDifficultyBits, signal: inner }), {
    timeoutMs: solveMs,
    signal,
    late: () => new NetworkError('E_TIMEOUT', `this machine did not solve a challenge of ${challenge.difficultyBits} bits within ${solveMs} ms`),
  });
  socket.write(encodeProof(nonce));
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
