// Verifications of SEV-SNP reports and of NVIDIA GPUs per second: cold (collateral parsed anew, nothing remembered) and
// warm (collateral kept, new evidence each time). Targets on one core: SNP 3 ms, a GPU with two manifests 15 ms.
// Usage: node bench/attest-snp-gpu.mjs [seconds per line]. The forged chains have the keys that AMD and NVIDIA use.
import { register } from 'node:module';

register('../test/fakes/ts-hooks.mjs', import.meta.url);
const { judgeSnp } = await import('../src/tee/snp/judge.ts');
const { parseSnpBundle } = await import('../src/tee/snp/bundle.ts');
const { judgeNvidia } = await import('../src/tee/nvidia/judge.ts');
const { parseDevice, parseNvidiaBundle } = await import('../src/tee/nvidia/bundle.ts');
const { CertificatePool } = await import('../src/tee/nvidia/certificate-pool.ts');
const snp = await import('../test/fakes/snp-forge.ts');
const gpu = await import('../test/fakes/nvidia-forge.ts');

const seconds = Number(process.argv[2] ?? 2);

/**
 * Runs `step` for a while; its verdict must have the wanted result. Prints the processor time of one (what a core of its own
 * would take, whatever else this machine does), the median by the clock, and the rate of one core.
 */
function line(name, targetMs, step, wanted = 'pass') {
  const times = [];
  step();
  const before = process.cpuUsage();
  for (const end = performance.now() + seconds * 1000; performance.now() < end || times.length < 5;) {
    const start = performance.now();
    const { verdict } = step();
    times.push(performance.now() - start);
    if (verdict.overall !== wanted) throw new Error(`${name}: ${JSON.stringify(verdict.checks.filter(({ result }) => result === 'fail'))}`);
  }
  const { user, system } = process.cpuUsage(before);
  const used = (user + system) / 1000 / times.length;
  const median = times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
  const target = targetMs === null ? '' : `, target ${targetMs} ms: ${used <= targetMs ? 'met' : 'MISSED'}`;
  console.log(`${name.padEnd(58)} ${used.toFixed(2).padStart(6)} ms (by the clock ${median.toFixed(2)}), ${(1000 / used).toFixed(0)} a second${target}`);
}

const authorities = snp.rsaAuthorities();
const texts = snp.forgeCollateral({ authorities });
const report = snp.forgeReport({ authorities });
const snpBundle = { report_hex: Buffer.from(report).toString('hex'), collateral: texts };
const snpRest = { policy: snp.FORGED_POLICY, nowMs: snp.SNP_NOW, reportData: snp.REPORT_DATA, roots: snp.rootsOf(authorities, 'Genoa') };
const parsed = parseSnpBundle(snpBundle);
line('SEV-SNP, cold', 3, () => judgeSnp({ ...parseSnpBundle(snpBundle), ...snpRest }));
line('SEV-SNP, collateral kept', null, () => judgeSnp({ ...parsed, ...snpRest }));

const gpuBundle = gpu.forgeMachine();
const gpuRest = { policy: gpu.FORGED_GPU_POLICY, nowMs: gpu.GPU_NOW, nonce: gpu.GPU_NONCE, roots: gpu.FORGED_ROOTS };
// Without OCSP answers the verdict is incomplete, and everything else was checked.
const bare = { ...gpuBundle, collateral: { ...gpuBundle.collateral, ocsp: [] } };
line('GPU, two manifests, no OCSP, cold', 15, () => judgeNvidia({ ...parseNvidiaBundle(bare), ...gpuRest }), 'incomplete');
line('GPU, two manifests, OCSP for every certificate, cold', null, () => judgeNvidia({ ...parseNvidiaBundle(gpuBundle), ...gpuRest }));
const pool = new CertificatePool();
const kept = parseNvidiaBundle(gpuBundle, pool);
line('GPU, two manifests, OCSP, collateral kept, new evidence', 15, () => judgeNvidia({ ...kept, devices: [parseDevice(gpuBundle.devices[0], pool)], ...gpuRest }));
