// Lets one sequence change its state while others generate. node-llama-cpp keeps its context lock for as long as any
// sequence has queued another token, so under load a change would wait for seconds (measured: 2 to 4 s with 3 streams):
// the others pause before their next token until it is done, which takes one batch.

export interface Gate {
  /** What to wait for before queueing an evaluation; undefined when there is nothing to wait for. */
  pause(): Promise<void> | undefined;
  /** Runs `change` while everyone who asks `pause` waits. */
  exclusive<T>(change: () => Promise<T>): Promise<T>;
}

export function createGate(): Gate {
  let changes = 0;
  let opened: Promise<void> | undefined;
  let open: () => void = () => undefined;
  return {
    pause: () => opened,
    async exclusive(change) {
      changes += 1;
      opened ??= new Promise((resolve) => {
        open = resolve;
      });
      try {
        return await change();
      } finally {
        changes -= 1;
        if (changes === 0) {
          opened = undefined;
          open();
        }
      }
    },
  };
}
