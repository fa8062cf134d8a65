// Mirrors stand in for exactly the services that they are named for.
import { describe, expect, it } from '@jest/globals';
import { ConfigError } from '../../../src/core/errors.ts';
import { DEFAULT_SERVICES, mirroring } from '../../../src/tee/collateral/service-url.ts';

describe('mirroring', () => {
  const map = mirroring({ amdKds: 'https://mirror.example/kds/', nvidiaRim: 'http://127.0.0.1:8080/v1/rim', nvidiaOcsp: 'https://mirror.example/ocsp' });

  it.each([
    [`${DEFAULT_SERVICES.amdKds}/vcek/v1/Genoa/crl`, 'https://mirror.example/kds/vcek/v1/Genoa/crl'], [`${DEFAULT_SERVICES.amdKds}/vcek/v1/Genoa/00?blSPL=1`, 'https://mirror.example/kds/vcek/v1/Genoa/00?blSPL=1'],
    [`${DEFAULT_SERVICES.nvidiaRim}/NV_GPU`, 'http://127.0.0.1:8080/v1/rim/NV_GPU'], [DEFAULT_SERVICES.nvidiaOcsp, 'https://mirror.example/ocsp'],
    [`${DEFAULT_SERVICES.intelPcs}/tdx`, `${DEFAULT_SERVICES.intelPcs}/tdx`], ['https://kdsintf.amd.com.example/vcek', 'https://kdsintf.amd.com.example/vcek'], [`${DEFAULT_SERVICES.nvidiaRim}s/x`, `${DEFAULT_SERVICES.nvidiaRim}s/x`],
  ])('mirroring: %s', (url, wanted) => { expect(map(url)).toBe(wanted); });

  it('mirroring: nothing is changed without mirrors', () => {
    for (const url of Object.values(DEFAULT_SERVICES)) expect(mirroring({})(url)).toBe(url);
  });

  it.each([['no URL', 'mirror'], ['no https', 'http://mirror.example'], ['a query', 'https://mirror.example/?a=b'], ['a password', 'https://a:b@mirror.example'], ['another scheme', 'file:///kds']])('mirroring: refuses an address with %s', (_name, amdKds) => {
    expect(() => mirroring({ amdKds })).toThrow(ConfigError);
  });
});
