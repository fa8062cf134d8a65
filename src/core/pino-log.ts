// The log of daemons: one JSON line an event on stderr, by pino. The only importer of pino. Fields whose names suggest
// secrets, prompts or answers are removed even if a caller passes them by mistake.
import type { OutputStream } from './context.ts';
import type { Log, LogLevel } from './log.ts';

const REDACTED = ['secret', 'key', 'privateKey', 'passphrase', 'mnemonic', 'prompt', 'messages', 'content', 'answer', 'authorization', 'payload'];

/** Opens a log that writes to `stream` from `level` up. */
export async function openLog(stream: OutputStream, level: LogLevel): Promise<Log> {
  const { pino, stdTimeFunctions } = await import('pino');
  const logger = pino(
    { level, base: null, timestamp: stdTimeFunctions.isoTime, redact: { paths: [...REDACTED, ...REDACTED.map((name) => `*.${name}`)], remove: true } },
    { write: (line: string) => { void stream.write(line); } },
  );
  return {
    debug: (message, fields) => logger.debug(fields ?? {}, message),
    info: (message, fields) => logger.info(fields ?? {}, message),
    warn: (message, fields) => logger.warn(fields ?? {}, message),
    error: (message, fields) => logger.error(fields ?? {}, message),
  };
}
