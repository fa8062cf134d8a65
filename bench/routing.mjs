// `npm run bench:routing`: the choice of a node by simulation: 1,000 unequal nodes, seven kinds of work, fixed seeds, four rules.
// Runs from the sources. Exits 1 when a target is missed.
import '../test/fakes/ts-hooks.mjs';

const { report } = await import('./routing/report.ts');
if (!report({ nodes: 1_000, seeds: [1, 2, 3], print: console.log })) process.exitCode = 1;
