// Addresses of the services that give collateral. Refuses everything but https; a PCCS on this very machine may use http.
import { ConfigError } from '../../core/errors.ts';

export const DEFAULT_SERVICES = {
  intelPcs: 'https://api.trustedservices.intel.com',
  /** Named in the CRL distribution point of Intel's root certificate. */
  intelRootCrl: 'https://certificates.trustedservices.intel.com/IntelSGXRootCA.der',
  amdKds: 'https://kdsintf.amd.com',
  nvidiaRim: 'https://rim.attestation.nvidia.com/v1/rim',
  nvidiaOcsp: 'https://ocsp.ndis.nvidia.com/',
} as const;

const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]']);

/** The address without a slash at its end. `loopbackHttp` allows http on this machine. Throws ConfigError E_CONFIG. */
export function serviceUrl(text: string, what: string, loopbackHttp = false): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw new ConfigError('E_CONFIG', `the address of ${what} is not a URL: ${JSON.stringify(text)}`, { hint: 'expected for example https://localhost:8081' });
  }
  if (url.username !== '' || url.password !== '' || url.hash !== '' || url.search !== '') {
    throw new ConfigError('E_CONFIG', `the address of ${what} at ${url.host} has a name, password, query or fragment, expected none`);
  }
  if (url.protocol === 'http:' && !(loopbackHttp && LOOPBACK.has(url.hostname))) {
    throw new ConfigError('E_CONFIG', `the address ${url.origin} of ${what} is not encrypted, expected https`, {
      hint: loopbackHttp ? 'http is allowed for a PCCS on localhost only' : 'use https',
    });
  }
  return url.href.replace(/\/+$/, '');
}

/** Services that something nearer may stand in for. Intel's has a protocol of its own for that: a PCCS (intel.ts). */
export const MIRRORED = ['amdKds', 'nvidiaRim', 'nvidiaOcsp'] as const satisfies readonly (keyof typeof DEFAULT_SERVICES)[];
/** Addresses in place of the manufacturers'; what comes from them is as untrusted. http on loopback only. */
export type Mirrors = Partial<Readonly<Record<(typeof MIRRORED)[number], string>>>;

const WHAT: Readonly<Record<(typeof MIRRORED)[number], string>> = { amdKds: 'the mirror of AMD\'s key service', nvidiaRim: 'the mirror of NVIDIA\'s manifests', nvidiaOcsp: 'the mirror of NVIDIA\'s OCSP' };

/** Maps the address of a request to the mirror of its service, where there is one. Throws ConfigError E_CONFIG at once. */
export function mirroring(mirrors: Mirrors): (url: string) => string {
  const rules = MIRRORED.flatMap((name) => {
    const mirror = mirrors[name];
    return mirror === undefined ? [] : [[DEFAULT_SERVICES[name].replace(/\/$/, ''), serviceUrl(mirror, WHAT[name], true)] as const];
  });
  return (url) => {
    const rule = rules.find(([service]) => url === service || url.startsWith(`${service}/`));
    // A service without paths of its own is asked at exactly the address that is given.
    return rule === undefined ? url : `${rule[1]}${url.slice(rule[0].length).replace(/^\/$/, '')}`;
  };
}
