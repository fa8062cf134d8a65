// argv and context in, exit code out. The only place where an error ends a command; output.ts turns it into text.
import { asCocoonError } from './core/errors.ts';
import { loadSettings } from './core/settings.ts';
import { Output } from './commands/output.ts';
import { findCommand, parseCommandLine } from './commands/program.ts';
import type { Context } from './core/context.ts';
import type { GlobalFlags } from './commands/program.ts';
import type { SettingKey, Settings } from './core/settings.ts';

/** What is known before the command line has been understood: whether a failure must be told as JSON. */
function wantsJson(argv: readonly string[], context: Context): boolean {
  const end = argv.indexOf('--');
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json') || context.env['COCOON_JSON'] === 'true';
}

function resolveSettings(globals: GlobalFlags, context: Context): Promise<Settings> {
  const flags: Partial<Record<SettingKey, string>> = {};
  if (globals.json === true) flags.json = 'true';
  if (globals.quiet === true) flags.quiet = 'true';
  if (globals.verbose === true) flags.verbose = 'true';
  if (globals.color === false || context.env['NO_COLOR'] !== undefined && context.env['NO_COLOR'] !== '') flags.color = 'false';
  if (globals.network !== undefined) flags.network = globals.network;
  if (globals.timeout !== undefined) flags.timeout = globals.timeout;
  return loadSettings({ env: context.env, cwd: context.cwd, homedir: context.homedir, flags, home: globals.home, file: globals.config });
}

/** Runs one command line and returns the exit code. Never throws and never ends the process. */
export async function main(argv: readonly string[], context: Context): Promise<number> {
  const schema = (path: string): string => path.replaceAll(' ', '.');
  let out = new Output(context.stdout, context.stderr, {
    json: wantsJson(argv, context), quiet: false, verbose: false, schema: schema(findCommand(argv)?.path ?? 'cli'),
  });
  try {
    const parsed = await parseCommandLine(argv, context.version, context.stdout.columns);
    if (parsed.kind === 'text') {
      await context.stdout.write(parsed.text);
      return 0;
    }
    const settings = await resolveSettings(parsed.globals, context);
    out = new Output(context.stdout, context.stderr, {
      json: settings.boolean('json'), quiet: settings.boolean('quiet'), verbose: settings.boolean('verbose'), schema: schema(parsed.path),
    });
    await parsed.module.run({ argv, args: parsed.args, options: parsed.options, yes: parsed.globals.yes === true, settings, context, out });
    await out.finish();
    return 0;
  } catch (thrown) {
    // After a signal whatever the unwinding threw is a consequence; the signal is the cause.
    const error = asCocoonError(context.signal.aborted ? context.signal.reason : thrown);
    await out.fail(error).catch(() => {});
    return error.exitCode;
  }
}
