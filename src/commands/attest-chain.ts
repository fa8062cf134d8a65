// `cocoon attest chain EVIDENCE|HASH`: does the root contract of the network allow this image, and what to send to its owner
// if it does not. Exit 5 when it is not allowed. Says nothing about whether evidence is genuine: `attest verify` does.
import { AttestationError, UsageError } from '../core/errors.ts';
import { toHex } from '../core/bytes.ts';
import { FORBIDDEN_IMAGE_HASHES } from '../tee/image-hash.ts';
import { statedImageHash } from '../tee/stated-image.ts';
import { chainImages, readEvidence } from './attest-input.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<evidence>', 'image hash (64 hexadecimal digits), or a file with evidence, "-", or HOST:PORT of a peer');
}

export async function run(invocation: Invocation): Promise<void> {
  const { args: [text = ''], out, settings } = invocation;
  const hash = /^[0-9a-fA-F]{64}$/.test(text) ? text.toLowerCase() : await hashOfEvidence(invocation, text);
  const nothing = FORBIDDEN_IMAGE_HASHES.get(hash);
  if (nothing !== undefined) throw new AttestationError('E_EVIDENCE_REFUSED', `the image hash ${hash} can never be allowed: it stands for ${nothing}`);
  const images = await chainImages(invocation);
  const roles = (['proxy', 'worker'] as const).filter((role) => images[role].includes(hash));
  const network = settings.text('network') ?? 'local';
  const commands = (['worker', 'proxy'] as const).map((role) => `cocoon network allow ${role} ${hash} --network ${network}`);
  out.result({ imageHash: hash, network, allowedFor: roles, ownerCommands: roles.length === 0 ? commands : [] });
  await out.line(`image hash  ${hash}`);
  await out.line(`allowed     ${roles.length === 0 ? `no (${images.network} allows ${images.proxy.length} proxy and ${images.worker.length} worker images)` : `for a ${roles.join(' and a ')}, by ${images.network}`}`);
  if (roles.length > 0) return;
  await out.line('\nSend the owner of the network the image hash and how to reproduce the image. To allow it, the owner runs one of:');
  for (const command of commands) await out.line(`  ${command}`);
  throw new AttestationError('E_EVIDENCE_REFUSED', `${images.network} does not allow the image ${hash}`, { hint: 'ask the owner of the network to allow it' });
}

async function hashOfEvidence(invocation: Invocation, text: string): Promise<string> {
  const { file, source } = await readEvidence(invocation, text, true);
  const hash = file.cpu === null ? null : statedImageHash(file.cpu);
  if (hash === null) throw new UsageError('E_USAGE', `${source} states no image that a network could allow`, { hint: 'pass evidence of a TDX or SEV-SNP guest, or its image hash' });
  return toHex(hash);
}
