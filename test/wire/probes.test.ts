// The 48 hand-made clients that were run against the C++ proxy (vectors probes/client-port.json), run against ours: the same
// bytes in, and the same bytes out wherever the specification asks for them. DIFFERENCES lists the others, each with its reason.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { fromHex, toHex } from '../../src/core/bytes.ts';
import { FRAME_HEADER_BYTES } from '../../src/wire/framing.ts';
import { PROXY_VERSIONS } from '../../src/wire/versions.ts';
import { capturedFrame, payloadsOf, VECTORS } from '../fakes/captured.ts';
import type { CapturedFrame } from '../fakes/captured.ts';
import { capturedProxy } from '../fakes/captured-proxy.ts';

interface Entry { readonly dir: 'send' | 'recv'; readonly hex?: string; readonly rawhex?: string; readonly closed?: boolean }
interface Probe { readonly closed_after?: boolean; readonly result?: unknown; readonly log: readonly Entry[] }

const probes = JSON.parse(readFileSync(`${VECTORS}probes/client-port.json`, 'utf8')) as Record<string, Probe>;

/** What our proxy says where the captured one said `theirs`. */
type Instead = (theirs: CapturedFrame) => object;

interface Difference {
  readonly reason: string;
  /** The frames that differ, by the constructor that the captured proxy used. */
  readonly instead?: Readonly<Record<string, Instead>>;
  /** Frames of ours that the captured proxy did not send, at the end. */
  readonly more?: readonly object[];
  /** Where ours leaves another state of the connection. */
  readonly closed?: boolean;
}

/** WIRE-2026-04.md section 10: errors to clients of version 1 and up are Ex, because older clients ignore the old form and hang. */
const EX_ERROR: Difference = {
  reason: 'refusals are client.queryAnswerErrorEx for clients that speak Ex, as proxies of 2026 do; the proxy of 2025 sent the old form',
  instead: {
    'client.queryAnswerError': ({ inner }) => {
      if (inner?._ !== 'client.queryAnswerError') throw new Error('unexpected');
      const { error_code, error, request_id, request_tokens_used } = inner;
      return {
        _: 'client.queryAnswerErrorEx', request_id, error_code, error, flags: 1, final_info: {
          _: 'client.queryFinalInfo', flags: 2, tokens_used: request_tokens_used, proxy_start_time: 0, proxy_end_time: 0, worker_start_time: 0, worker_end_time: 0,
        },
      };
    },
  },
};

const chosenHighest = (theirs: CapturedFrame): object => {
  if (theirs.inner?._ !== 'client.connectedToProxy') throw new Error('unexpected');
  return { ...theirs.inner, params: { ...theirs.inner.params, proto_version: PROXY_VERSIONS.max } };
};

const DIFFERENCES: Readonly<Record<string, Difference>> = {
  proto_2_9: { reason: 'our proxy speaks higher versions, the captured one 0 to 2', instead: { 'client.connectedToProxy': chosenHighest } },
  // What is refused there is a session here; the admission itself is in client-acceptor.test.ts.
  proto_3_5: { reason: 'our proxy speaks higher versions, the captured one 0 to 2 and refused', instead: { 'tcp.queryError': () => ({ _: 'client.connectedToProxy' }) }, closed: false },
  getWorkerTypes: {
    reason: 'the captured proxy counts INT_MAX among the coefficients (WIRE.md section 20, defect 21)',
    instead: {
      'client.workerTypes': ({ inner }) => {
        if (inner?._ !== 'client.workerTypes') throw new Error('unexpected');
        return { ...inner, types: inner.types.map((type) => ({ ...type, coefficient_bucket50: 1000, coefficient_max: 1000 })) };
      },
    },
  },
  no_attested_info: {
    reason: 'the frame is the local router\'s, which ours does not have: the first Cocoon frame is read as what it is', more: [{ _: 'tcp.connected', id: 1n }], closed: false,
  },
  run_unknown_model: EX_ERROR,
  run_full_model_name: EX_ERROR,
  run_over_budget_max_tokens: EX_ERROR,
  run_over_budget_reserve: EX_ERROR,
  run_too_cheap: EX_ERROR,
  run_config_version: EX_ERROR,
  run_bad_http_request_tl: EX_ERROR,
};

const framesOf = ({ log }: Probe): CapturedFrame[] => log.filter(({ dir, hex }) => dir === 'recv' && hex !== undefined)
  .map(({ hex = '' }) => capturedFrame(false, fromHex(hex).subarray(FRAME_HEADER_BYTES)));

async function run(name: string, probe: Probe) {
  const theirs = framesOf(probe);
  // A probe that was refused there and is not here needs an admission: that of any other probe will do.
  const proxy = capturedProxy(theirs.some(({ inner }) => inner?._ === 'client.connectedToProxy') ? theirs : framesOf(probes['proto_1_2']!));
  for (const { dir, hex, rawhex } of probe.log) {
    if (dir === 'send') await proxy.feed(fromHex(hex ?? rawhex ?? ''));
    else if (hex !== undefined && name !== 'proto_3_5') await proxy.act(capturedFrame(false, fromHex(hex).subarray(FRAME_HEADER_BYTES)));
  }
  const closed = proxy.hand.ended;
  const ours = payloadsOf(proxy.hand.written());
  proxy.link.close();
  await proxy.link.closed;
  return { theirs, ours, closed };
}

describe('acceptClient: probes/client-port.json', () => {
  it('every difference is of a probe that exists', () => {
    expect(Object.keys(probes)).toHaveLength(48);
    expect(Object.keys(probes)).toEqual(expect.arrayContaining(Object.keys(DIFFERENCES)));
  });

  it.each(Object.entries(probes))('%s', async (name, probe) => {
    const { theirs, ours, closed } = await run(name, probe);
    const difference = DIFFERENCES[name];
    const wasClosed = probe.closed_after ?? probe.result === 'CLOSED';
    expect(closed).toBe(difference?.closed ?? wasClosed);
    const more = difference?.more ?? [];
    expect(ours).toHaveLength(theirs.length + more.length);
    let differing = more.length;
    for (const [index, frame] of theirs.entries()) {
      const instead = difference?.instead?.[frame.inner?._ ?? frame.packet._];
      if (instead === undefined) {
        expect(ours[index]).toBe(toHex(frame.payload));
      } else {
        expect(ours[index]).not.toBe(toHex(frame.payload));
        expect(capturedFrame(false, fromHex(ours[index]!)).inner).toMatchObject(instead(frame));
        differing++;
      }
    }
    for (const [index, object] of more.entries()) expect(capturedFrame(false, fromHex(ours[theirs.length + index]!)).packet).toEqual(object);
    expect(differing > 0).toBe(difference !== undefined);
  });
});
