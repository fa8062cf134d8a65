// The image hash that evidence states, before anybody has verified it: for showing it and for asking a network about it.
import { parseQuote } from './dcap/parse-quote.ts';
import type { CpuPart } from './evidence-file.ts';
import { sevImageHash, simulatedImageHash, tdxImageHash } from './image-hash.ts';
import { parseSimulatedEvidence } from './simulated.ts';
import { parseSnpReport } from './snp/parse-report.ts';

/** 32 bytes; null for an SGX enclave and where there is no evidence. Throws AttestationError for evidence that cannot be read. */
export function statedImageHash(part: CpuPart): Uint8Array | null {
  switch (part.kind) {
    case 'dcap': {
      const { body } = parseQuote(part.quote);
      return body.tee === 'tdx' ? tdxImageHash(body.report) : null;
    }
    case 'sev-snp': return sevImageHash(parseSnpReport(part.report).measurement);
    case 'simulated': return simulatedImageHash(parseSimulatedEvidence(part.evidence).measurement);
    case 'none': return null;
  }
}
