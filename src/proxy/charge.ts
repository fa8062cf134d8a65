// What of a node's report is booked (WIRE.md section 12): never more than was put aside for the request, and never a total
// that its own parts do not add up to. The network's C++ proxies book whatever the node says.
import type { TokensUsed } from '../wire/answer.ts';

/** The report cut to `reserved` tokens: each kind takes of what the kinds before it left. `total` is the sum of the others. */
export function boundedTokens(reported: TokensUsed, reserved: bigint): TokensUsed {
  let left = reported.total < reserved ? reported.total : reserved;
  const take = (tokens: bigint): bigint => {
    const taken = tokens < left ? tokens : left;
    left -= taken;
    return taken;
  };
  const prompt = take(reported.prompt);
  const cached = take(reported.cached);
  const completion = take(reported.completion);
  const reasoning = take(reported.reasoning);
  return { prompt, cached, completion, reasoning, total: prompt + cached + completion + reasoning };
}
