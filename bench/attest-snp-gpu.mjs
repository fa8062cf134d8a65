// Verifications of SEV-SNP reports and of NVIDIA GPUs per second: cold (collateral parsed anew, nothing remembered, every signature
// verified but those of the pinned roots on themselves, which are found out once in a process), with authorities that were met
// before, and warm (parsed collateral kept, too, new evidence each time). Targets on one core: SNP 3 ms, a GPU with two manifests 15 ms. Times are CPU time of this process: the least of many
// short rounds, since whatever else the machine does can only add to it, and the median of them. The forged chains have the
// keys that AMD and NVIDIA use. Usage: node bench/attest-snp-gpu.mjs [seconds per line].
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { register } from 'node:module';

register('../test/fakes/ts-hooks.mjs', import.meta.url);
const { judgeSnp } = await import('../src/tee/snp/judge.ts');
const { parseSnpBundle } = await import('../src/tee/snp/bundle.ts');
const { judgeNvidia } = await import('../src/tee/nvidia/judge.ts');
const { parseDevice, parseNvidiaBundle } = await import('../src/tee/nvidia/bundle.ts');
const { CertificatePool } = await import('../src/tee/nvidia/certificate-pool.ts');
const { forgetAuthorities } = await import('../src/tee/x509/remembered.ts');
const snp = await import('../test/fakes/snp-forge.ts');
const gpu = await import('../test/fakes/nvidia-forge.ts');

const seconds = Number(process.argv[2] ?? 2);

/** CPU milliseconds of one call, of `count` calls. */
function cpuMs(count, call) {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i += 1) call();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / count;
}

const ROUND_MS = 40;
/** The step with nothing remembered. */
const cold = (step) => () => {
  forgetAuthorities();
  return step();
};

/** Runs `step` for a while in rounds; its verdict must have the wanted result. */
function line(name, targetMs, step, wanted = 'pass') {
  const judged = () => {
    const { verdict } = step();
    if (verdict.overall !== wanted) throw new Error(`${name}: ${JSON.stringify(verdict.checks.filter(({ result }) => result === 'fail'))}`);
  };
  const count = Math.max(1, Math.round(ROUND_MS / cpuMs(10, judged)));
  const rounds = [];
  for (const end = performance.now() + seconds * 1000; performance.now() < end || rounds.length < 9;) rounds.push(cpuMs(count, judged));
  rounds.sort((a, b) => a - b);
  const [least] = rounds;
  const median = rounds[rounds.length >> 1];
  const said = (ms) => (ms <= targetMs ? 'met' : 'MISSED');
  const target = targetMs === null ? '' : `, target ${targetMs} ms: least ${said(least)}, median ${said(median)}`;
  console.log(`${name.padEnd(58)} ${least.toFixed(2).padStart(6)} ms (median ${median.toFixed(2)}), ${(1000 / least).toFixed(0)} a second${target}`);
}

const signed = generateKeyPairSync('ec', { namedCurve: 'P-384' });
const message = Buffer.alloc(672);
const signature = sign('sha384', message, signed.privateKey);
const passing = { verdict: { overall: 'pass' } };
line('for comparison: one ECDSA P-384 verification by OpenSSL', null, () => (verify('sha384', message, signed.publicKey, signature) ? passing : null));
const authorities = snp.rsaAuthorities();
const texts = snp.forgeCollateral({ authorities });
const report = snp.forgeReport({ authorities });
const snpBundle = { report_hex: Buffer.from(report).toString('hex'), collateral: texts };
const snpRest = { policy: snp.FORGED_POLICY, nowMs: snp.SNP_NOW, reportData: snp.REPORT_DATA, roots: snp.rootsOf(authorities, 'Genoa') };
const parsed = parseSnpBundle(snpBundle);
const snpOnce = () => judgeSnp({ ...parseSnpBundle(snpBundle), ...snpRest });
line('SEV-SNP, cold', 3, cold(snpOnce));
line('SEV-SNP, authorities known', null, snpOnce);
line('SEV-SNP, collateral kept', null, () => judgeSnp({ ...parsed, ...snpRest }));

const gpuBundle = gpu.forgeMachine();
const gpuRest = { policy: gpu.FORGED_GPU_POLICY, nowMs: gpu.GPU_NOW, nonce: gpu.GPU_NONCE, roots: gpu.FORGED_ROOTS };
// Without OCSP answers the verdict is incomplete, and everything else was checked.
const bare = { ...gpuBundle, collateral: { ...gpuBundle.collateral, ocsp: [] } };
const gpuOnce = () => judgeNvidia({ ...parseNvidiaBundle(bare), ...gpuRest });
line('GPU, two manifests, no OCSP, cold', 15, cold(gpuOnce), 'incomplete');
line('GPU, two manifests, no OCSP, authorities known', null, gpuOnce, 'incomplete');
line('GPU, two manifests, OCSP for every certificate, cold', null, cold(() => judgeNvidia({ ...parseNvidiaBundle(gpuBundle), ...gpuRest })));
const pool = new CertificatePool();
const kept = parseNvidiaBundle(gpuBundle, pool);
line('GPU, two manifests, OCSP, collateral kept, new evidence', 15, () => judgeNvidia({ ...kept, devices: [parseDevice(gpuBundle.devices[0], pool)], ...gpuRest }));
