// WIRE.md section 20, all of it, and the behaviours of WIRE-2026-04.md sections 11 and 12 that concern a paid network: for each, the tests
// that show what ours does instead, or why it cannot happen here. The named tests must exist, by name and file.
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';

interface Behaviour {
  /** What ours does. */
  readonly ours: string;
  /** file below test/, then beginnings of test names as they are written there. */
  readonly shown?: Readonly<Record<string, readonly string[]>>;
  /** Instead of tests: what makes it impossible. */
  readonly impossible?: string;
}

const WIRE: Readonly<Record<number, Behaviour>> = {
  1: {
    ours: 'a client meets every error as an error with an exit code',
    shown: {
      'network/failures.test.ts': ['refusals: unknown model 7, too long 10', 'an engine that throws what is no error of ours tells nothing of it'],
      'client/chat.test.ts': ['a refusal: the status with and without a body', 'errors of the session: numbers of the protocol are explained'],
      'client/endpoint/upstream-defects.test.ts': ['1: requests that cannot be answered are refused, each by name, and the endpoint lives'],
    },
  },
  2: {
    ours: 'errors go out in the form that the client\'s version knows, and our client reads both forms and has its own deadline',
    shown: {
      'wire/client-session.test.ts': ['version %i: an error before and after the head arrives with its final info', 'its own deadline ends a request that gets no answer'],
      'network/answers.test.ts': ['versions: a proxy that knows up to version %i answers'],
      'client/endpoint/upstream-defects.test.ts': ['2: what the proxy or the node refuses is told at once, and no request hangs', '2: a node that fails before its first byte'],
    },
  },
  3: {
    ours: 'a node that is lost ends its requests at once, frees what was reserved, and before the first byte another node answers',
    shown: {
      'network/failures.test.ts': ['a node that vanishes in mid-answer: the client knows at once'],
      'network/dishonest.test.ts': ['leaves in mid-answer: the client is told at once', '%s: an honest node answers instead, unseen by the client'],
      'proxy/relay.test.ts': ['the reservation stays one, whatever is tried'],
    },
  },
  4: {
    ours: 'leaving cancels at every hop; what was delivered by then is paid, and no more',
    shown: {
      'network/cancellation.test.ts': ['abort: one request stops at the engine at once', 'a client whose connection breaks takes all its requests with it'],
      'network/dishonest.test.ts': ['disconnects just before the end: it pays for what was delivered'],
      'client/endpoint/upstream-defects.test.ts': ['4: an application that leaves stops the engine'],
    },
  },
  5: {
    ours: 'an answer that was cut short never ends like a complete one',
    shown: {
      'network/failures.test.ts': ['an engine that fails %s: the client is told'],
      'node/handlers.test.ts': ['rejects, without an end, when the engine fails before piece %i of a stream'],
      'client/chat.test.ts': ['%s is an incomplete answer, not an answer'],
      'client/endpoint/upstream-defects.test.ts': ['5: an answer that breaks off ends without the terminator of a complete one'],
    },
  },
  6: { ours: 'bodies of engines are not parsed on the way', impossible: 'the node writes its answers itself; the proxy reads usage at their end and takes anything else for none (Relayed)', shown: { 'proxy/charge.test.ts': ['usage: %j bounds nothing'] } },
  7: {
    ours: 'claims and answers of a node are judged, never trusted to be well formed',
    shown: {
      'network/dishonest.test.ts': ['claims larger balances: it is told what is known'],
      'wire/worker-session.test.ts': ['a claim larger than the proxy knows is the port\'s to judge'],
      'wire/answer-codec.test.ts': ['a final flag without final info, which our codec would not send, is malformed'],
      'network/hostile.test.ts': ['%s fails that request; the node and others go on'],
    },
  },
  8: { ours: 'the extended comparison leads on', shown: { 'wire/worker-session.test.ts': ['handshake: the extended comparison leads on to Ready'] } },
  9: {
    ours: 'a proxy that is gone is left for another one, or dialled again',
    shown: {
      'network/failures.test.ts': ['a proxy that vanishes in mid-answer: client and node notice at once', 'connectToProxy: a silent proxy takes its share of the time only'],
      'client/staying-up.test.ts': ['a proxy that fails before the first byte: another one, unseen'],
      'client/endpoint/upstream-defects.test.ts': ['9: a proxy that comes back is used again, and meanwhile nothing claims that one is ready'],
    },
  },
  10: {
    ours: 'queries on a connection that ends fail with it, and a request that could not be sent frees everything',
    shown: {
      'wire/open-connection.test.ts': ['query: fails at once when the connection goes, not at its own timeout'],
      'proxy/relay.test.ts': ['refused at admission: nothing is reserved, sent or paid', '%s: another node answers, unseen by the client'],
    },
  },
  11: {
    ours: 'what no frame can carry is an error of its request',
    shown: { 'wire/open-connection.test.ts': ['send: a packet above 2^24 bytes is an error', 'onQuery: an answer that no frame can carry becomes an error'], 'wire/client-session.test.ts': ['a request that cannot be sent fails by itself'] },
  },
  12: {
    ours: 'every stage of a connection has a deadline, and unproven peers are bounded',
    shown: { 'wire/dial-listen.test.ts': ['listen: silence at each stage ends at its deadline'], 'wire/flood.test.ts': ['listen: ten thousand half-open connections leave memory bounded'] },
  },
  13: {
    ours: 'streams are passed on as they come and counted as plain answers are',
    shown: { 'node/answer-request.test.ts': ['plain and streamed answers are counted alike'], 'network/answers.test.ts': ['askChat: streams the text as it comes, with usage, charges'] },
  },
  14: {
    ours: 'a report is cut to the reservation, to its parts and to what the answer allows, and the node is trusted less',
    shown: {
      'network/dishonest.test.ts': ['over-reports: the client pays at most what the answer itself shows', 'over-reports beyond everything, total and parts apart'],
      'proxy/charge.test.ts': ['%s is cut, and flagged', 'never more than reserved, and the total is always the sum'],
    },
  },
  15: {
    ours: 'the limit that is reserved is written into the request; n, best_of and lists of prompts multiply it',
    shown: {
      'proxy/request-limits.test.ts': ['whatever the body says, what is forwarded is bounded by the envelope', 'the number of answers multiplies: %s'],
      'proxy/relay.test.ts': ['the limit that is reserved is written into the request, and the largest multiplier counts'],
      'network/dishonest.test.ts': ['asks for more than it says it allows: the node is told the limit that was reserved'],
    },
  },
  16: {
    ours: 'failed and cancelled answers are billed for what was delivered',
    shown: {
      'node/answer-request.test.ts': ['an engine that fails in mid-answer: the last message carries what it had counted', 'a request that is cancelled in mid-answer'],
      'network/dishonest.test.ts': ['under-delivers, half an answer and a failure with a bill for all', 'under-delivers, nothing at all: the client pays nothing'],
    },
  },
  17: {
    ours: 'on networks with contracts a client\'s secret is never empty, and another\'s is refused',
    shown: { 'client/paid-accounts.test.ts': ['the secret of one proxy is another\'s business: never empty, never shared'], 'network/dishonest.test.ts': ['reuses another client\'s secret: refused'] },
  },
  18: { ours: 'each proxy has a secret of its own, and learns it only for its own hash', shown: { 'client/paid-accounts.test.ts': ['the secret of one proxy is another\'s business: never empty, never shared'] } },
  19: {
    ours: 'payments are repacked by their holder with its own address; nobody else submits them for it',
    shown: { 'chain/signed-payment.test.ts': ['worker payout: parsed, repacked and signed to the same cells', 'signPayment: what is signed is the payload cell\'s hash'] },
  },
  20: { ours: 'thresholds are amounts of nanoTON', impossible: 'thresholds are settings in nanoTON (chargeFromNano, payoutFromNano, --auto-claim) that are compared with tokens times the fee' },
  21: { ours: 'summaries count what is there', shown: { 'wire/client-acceptor.test.ts': ['getWorkerTypes: summary of the first version, also of a model without workers'] } },
  22: { ours: 'the same doubles in the same order, because both sides must agree to the token', shown: { 'openai/token-price.test.ts': ['$tokens × $coefficient × $mult = $result'] } },
  23: { ours: 'messages have the layout that the contracts read', shown: { 'chain/cells/messages.test.ts': ['onchain/messages.json: every vector has a codec here', '%s: fields equal, cell equal after encoding'] } },
  24: { ours: 'lengths are written for the body that is sent', shown: { 'proxy/request-limits.test.ts': ['Content-Length follows the body, in whatever case; other headers stay'] } },
  25: { ours: 'requests and answers keep their bytes', shown: { 'openai/json-edit.test.ts': ['keeps order, numbers, escapes and inner spacing of what is not named'], 'proxy/request-limits.test.ts': ['%s: the bytes are the client\\\'s own'], 'client/endpoint/upstream-defects.test.ts': ['25, 26, 28: the body goes as it was written'] } },
  26: { ours: 'headers of a request do not reach the engine', impossible: 'the engine port takes a prompt and sampling, no headers (src/node/engine.ts); our client sends Content-Type and Content-Length only', shown: { 'node/answer-request.test.ts': ['headers of the request, the conversation\'s too, do not reach the engine'], 'client/chat.test.ts': ['sends an OpenAI request that streams, with nothing that was not asked for'], 'client/endpoint/upstream-defects.test.ts': ['25, 26, 28: the body goes as it was written but for the limit'] } },
  27: { ours: 'operator pages are on the loopback address, and refuse pages from elsewhere', shown: { 'http/server.test.ts': ['loopbackOnly: refuses other binds, foreign names and pages from elsewhere'], 'client/endpoint/upstream-defects.test.ts': ['27: pages of other origins and other names of this machine are refused'] } },
  28: {
    ours: 'tools, log probabilities, users and seeds go through; what cannot be honoured is refused by name',
    shown: {
      'client/endpoint/surface.test.ts': ['tools: calls, forced and parallel, and the answer to their results', 'logprobs and top_logprobs: whole and streamed', 'seed, stop, penalties and the rest: as they were written', 'refused by name, before anything is paid for: %s'],
      'client/endpoint/upstream-defects.test.ts': ['25, 26, 28: the body goes as it was written but for the limit, white list or not'],
    },
  },
};

const WIRE_2026: Readonly<Record<string, Behaviour>> = {
  T4: { ours: 'a key for a request that is not encrypted is refused', shown: { 'node/answer-request.test.ts': ['%s is refused before the engine is asked'] } },
  T16: { ours: 'an engine that fails is a failure: status 500 or an error answer, and costs nothing', shown: { 'node/handlers.test.ts': ['500 for a failure before the first piece'], 'network/dishonest.test.ts': ['under-delivers, a status of failure with a bill: the client pays nothing'] } },
  T19: { ours: 'limits are whole numbers from 1', shown: { 'proxy/request-limits.test.ts': ['refused: %s'] } },
  T22: { ours: 'both limits of a body are made one, the lower of what binds', shown: { 'proxy/request-limits.test.ts': ['whatever the body says, what is forwarded is bounded by the envelope'] } },
  '12.4': { ours: 'a request that is sent again is a new request, paid again; one that runs ends the connection', shown: { 'network/dishonest.test.ts': ['replays a request id: each answer is paid for again'] } },
  '12.8': { ours: 'headers that applications send are not passed on by our client', shown: { 'client/chat.test.ts': ['sends an OpenAI request that streams, with nothing that was not asked for'] } },
  '12.9': { ours: 'no paying client kills a node', shown: { 'network/hostile.test.ts': ['a request with %s is answered, and the connection lives'], 'node/handlers.test.ts': ['400 for a body that is not a request'] } },
};

const rows = [...Object.entries(WIRE).map(([key, value]) => [`WIRE.md 20.${key}`, value] as const), ...Object.entries(WIRE_2026).map(([key, value]) => [`WIRE-2026-04.md ${key}`, value] as const)];

describe('upstream defects', () => {
  it('every behaviour of the section is in the table', () => {
    expect(Object.keys(WIRE).map(Number)).toEqual(Array.from({ length: 28 }, (_, index) => index + 1));
  });

  it.each(rows)('%s: ours is shown by tests that exist, or is impossible', (_, { ours, shown = {}, impossible }) => {
    expect(ours).not.toBe('');
    expect(Object.keys(shown).length > 0 || impossible !== undefined).toBe(true);
    for (const [file, names] of Object.entries(shown)) {
      const path = fileURLToPath(new URL(file, import.meta.url));
      expect([file, existsSync(path)]).toEqual([file, true]);
      const source = readFileSync(path, 'utf8');
      for (const name of names) expect([file, name, namesTest(source, name)]).toEqual([file, name, true]);
    }
  });
});

/** True when a test whose name begins so is declared in the source: `it('…` or the `('…` behind the table of `it.each`. */
function namesTest(source: string, name: string): boolean {
  const quoted = name.replaceAll('\\\'', '\'').replaceAll('\'', '\\\'');
  return source.includes(`it('${quoted}`) || source.includes(`)('${quoted}`) || source.includes(`)(\n      '${quoted}`);
}
