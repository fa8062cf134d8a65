// The operator's page: asks its own server for the node's state and a day of samples, and draws them. Text from the node is only
// ever set as text. Acts only with the token that came in the address behind #, which is kept for this tab and taken out of it.

const STATE_EVERY_MS = 2_000;
const HISTORY_EVERY_MS = 10_000;
const NANO = 1e9;
const SVG = 'http://www.w3.org/2000/svg';
const TOKEN_NAME = 'cocoon-token';

const $ = (id) => document.getElementById(id);
const set = (id, text) => { const element = $(id); if (element.textContent !== text) element.textContent = text; };

function make(name, attributes = {}, ...children) {
  const element = name.startsWith('svg:') ? document.createElementNS(SVG, name.slice(4)) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Figures

const plain = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
const number = (value) => (value < 100_000 ? plain : short).format(value);
const rate = (value) => (value >= 100 ? plain.format(value) : value.toFixed(1));
const milliseconds = (value) => (value < 10 ? `${value.toFixed(1)} ms` : value < 1_000 ? `${Math.round(value)} ms` : `${(value / 1_000).toFixed(2)} s`);
const cut = (text, length) => (text.length <= length ? text : `${text.slice(0, length - 6)}…${text.slice(-5)}`);

function span(ms) {
  const units = [[86_400_000, 'd'], [3_600_000, 'h'], [60_000, 'min'], [1_000, 's']];
  const parts = [];
  let left = Math.max(0, ms);
  for (const [size, name] of units) {
    const whole = Math.floor(left / size);
    left -= whole * size;
    if (whole > 0 && parts.length < 2) parts.push(`${whole} ${name}`);
  }
  return parts.join(' ') || '0 s';
}

/** nanoTON as text, with as many digits as its size deserves. */
function ton(nano) {
  const value = Number(nano) / NANO;
  if (value === 0) return '0';
  if (value >= 10_000) return short.format(value);
  return value.toLocaleString('en', { maximumFractionDigits: value >= 100 ? 1 : value >= 1 ? 3 : 6 });
}

// Drawing

const PAD = { left: 44, right: 8, top: 8, bottom: 20 };

/** Round steps that cover 0 to `most`. */
function steps(most, wanted, whole) {
  if (!(most > 0)) return [0, 1];
  const rough = most / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const found = [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) * power;
  const size = whole === true ? Math.max(1, Math.ceil(found)) : found;
  return Array.from({ length: Math.ceil(most / size - 1e-9) + 1 }, (_, at) => at * size);
}

const clock = (ms) => new Date(ms).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });

/** Minutes between labels that leave room for them. */
const TIME_STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 180, 240, 360].map((minutes) => minutes * 60_000);

function timeMarks(from, to, wanted) {
  const size = TIME_STEPS.find((step) => (to - from) / step <= wanted) ?? TIME_STEPS.at(-1);
  const offset = new Date(from).getTimezoneOffset() * 60_000;
  const marks = [];
  for (let at = Math.ceil((from - offset) / size) * size + offset; at <= to; at += size) marks.push(at);
  return marks;
}

/** Runs of samples without a gap: what was not measured is not drawn. */
function runs(points, everyMs) {
  const found = [];
  let last = null;
  for (const point of points) {
    if (point.value === null) { last = null; continue; }
    if (last === null || point.at - last.at > everyMs * 3.5) found.push([]);
    found.at(-1).push(point);
    last = point;
  }
  return found;
}

/**
 * Draws series over time into `box`. Each has a name (its class), a column of the samples and, if its area is to be filled, `area`.
 * `format` writes a value; `most` is the end of the scale where it has one; `whole`: what is counted has no halves.
 */
function draw(box, { samples, everyMs, fields, series, format, most, whole, spanMs }) {
  const { width, height } = box.getBoundingClientRect();
  if (width < 40) return;
  const columns = series.map(({ field, scale = 1 }) => {
    const column = fields.indexOf(field);
    return samples.map((sample) => ({ at: sample[0], value: sample[column] === null ? null : sample[column] * scale }));
  });
  const values = columns.flat().flatMap(({ value }) => value ?? []);
  if (values.length < 2) {
    box.replaceChildren(make('p', { class: 'none' }, 'collecting samples'));
    return;
  }
  const to = samples.at(-1)[0];
  const from = Math.max(to - spanMs, Math.min(samples[0][0], to - 60_000));
  const ticks = steps(most ?? Math.max(...values) * 1.04, height > 170 ? 4 : 3, whole);
  const top = ticks.at(-1);
  const x = (at) => PAD.left + (at - from) / (to - from) * (width - PAD.left - PAD.right);
  const y = (value) => height - PAD.bottom - value / top * (height - PAD.top - PAD.bottom);
  const svg = make('svg:svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': box.dataset.label ?? '' });
  for (const tick of ticks) {
    svg.append(make('svg:line', { class: 'grid', x1: PAD.left, x2: width - PAD.right, y1: Math.round(y(tick)) + 0.5, y2: Math.round(y(tick)) + 0.5 }));
    svg.append(make('svg:text', { x: PAD.left - 8, y: y(tick) + 4, 'text-anchor': 'end' }, format(tick)));
  }
  for (const mark of timeMarks(from, to, Math.max(2, Math.floor(width / 90)))) {
    if (x(mark) > PAD.left + 14 && x(mark) < width - 20) svg.append(make('svg:text', { x: x(mark), y: height - 4, 'text-anchor': 'middle' }, clock(mark)));
  }
  series.forEach(({ name, area }, at) => {
    for (const run of runs(columns[at].filter((point) => point.at >= from), everyMs)) {
      const line = run.map((point) => `${x(point.at).toFixed(1)},${y(point.value).toFixed(1)}`);
      if (area === true) svg.append(make('svg:path', { class: `area ${name}`, d: `M${x(run[0].at).toFixed(1)},${y(0)}L${line.join('L')}L${x(run.at(-1).at).toFixed(1)},${y(0)}Z` }));
      svg.append(make('svg:path', { class: `series ${name}`, d: `M${line.join('L')}${run.length === 1 ? 'h0.1' : ''}` }));
    }
  });
  box.replaceChildren(svg);
  box.onpointermove = (event) => point(box, svg, { event, columns, series, samples, format, x, y, from, to, width, height });
  box.onpointerleave = () => { for (const old of box.querySelectorAll('.cursor, .dot, .tip')) old.remove(); };
}

/** The values at the pointer. */
function point(box, svg, { event, columns, series, samples, format, x, y, from, to, width, height }) {
  for (const old of box.querySelectorAll('.cursor, .dot, .tip')) old.remove();
  const at = from + (event.clientX - box.getBoundingClientRect().left - PAD.left) / (width - PAD.left - PAD.right) * (to - from);
  let nearest = 0;
  samples.forEach((sample, index) => { if (Math.abs(sample[0] - at) < Math.abs(samples[nearest][0] - at)) nearest = index; });
  const time = samples[nearest][0];
  if (time < from) return;
  const found = series.flatMap(({ label }, index) => { const { value } = columns[index][nearest]; return value === null ? [] : [{ label, value }]; });
  if (found.length === 0) return;
  svg.append(make('svg:line', { class: 'cursor', x1: x(time), x2: x(time), y1: PAD.top, y2: height - PAD.bottom }));
  for (const { value } of found) svg.append(make('svg:circle', { class: 'dot', cx: x(time), cy: y(value), r: 3.5 }));
  const tip = make('div', { class: 'tip' }, ...found.flatMap(({ label, value }) => [`${label} ${format(value)}`, make('br')]), clock(time));
  tip.style.left = `${Math.min(width - 56, Math.max(56, x(time)))}px`;
  box.append(tip);
}

// What is shown

let range = 'fine';
let history = null;
let state = null;

function drawAll() {
  if (history === null) return;
  const { fields } = history;
  const { samples, everyMs } = history[range];
  const common = { samples, everyMs, fields, spanMs: range === 'fine' ? 1_800_000 : 86_400_000 };
  draw($('chart-tokens'), { ...common, format: (value) => (value >= 1_000 ? short.format(value) : String(Number(value.toFixed(value < 10 ? 1 : 0)))), series: [{ name: 'tokens', label: 'tokens/s', field: 'tokensPerSecond', area: true }] });
  draw($('chart-requests'), {
    ...common, whole: true, format: (value) => String(Number(value.toFixed(1))),
    series: [{ name: 'running', label: 'running', field: 'running', area: true }, { name: 'queued', label: 'queued', field: 'queued' }],
  });
  const hasMoney = state !== null && state.money !== null;
  if (hasMoney) {
    draw($('chart-money'), {
      ...common, format: (value) => ton(value * NANO),
      series: [['claimed', true], ['signed', false], ['accrued', false]].map(([name, area]) => ({ name, label: name, field: `${name}Nano`, scale: 1 / NANO, area })),
    });
  }
  $('chart-gpu').hidden = state === null || state.gpus.length === 0;
  if (!$('chart-gpu').hidden) {
    draw($('chart-gpu'), {
      ...common, most: 100, format: (value) => `${Math.round(value)} %`,
      series: [{ name: 'gpu', label: 'GPU', field: 'gpuPercent', area: true }, { name: 'memory', label: 'memory', field: 'gpuMemoryPercent' }],
    });
  }
}

const listedTag = (element, what) => {
  element.className = `tag ${what === 'listed' ? 'good' : what === 'not listed' ? 'bad' : ''}`;
  element.textContent = what === 'unknown' ? 'list unknown' : what;
};

function showState(now) {
  const { requests, tokens, engine, attestation, money, capacity } = now;
  set('model', now.model.split('@')[0]);
  document.title = `${now.state} · ${now.model.split('@')[0]}`;
  set('facts', `${now.network} · up ${span(now.uptimeMs)} · version ${now.version}`);
  $('state').dataset.state = now.state;
  set('state-text', now.state);
  $('warnings').hidden = now.warnings.length === 0;
  $('warnings').replaceChildren(...now.warnings.map((warning) => make('li', {}, warning)));

  set('rate', rate(tokens.perSecond.s10));
  set('rate-m15', rate(tokens.perSecond.m15));
  set('rate-h1', rate(tokens.perSecond.h1));
  set('first', tokens.firstTokenMs === null ? '–' : milliseconds(tokens.firstTokenMs.median));

  set('running', number(requests.running));
  set('queued', number(requests.queued));
  set('capacity', `${capacity.told} at once`);
  for (const name of ['answered', 'cancelled', 'failed']) set(name, number(requests[name]));
  const slots = $('slots');
  const count = Math.min(64, capacity.engine);
  if (slots.childElementCount !== count) slots.replaceChildren(...Array.from({ length: count }, () => make('i')));
  slots.setAttribute('aria-label', `${requests.running} of ${capacity.engine} places in use`);
  [...slots.children].forEach((slot, at) => slot.classList.toggle('on', at < Math.round(requests.running / capacity.engine * count)));

  $('money-none').hidden = money !== null;
  $('chart-money').hidden = money === null;
  for (const legend of document.querySelectorAll('.legend')) legend.hidden = money === null;
  if (money !== null) for (const name of ['accrued', 'signed', 'claimed']) set(name, ton(money[`${name}Nano`]));
  set('gas', money === null ? '' : `gas ${money.wallet.balanceNano === null ? 'unknown' : `${ton(money.wallet.balanceNano)} TON`}`);

  set('evidence', attestation.evidence);
  $('evidence').className = `tag ${attestation.evidence === 'simulated' ? 'warn' : 'good'}`;
  set('image', attestation.imageHash === null ? 'none' : cut(attestation.imageHash, 18));
  $('image').title = attestation.imageHash ?? '';
  listedTag($('image-listed'), attestation.image);
  listedTag($('model-listed'), attestation.model);
  set('certificate', `good for ${span(attestation.certificateEndsMs - now.nowMs)}`);
  set('tls-key', cut(attestation.tlsPublicKey, 18));
  $('tls-key').title = attestation.tlsPublicKey;

  showProxies(now);
  showEngine(now, engine);
  $('drain').hidden = now.state === 'draining' || now.state === 'drained';
  $('resume').hidden = !$('drain').hidden;
  set('updated', `as of ${new Date(now.nowMs).toLocaleTimeString([], { hourCycle: 'h23' })}`);
}

function showProxies({ proxies, money }) {
  const ready = proxies.filter(({ link }) => link === 'ready').length;
  set('proxy-count', `${ready} of ${proxies.length} connected`);
  $('proxies').replaceChildren(...proxies.map(({ address, link, verified, roundTripMs, running, problem, contract }) => {
    const owed = money?.proxies.find(({ proxy }) => proxy === contract);
    const first = make('td', {}, make('i', { class: `link ${link}`, title: link }), make('span', {}, address));
    if (problem !== null) first.append(make('small', {}, problem));
    return make('tr', {},
      first, make('td', {}, verified === null ? '–' : `${verified.evidence}, ${verified.checks} checks`),
      make('td', { class: 'number' }, roundTripMs === null ? '–' : milliseconds(roundTripMs)),
      make('td', { class: 'number' }, verified === null ? '–' : verified.leftMs === null ? 'ever' : span(verified.leftMs)),
      make('td', { class: 'number' }, String(running)),
      make('td', { class: 'number' }, owed === undefined || owed.owedNano === null ? '–' : `${ton(owed.owedNano)} TON`));
  }));
}

function showEngine({ gpus, price }, engine) {
  set('backend', engine.backend);
  $('backend').className = `tag ${engine.backend === 'cpu' ? '' : 'good'}`;
  set('layers', engine.backend === 'cpu' ? 'none' : `${engine.gpuLayers} of ${engine.totalLayers}`);
  set('context', `${engine.sequences} × ${number(engine.contextSize)}`);
  set('threads', String(engine.threads));
  set('price', `× ${(price / 1_000).toFixed(3)}`);
  const box = $('gpus');
  if (box.childElementCount !== gpus.length) {
    box.replaceChildren(...gpus.map(() => make('div', { class: 'gpu' },
      make('p', {}, make('span', { class: 'name' }), make('span', { class: 'use' })), make('div', { class: 'bar' }, make('i')), make('div', { class: 'bar memory' }, make('i')), make('small'))));
  }
  gpus.forEach(({ name, utilizationPercent, memoryUsedMib, memoryTotalMib, temperatureC, powerW }, at) => {
    const card = box.children[at];
    const share = memoryUsedMib === null || memoryTotalMib === null ? null : memoryUsedMib / memoryTotalMib * 100;
    card.querySelector('.name').textContent = name;
    card.querySelector('.use').textContent = utilizationPercent === null ? '' : `${Math.round(utilizationPercent)} %`;
    card.querySelector('.bar i').style.width = `${utilizationPercent ?? 0}%`;
    card.querySelector('.memory i').style.width = `${share ?? 0}%`;
    card.querySelector('small').textContent = [
      share === null ? null : `${(memoryUsedMib / 1_024).toFixed(1)} of ${(memoryTotalMib / 1_024).toFixed(0)} GiB`, temperatureC === null ? null : `${Math.round(temperatureC)} °C`, powerW === null ? null : `${Math.round(powerW)} W`,
    ].filter((part) => part !== null).join(' · ');
  });
}

function showGone(problem) {
  document.body.classList.add('stale');
  $('state').dataset.state = 'stopped';
  set('state-text', 'not running');
  $('warnings').hidden = false;
  $('warnings').replaceChildren(make('li', {}, problem));
}

// Asking

async function get(path) {
  const answer = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(10_000) });
  const json = await answer.json();
  if (!answer.ok) throw new Error(json.error?.message ?? `the page's server answered ${answer.status}`);
  return json;
}

async function look() {
  try {
    state = await get('/api/state');
    document.body.classList.remove('stale');
    showState(state);
  } catch (error) {
    showGone(error instanceof TypeError ? 'the page\'s server is not running: start `cocoon node dashboard` again' : error.message);
  }
}

async function lookBack() {
  try {
    history = await get('/api/history');
    drawAll();
  } catch {
    // What is wrong is shown by the state.
  }
}

function takeToken() {
  const given = new URLSearchParams(location.hash.slice(1)).get('token');
  if (given !== null) {
    sessionStorage.setItem(TOKEN_NAME, given);
    window.history.replaceState(null, '', location.pathname);
  }
  return sessionStorage.getItem(TOKEN_NAME);
}

const token = takeToken();

async function act(what) {
  for (const button of $('actions').children) button.disabled = true;
  try {
    const answer = await fetch(`/api/${what}`, { method: 'POST', body: '{}', headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` } });
    if (!answer.ok) throw new Error((await answer.json()).error?.message ?? `refused with ${answer.status}`);
    await look();
  } catch (error) {
    $('warnings').hidden = false;
    $('warnings').prepend(make('li', {}, `${what}: ${error.message}`));
  } finally {
    for (const button of $('actions').children) button.disabled = false;
  }
}

if (token !== null) {
  $('actions').hidden = false;
  set('access', 'with control');
  $('drain').addEventListener('click', () => act('drain'));
  $('resume').addEventListener('click', () => act('resume'));
  $('stop').addEventListener('click', () => {
    set('ask-text', `Stop the node? ${state === null || state.requests.running === 0 ? 'Nothing runs on it now.' : `${state.requests.running} requests run on it and would be cut off; drain it first to finish them.`}`);
    $('ask').showModal();
  });
  $('ask').addEventListener('close', () => { if ($('ask').returnValue === 'yes') void act('stop'); });
}

for (const button of document.querySelectorAll('[data-range]')) {
  button.addEventListener('click', () => {
    range = button.dataset.range;
    for (const other of document.querySelectorAll('[data-range]')) other.setAttribute('aria-pressed', String(other === button));
    drawAll();
  });
}
for (const [id, label] of [['chart-tokens', 'Tokens per second over time'], ['chart-requests', 'Requests over time'], ['chart-money', 'TON accrued, signed and claimed over time'], ['chart-gpu', 'Use of the GPUs over time']]) $(id).dataset.label = label;
new ResizeObserver(() => drawAll()).observe(document.body);

const repeat = (work, everyMs) => {
  void work();
  setInterval(() => { if (!document.hidden) void work(); }, everyMs);
};
repeat(look, STATE_EVERY_MS);
repeat(lookBack, HISTORY_EVERY_MS);
document.addEventListener('visibilitychange', () => { if (!document.hidden) { void look(); void lookBack(); } });
