// Replays measured events into the registers of a TD (TDX module specification: RTMR = SHA-384(RTMR ‖ digest), from zero)
// and compares the result with a report. Only a log that replays to the registers of a verified quote says anything.
import { createHash } from 'node:crypto';
import { equalBytes, toHex } from '../../core/bytes.ts';
import type { CheckList } from '../verdict.ts';

export const REGISTERS = ['rtmr0', 'rtmr1', 'rtmr2', 'rtmr3'] as const;
export type Register = (typeof REGISTERS)[number];
/** SHA-384 values of 48 bytes. */
export type Registers = Readonly<Record<Register, Uint8Array>>;

export const DIGEST_BYTES = 48;

/** One measured event of either kind of log. */
export interface MeasuredEvent {
  /** Null for what goes into MRTD before the guest runs: it is in the log for information and is not replayed. */
  readonly register: Register | null;
  /** Event type of the TCG's PC client profile, or 0x08000001 for runtime events of dstack. */
  readonly type: number;
  /** SHA-384, 48 bytes. */
  readonly digest: Uint8Array;
  readonly data: Uint8Array;
  /**
   * True when the digest is the hash of the event's own content, so that the content can be believed once the registers
   * match. False for events that describe something else, such as a file that was loaded: only the digest counts then.
   */
  readonly bound: boolean;
  /** Name of a runtime event; empty for others. */
  readonly name: string;
}

/** The registers after all events. */
export function replay(events: readonly MeasuredEvent[]): Registers {
  const registers: Record<Register, Uint8Array> = { rtmr0: zero(), rtmr1: zero(), rtmr2: zero(), rtmr3: zero() };
  for (const { register, digest } of events) {
    if (register !== null) registers[register] = new Uint8Array(createHash('sha384').update(registers[register]).update(digest).digest());
  }
  return registers;
}

const zero = (): Uint8Array => new Uint8Array(DIGEST_BYTES);

/** Records one check a register, named `event-log-rtmr0` and so on. `report` must be that of a verified quote. */
export function checkReplay(events: readonly MeasuredEvent[], report: Registers, registers: readonly Register[], checks: CheckList): void {
  const replayed = replay(events);
  for (const register of registers) {
    checks.check(equalBytes(replayed[register], report[register]), {
      name: `event-log-${register}`, seen: toHex(replayed[register]), wanted: `${register.toUpperCase()} of the quote, ${toHex(report[register])}`,
      meaning: 'the event log is not the one of this guest, so nothing in it can be believed',
    });
  }
}
