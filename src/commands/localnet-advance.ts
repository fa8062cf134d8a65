// `cocoon localnet advance TIME`: the local chain's clock goes forward, so that delays end and rent is due.
import { chainAdmin } from '../localnet/chain.ts';
import { localnetLayout } from '../localnet/layout.ts';
import { chainTime } from '../chain/plans/reading.ts';
import { parseSeconds } from './values.ts';
import type { Command } from 'commander';
import type { Invocation } from './command.ts';

export function declare(command: Command): void {
  command.argument('<time>', 'how far, for example 90s, 30m, 12h or 14d');
}

export async function run({ args: [text = ''], settings, out }: Invocation): Promise<void> {
  const seconds = parseSeconds(text);
  const { time, seqno } = await (await chainAdmin(localnetLayout(settings.home))).advance(seconds);
  out.result({ advancedSeconds: seconds, time, seqno });
  await out.line(`chain time is ${chainTime(time)}, block ${seqno}`);
}
