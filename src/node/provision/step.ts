// What provisioning does to a machine, as data: files of ours, folders, commands with their way back, and commands that only make
// programs read files again. A step that finds the machine as it wants it does nothing, and is not taken back either.

export interface Step {
  /** Told apart by it in the journal: stays the same from version to version. */
  readonly id: string;
  /** For a person: what it does and why. */
  readonly title: string;
  readonly action: Action;
}

export type Action =
  /** The whole content of a file. What was there before is kept for the undo, bytes, mode and owner. */
  | { readonly kind: 'file'; readonly path: string; readonly content: string; readonly mode: number }
  | { readonly kind: 'folder'; readonly path: string; readonly mode: number }
  /** Done already when `check` exits 0. */
  | { readonly kind: 'command'; readonly check: readonly string[]; readonly apply: readonly (readonly string[])[]; readonly undo: readonly (readonly string[])[] }
  /** Only what is missing is installed, and only that is removed again. */
  | { readonly kind: 'packages'; readonly names: readonly string[] }
  /** Reads files again: after they were written (`apply`), or after they were taken back (`undo`). Goes after, or before, their steps. */
  | { readonly kind: 'refresh'; readonly when: 'apply' | 'undo'; readonly argv: readonly string[] };

export interface Plan {
  readonly role: 'host' | 'guest' | 'bare';
  readonly steps: readonly Step[];
  /** What a person still has to do, in order. */
  readonly after: readonly string[];
  readonly warnings: readonly string[];
}

/** One line of what a step would do. */
export function describeAction({ action }: Pick<Step, 'action'>): string {
  switch (action.kind) {
    case 'file': return `write ${action.path} (mode ${action.mode.toString(8).padStart(4, '0')})`;
    case 'folder': return `make ${action.path} (mode ${action.mode.toString(8).padStart(4, '0')})`;
    case 'packages': return `install ${action.names.join(' ')}`;
    case 'command': return action.apply.map((argv) => argv.join(' ')).join('; ');
    case 'refresh': return `${action.argv.join(' ')}${action.when === 'undo' ? ' (at --undo)' : ''}`;
  }
}
