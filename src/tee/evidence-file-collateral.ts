// What a file with evidence lacks: which documents of Intel, AMD and NVIDIA its parts need, and getting them from a source of
// collateral. Evidence that cannot be read needs nothing, since it is refused anyway. Everything fetched is untrusted.
import { AttestationError } from '../core/errors.ts';
import { assembleSnpCollateral, productOfVek, snpAuthorityDocuments, snpQuestionOf, vcekDocument } from './collateral/amd.ts';
import type { SnpQuestion } from './collateral/amd.ts';
import type { DocumentSpec } from './collateral/document.ts';
import { assembleGpuCollateral, rimIdsOf } from './collateral/gpu.ts';
import { assembleDcapCollateral, dcapDocuments, dcapQuestionOf } from './collateral/intel.ts';
import type { DcapQuestion, IntelService } from './collateral/intel.ts';
import { rimDocument } from './collateral/rim.ts';
import type { CollateralSource } from './collateral/source.ts';
import { listField } from './dcap/json-reader.ts';
import { parseQuote } from './dcap/parse-quote.ts';
import type { EvidenceFile, GpuPart } from './evidence-file.ts';
import type { FetchedCollateral } from './evidence-file-judge.ts';
import { MAX_DEVICES, parseDevice } from './nvidia/bundle.ts';
import type { NvidiaDevice } from './nvidia/bundle.ts';
import { parseSnpReport } from './snp/parse-report.ts';

interface Questions {
  readonly dcap: DcapQuestion | null;
  readonly snp: { readonly question: SnpQuestion; readonly vek: string | undefined } | null;
  readonly devices: readonly NvidiaDevice[];
}

/** Reads the questions out of evidence, which is not verified here. `all`: also for parts that bring collateral along. */
function questionsOf({ cpu, gpu }: EvidenceFile, all: boolean): Questions {
  return {
    dcap: cpu?.kind === 'dcap' && (all || cpu.collateral === undefined) ? readable(() => dcapQuestionOf(parseQuote(cpu.quote))) : null,
    snp: cpu?.kind === 'sev-snp' && (all || cpu.collateral === null) ? readable(() => {
      const vek = cpu.collateral?.vek ?? cpu.vek ?? undefined;
      return { question: snpQuestionOf(parseSnpReport(cpu.report), vek === undefined ? undefined : productOfVek(vek)), vek };
    }) : null,
    devices: gpu !== null && (all || !('collateral' in gpu.bundle)) ? readable(() => devicesOf(gpu)) ?? [] : [],
  };
}

/** Null where the evidence cannot be read: the verifier says why. */
function readable<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    return null;
  }
}

/** Devices that say which manifests they need. */
function devicesOf({ bundle }: GpuPart): NvidiaDevice[] {
  const devices = listField(bundle, 'devices', 'the NVIDIA bundle', MAX_DEVICES).map((device) => parseDevice(device));
  devices.forEach(rimIdsOf);
  return devices;
}

/** Gets what the file lacks; nothing when it lacks nothing. Errors as of `CollateralSource.get`, and ConfigError E_CONFIG for evidence that does not say what it needs. */
export async function fetchMissing(file: EvidenceFile, source: CollateralSource, intel: IntelService = {}, signal?: AbortSignal): Promise<FetchedCollateral> {
  const { dcap, snp, devices } = questionsOf(file, false);
  return {
    ...(dcap !== null && { dcap: await assembleDcapCollateral(source, dcap, intel, signal) }),
    ...(snp !== null && { snp: await assembleSnpCollateral(source, snp.question, snp.vek, signal) }),
    ...(devices.length > 0 && { nvidia: await assembleGpuCollateral(source, devices, signal) }),
  };
}

/** Documents that the evidence needs and that can be named beforehand, for `attest fetch`. OCSP answers follow from the manifests. */
export function documentsOf(file: EvidenceFile, intel: IntelService = {}): DocumentSpec[] {
  const { dcap, snp, devices } = questionsOf(file, true);
  const documents = [
    ...(dcap === null ? [] : dcapDocuments(dcap, intel)),
    ...(snp === null ? [] : [...snpAuthorityDocuments(snp.question), ...(snp.vek === undefined ? [vcekDocument(snp.question)] : [])]),
    ...devices.flatMap(rimIdsOf).map(rimDocument),
  ];
  return [...new Map(documents.map((document) => [document.id, document])).values()];
}
