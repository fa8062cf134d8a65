// The parts of a local network as daemons: where each says that it runs, and where it logs.
import * as daemons from '../core/daemon-process.ts';
import type { DaemonPlace, Program, WaitOptions } from '../core/daemon-process.ts';
import type { DaemonRecord } from '../core/daemon-record.ts';
import type { LocalPart, LocalnetLayout } from './layout.ts';

export type { Program } from '../core/daemon-process.ts';

export const placeOf = (layout: LocalnetLayout, part: LocalPart): DaemonPlace =>
  ({ what: `${part} of the local network`, record: layout.record(part), log: layout.log(part) });

/** The record of a part that runs now, or null. */
export const runningRecord = (layout: LocalnetLayout, part: LocalPart): Promise<DaemonRecord | null> => daemons.runningRecord(placeOf(layout, part));

/** Starts a part and waits until it is ready. Errors as core/daemon-process.ts. */
export const startDaemon = (layout: LocalnetLayout, part: LocalPart, program: Program, options: WaitOptions): Promise<DaemonRecord> =>
  daemons.startDaemon(placeOf(layout, part), program, options);

/** Waits until a part that runs already is ready again. */
export const awaitDaemon = (layout: LocalnetLayout, part: LocalPart, options: WaitOptions): Promise<DaemonRecord> => daemons.awaitDaemon(placeOf(layout, part), options);

/** Ends a part; null when it did not run. */
export const stopDaemon = (layout: LocalnetLayout, part: LocalPart): Promise<'stopped' | 'killed' | null> => daemons.stopDaemon(placeOf(layout, part));
