// Whether llama.cpp uses flash attention where that was left to it. It says so only in its log, while a context is made; what it does
// not say is not guessed.
import { setImmediate as nextTurn } from 'node:timers/promises';

/** The log of node-llama-cpp's instance. */
export interface NativeLog<Level> {
  logLevel: Level;
  logger: (level: Level, message: string) => void;
}

const DECIDED = /\bFlash Attention\b.*\b(enabled|disabled)\s*$/m;

/** Runs `work`, which makes a context, listening from level `info` on; `flashAttention` is null where the log says nothing. */
export async function hearFlashAttention<Level, T>(native: NativeLog<Level>, info: Level, work: () => Promise<T>): Promise<{ readonly context: T; readonly flashAttention: 'on' | 'off' | null }> {
  const { logLevel, logger } = native;
  let flashAttention: 'on' | 'off' | null = null;
  native.logger = (level, message) => {
    const decided = DECIDED.exec(message)?.[1];
    if (decided !== undefined) flashAttention = decided === 'enabled' ? 'on' : 'off';
    logger(level, message);
  };
  native.logLevel = info;
  try {
    const context = await work();
    await nextTurn(); // what native threads have said by now is heard
    return { context, flashAttention };
  } finally {
    native.logLevel = logLevel;
    native.logger = logger;
  }
}
