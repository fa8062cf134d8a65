// Appraises genuine GPUs and switches (attestation checks list, NVIDIA GPU 4 to 6): manifests that belong to the device,
// measurements, modes, versions; then all devices together: their number, that they are different ones, how they are linked,
// and what the guest says about its driver. Refuses what the policy does not allow; what nobody says stays unmade.
import type { CheckList } from '../verdict.ts';
import { earliest } from '../verdict.ts';
import type { NvidiaManifest, SystemMode } from './bundle.ts';
import { driverManifestId, vbiosManifestId } from './manifest-ids.ts';
import { compare, overlapOf } from './measurements.ts';
import type { GpuClaims, SwitchClaims } from './opaque.ts';
import type { Rim } from './parse-rim.ts';
import type { SpdmEvidence } from './parse-spdm.ts';
import type { NvidiaPolicy } from './policy.ts';
import { isChipOf } from './roots.ts';
import type { DeviceKind } from './roots.ts';
import { verifyRim } from './verify.ts';
import type { GenuineDevice, VerifyContext } from './verify.ts';

/** A genuine device and what it says. */
export type AppraisedDevice = GenuineDevice & (
  | { readonly kind: 'gpu'; readonly claims: GpuClaims }
  | { readonly kind: 'switch'; readonly claims: SwitchClaims }
);

const MANIFEST_CHECKS = (prefix: string): string[] => [prefix, `${prefix}-signature`, `${prefix}-ocsp`];
/** Names of the checks that a full appraisal of one device records. */
export const APPRAISE_CHECKS: Readonly<Record<DeviceKind, readonly string[]>> = {
  gpu: [...MANIFEST_CHECKS('driver-rim'), ...MANIFEST_CHECKS('vbios-rim'), 'rim-overlap', 'measurements', 'gpu-mode', 'driver-version', 'vbios-version', 'device'],
  switch: [...MANIFEST_CHECKS('vbios-rim'), 'measurements', 'vbios-version', 'device'],
};

/** Records the checks of one device. Returns the end of the collateral that they rest on, in milliseconds since the Unix epoch. */
export function appraiseDevice(context: VerifyContext, device: AppraisedDevice, spdm: SpdmEvidence, manifests: readonly NvidiaManifest[], root: string): number {
  const { checks, policy } = context;
  const driver = device.kind === 'gpu' ? judgeManifest(context, driverManifest(device), manifests, root) : null;
  const vbios = judgeManifest(context, vbiosManifest(device), manifests, root);
  const found = [driver, vbios].filter((manifest) => manifest !== null);
  if (device.kind === 'gpu' && driver !== null && vbios !== null) judgeOverlap(checks, driver.rim, vbios.rim);
  // One manifest alone would leave most of the device uncompared.
  if (found.length === (device.kind === 'gpu' ? 2 : 1)) judgeMeasurements(checks, found.map(({ rim }) => rim), spdm, device.kind === 'gpu' && device.claims.nvdecDisabled);
  if (device.kind === 'gpu') {
    const { mode, driverVersion } = device.claims;
    checks.check(policy.modes.includes(mode), {
      name: 'gpu-mode', seen: mode, wanted: policy.modes.join(' or ') || 'none', meaning: 'with protected PCIe the links between GPUs are not encrypted',
    });
    judgeListed(checks, 'driver-version', driverVersion, policy.driverVersions, 'a driver that the policy does not list may have known flaws');
  }
  judgeListed(checks, 'vbios-version', device.claims.vbiosVersion, policy.vbiosVersions, 'a VBIOS that the policy does not list may have known flaws');
  judgeListed(checks, 'device', device.identity, policy.devices, 'the device is not one that the policy lists');
  return earliest(device.expiresAtMs, ...found.map(({ endMs }) => endMs));
}

function judgeListed(checks: CheckList, name: string, seen: string, allowed: readonly string[] | null, meaning: string): void {
  if (allowed === null) checks.info(name, seen, 'any is accepted');
  else checks.check(allowed.includes(seen), { name, seen, wanted: allowed.join(' or ') || 'none', meaning });
}

/** Which manifest a device needs. */
interface WantedManifest {
  readonly prefix: string;
  readonly id: string | null;
  readonly product: string;
  readonly edition: string;
  readonly version: string;
}

function driverManifest({ chip, claims }: AppraisedDevice & { kind: 'gpu' }): WantedManifest {
  const architecture = isChipOf('BLACKWELL', chip) ? 'BLACKWELL' : 'HOPPER';
  return { prefix: 'driver-rim', id: driverManifestId(architecture, claims), product: chip, edition: 'GPU', version: claims.driverVersion };
}

function vbiosManifest({ kind, chip, claims }: AppraisedDevice): WantedManifest {
  const common = { prefix: 'vbios-rim', product: chip, version: claims.vbiosVersion };
  return kind === 'gpu' ? { ...common, id: vbiosManifestId(claims), edition: 'GPU' } : { ...common, id: null, edition: 'SWITCH' };
}

/** The manifest of the wanted id, or one without a stated id for the wanted version. */
function judgeManifest(context: VerifyContext, wanted: WantedManifest, manifests: readonly NvidiaManifest[], root: string): { rim: Rim; endMs: number } | null {
  const { checks } = context;
  const { prefix, id, product, edition, version } = wanted;
  const isVersion = (rim: Rim): boolean => rim.version.toUpperCase() === version.toUpperCase();
  const manifest = manifests.find((candidate) => id !== null && candidate.id === id)
    ?? manifests.find(({ id: stated, rim }) => (stated === null || id === null) && isVersion(rim));
  const text = { name: prefix, wanted: `${id ?? edition}: ${edition} ${product} ${version}`, meaning: 'nothing says what this device should measure' };
  if (manifest === undefined) {
    checks.skip({ ...text, seen: `none among ${manifests.length} manifests` });
    return null;
  }
  const { rim } = manifest;
  const fits = checks.check(rim.product === product && rim.edition === edition && isVersion(rim), { ...text, seen: `${manifest.id ?? 'no id'}: ${rim.edition} ${rim.product} ${rim.version}` });
  if (!fits) return null;
  const endMs = verifyRim(context, rim, prefix, root);
  return endMs === null ? null : { rim, endMs };
}

function judgeOverlap(checks: CheckList, driver: Rim, vbios: Rim): void {
  const both = overlapOf(driver, vbios);
  checks.check(both.length === 0, {
    name: 'rim-overlap', seen: both.length === 0 ? 'no index in both' : `indices ${both.join(', ')} active in both`, wanted: 'no measurement in both manifests',
    meaning: 'two manifests for one measurement leave open which one is meant',
  });
}

function judgeMeasurements(checks: CheckList, rims: readonly Rim[], { measurements }: SpdmEvidence, decoderOff: boolean): void {
  const comparisons = rims.map((rim) => compare(rim, measurements, decoderOff));
  const compared = comparisons.reduce((sum, comparison) => sum + comparison.compared, 0);
  const mismatches = comparisons.flatMap((comparison) => comparison.mismatches).sort((a, b) => a - b);
  const skipped = comparisons.some(({ decoderSkipped }) => decoderSkipped) ? ', that of the disabled decoder left out' : '';
  checks.check(compared > 0 && mismatches.length === 0, {
    name: 'measurements', seen: `${compared} compared${skipped}, ${mismatches.length === 0 ? 'none differs' : `${mismatches.join(', ')} differ`}`,
    wanted: 'every active measurement as in its manifest', meaning: 'the device runs other firmware, or in another state, than NVIDIA has released',
  });
}

/** Names of the checks that all devices together record. */
export const SYSTEM_CHECKS = ['gpu-count', 'switch-count', 'unique-devices', 'topology', 'cc-mode', 'developer-tools'] as const;

/** Records the checks of all devices together. `offered`: how many of each kind there are, genuine or not. */
export function appraiseSystem(checks: CheckList, devices: readonly AppraisedDevice[], offered: Readonly<Record<DeviceKind, number>>, system: SystemMode | null, policy: NvidiaPolicy): void {
  const count = { name: 'gpu-count', seen: String(offered.gpu), meaning: 'a GPU without evidence could see what the others compute' };
  if (policy.gpuCount === null) checks.skip({ ...count, wanted: 'a policy that says how many GPUs there are' });
  else checks.check(offered.gpu === policy.gpuCount, { ...count, wanted: String(policy.gpuCount) });
  checks.check(offered.switch === policy.switchCount, {
    name: 'switch-count', seen: String(offered.switch), wanted: String(policy.switchCount), meaning: 'a switch without evidence could see what the GPUs exchange',
  });
  const distinct = (names: readonly string[]): boolean => new Set(names).size === names.length;
  checks.check(devices.length > 0 && distinct(devices.map(({ ueid }) => ueid)) && distinct(devices.map(({ identity }) => identity)), {
    name: 'unique-devices', seen: devices.map(({ identity }) => identity).join(', ') || 'none', wanted: 'different devices', meaning: 'one device has answered for several',
  });
  judgeTopology(checks, devices, policy);
  judgeSystemMode(checks, system, policy);
}

/** With protected PCIe, GPUs and switches name one another: every GPU all switches, every switch the same GPUs. */
function judgeTopology(checks: CheckList, devices: readonly AppraisedDevice[], { switchCount }: NvidiaPolicy): void {
  const gpus = devices.filter((device) => device.kind === 'gpu');
  const switches = devices.filter((device) => device.kind === 'switch');
  if (switchCount === 0 && gpus.every(({ claims }) => claims.mode !== 'protected-pcie')) {
    checks.info('topology', 'no switches', 'links between GPUs are encrypted, or there are none');
    return;
  }
  const key = (pdis: readonly string[]): string => [...pdis].sort().join(' ');
  const own = switches.map(({ claims }) => claims.pdi);
  const linkedTo = new Set(gpus.map(({ claims }) => key(claims.switchPdis)));
  const linkedFrom = new Set(switches.map(({ claims }) => key(claims.gpuPdis)));
  const complete = own.length > 0 && new Set(own).size === own.length && linkedTo.size === 1 && linkedTo.has(key(own)) && linkedFrom.size === 1
    && switches.every(({ claims }) => claims.gpuPdis.length === gpus.length) && gpus.every(({ claims }) => claims.mode === 'protected-pcie');
  checks.check(complete, {
    name: 'topology', seen: `${gpus.length} GPUs linked to ${[...linkedTo].join(' | ') || 'nothing'}; switches ${key(own) || 'none'}`, wanted: 'every GPU linked to every switch and to nothing else',
    meaning: 'a device without evidence may be on the links between the GPUs',
  });
}

function judgeSystemMode(checks: CheckList, system: SystemMode | null, { requireSystemMode }: NvidiaPolicy): void {
  const texts = [
    { name: 'cc-mode', wanted: 'on', meaning: 'without confidential computing the GPU protects nothing', seen: system?.confidentialComputing, good: true },
    { name: 'developer-tools', wanted: 'off', meaning: 'developer tools can read the memory of the GPU', seen: system?.developerTools, good: false },
  ];
  for (const { seen, good, ...text } of texts) {
    if (seen !== undefined) checks.check(seen === good, { ...text, seen: `${seen ? 'on' : 'off'}, as software in the guest says` });
    else if (requireSystemMode) checks.skip({ ...text, seen: 'nobody says' });
    else checks.waive({ ...text, seen: 'nobody says' });
  }
}
