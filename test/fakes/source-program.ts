// How a test starts the program from its sources as another process.
import { fileURLToPath } from 'node:url';
import type { Context } from '../../src/core/context.ts';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export const SOURCE_PROGRAM: Context['self'] = { command: process.execPath, args: ['--import', here('ts-hooks.mjs'), here('cocoon.ts')] };

/** The same for the process of an engine alone. */
export const ENGINE_PROGRAM = { command: process.execPath, args: ['--import', here('ts-hooks.mjs'), here('engine-child.ts')], env: process.env };
