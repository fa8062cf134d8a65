// The program from its sources, as bin/cocoon is from the built ones; SOURCE_PROGRAM says how to start it.
import { main } from '../../src/main.ts';
import { realContext } from '../../src/system.ts';
import { SOURCE_PROGRAM } from './source-program.ts';

process.exitCode = await main(process.argv.slice(2), { ...realContext(), self: SOURCE_PROGRAM });
