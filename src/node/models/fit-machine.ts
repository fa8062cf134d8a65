// The memory of this machine as models see it: what is available, and what is free on each GPU.
import { freemem } from 'node:os';
import { gatherFacts } from '../doctor/facts.ts';
import { realMachine } from '../doctor/machine.ts';
import type { MachineFacts } from '../doctor/facts.ts';
import type { MachineMemory } from './fit.ts';

export const memoryOf = ({ availableBytes, driverGpus }: Pick<MachineFacts, 'availableBytes' | 'driverGpus'>): MachineMemory => ({ ramBytes: availableBytes > 0 ? availableBytes : freemem(), gpuBytes: driverGpus.map(({ freeBytes }) => freeBytes) });

export async function thisMachine(signal: AbortSignal): Promise<MachineMemory> {
  return memoryOf(await gatherFacts(realMachine(signal)));
}
