// Providers, breakers, models and errors.

import { byId, keyed, make, rows, setAttribute, setText } from './dom.js';
import { clock, count, dollars, nothing, percent, rate, seconds, span } from './format.js';
import { linkTo, scopeOf } from './places.js';

const targetName = (t) => `${t.provider}/${t.model || '*'}`;
const looks = { closed: ['good', 'closed'], half_open: ['warn', 'half-open'], open: ['bad', 'open'] };
const none = { requests: 0, errors: 0, calls: 0, failed: 0, first_token: [null, null, null], whole: [null, null, null] };

// pill makes the content of a cell a state that can be seen and read.
function pill(look, text, title) {
	return (td) => {
		let span = td.firstElementChild;
		if (!span) td.append((span = make('span')));
		span.className = `pill ${look}`;
		setText(span, text);
		setAttribute(span, 'title', title);
	};
}

function link(kind, name, text = name) {
	return (td) => {
		let a = td.firstElementChild;
		if (!a) td.append((a = make('a')));
		setAttribute(a, 'href', linkTo(kind, name));
		setText(a, text);
	};
}

// worst returns the state that tells most of a provider: of those of its targets that are configured.
function worst(targets) {
	const named = targets.filter((t) => t.model !== '');
	const states = (named.length > 0 ? named : targets).map((t) => t.breaker.state);
	if (states.length === 0) return ['good', 'healthy'];
	const open = states.filter((s) => s === 'open').length;
	if (open === states.length) return ['bad', 'down'];
	if (open > 0) return ['warn', `${open} of ${states.length} open`];
	return states.includes('half_open') ? ['warn', 'probing'] : ['good', 'healthy'];
}

export function drawProviders({ tick, place }) {
	if (place.kind !== 'all') return;
	const per = Math.max(1, Math.min(60, (tick.now - tick.began) / 1000));
	keyed(byId('providers'), tick.providers, (p) => p.name, (p) => {
		const part = (name) => [make('dt', {}, name), make('dd', {}, nothing)];
		return make('li', { class: 'card panel' }, make('header', {}, make('a', { href: linkTo('provider', p.name) }, p.name), make('span', { class: 'pill' })),
			make('dl', {}, ...part('Req/s'), ...part('Failed'), ...part('First token'), ...part('In flight')), make('p', { class: 'keys' }));
	}, (card, p) => {
		const targets = tick.targets.filter((t) => t.provider === p.name);
		const minute = scopeOf(tick, 'provider', p.name)?.minute ?? none;
		const [look, word] = worst(targets);
		const state = card.querySelector('.pill');
		state.className = `pill ${look}`;
		setText(state, word);
		const sum = (of) => targets.reduce((n, t) => n + of(t), 0);
		const values = [rate(minute.requests / per), percent(minute.failed, minute.calls), seconds(minute.first_token[1]), count(sum((t) => t.in_flight))];
		card.querySelectorAll('dd').forEach((dd, i) => setText(dd, values[i]));
		const amiss = (p.credentials ?? []).filter((k) => k.state !== 'ok');
		const keys = card.querySelector('.keys');
		keys.classList.toggle('bad', amiss.length > 0);
		setText(keys, amiss.length > 0 ? amiss.map(describeKey).join('; ') : keysOf(p));
	});
	byId('s-providers').hidden = tick.providers.length === 0;
}

function keysOf({ credentials }) {
	if (!credentials?.length || credentials[0].name === 'no key') return 'no API key';
	return credentials.length === 1 ? '1 API key, ok' : `${credentials.length} API keys, all ok`;
}

function describeKey(key) {
	const time = key.for_seconds ? ` for ${span(key.for_seconds)}` : '';
	return `${key.name} ${key.state}${time}`;
}

export function drawBreakers({ tick, place, transitions }, range) {
	if (place.kind === 'model' || place.kind === 'key') return;
	const targets = tick.targets.filter((t) => (place.kind === 'all' || t.provider === place.name) && tells(t, tick.targets, transitions));
	const since = Math.max(range.from, tick.began);
	setText(byId('breakers-span'), `the last ${span((range.to - range.from) / 1000)}`);
	rows(byId('targets'), targets, targetName, (t) => {
		const [look, word] = looks[t.breaker.state] ?? ['unknown', t.breaker.state];
		const wait = t.breaker.open_for_seconds > 0 ? `tried in ${span(t.breaker.open_for_seconds)}` : undefined;
		const paused = t.breaker.paused_for_seconds > 0;
		return [
			{ text: targetName(t), title: targetName(t) },
			paused && t.breaker.state === 'closed' ? pill('warn', `paused ${span(t.breaker.paused_for_seconds)}`, 'The provider has asked for a pause.')
				: pill(look, wait ? `${word}, ${span(t.breaker.open_for_seconds)}` : word, wait),
			(td) => strip(td, t, transitions, range, since),
			{ text: t.breaker.calls ? `${t.breaker.failures} of ${t.breaker.calls}` : nothing, class: t.breaker.failures > 0 ? 'warn' : '' },
			t.limit ? `${t.in_flight} of ${t.limit}` : count(t.in_flight),
			{ text: count(t.waiting), class: t.waiting > 0 ? 'warn' : '' },
		];
	});
	const changes = transitions.filter((t) => place.kind === 'all' || t.provider === place.name);
	rows(byId('transitions'), changes, (t) => `${t.at} ${targetName(t)} ${t.state}`, (t) => [
		clock(t.at), targetName(t), pill(...(looks[t.state] ?? ['unknown', t.state])), t.open_for_seconds ? span(t.open_for_seconds) : nothing,
	]);
}

// tells reports whether a target has something to show: what stands for all models that are not
// configured has not, until one was asked for.
function tells(target, all, transitions) {
	return target.model !== '' || target.breaker.state !== 'closed' || target.breaker.calls + target.in_flight + target.waiting > 0
		|| transitions.some((t) => t.provider === target.provider && t.model === '')
		|| !all.some((t) => t.provider === target.provider && t.model !== '');
}

// strip draws how a breaker was over the time shown, and says it in words.
function strip(td, target, transitions, range, since) {
	let svg = td.firstElementChild;
	if (!svg) {
		svg = make('svg', { class: 'strip', role: 'img', preserveAspectRatio: 'none', viewBox: '0 0 1000 16' });
		td.append(svg);
	}
	const own = transitions.filter((t) => t.provider === target.provider && t.model === target.model).reverse();
	const parts = [];
	let state = 'closed';
	let from = since;
	for (const t of own) {
		if (t.at > from) {
			parts.push({ state, from, to: t.at });
			from = t.at;
		}
		state = t.state;
	}
	parts.push({ state, from, to: range.to });
	const x = (at) => ((at - range.from) / (range.to - range.from)) * 1000;
	if (since > range.from) parts.unshift({ state: 'unknown', from: range.from, to: since });
	keyed(svg, parts.filter((p) => p.to > p.from), (p) => String(p.from === range.from ? `start ${p.state}` : p.from), () => make('rect', { y: 0, height: 16 }), (rect, p) => {
		setAttribute(rect, 'class', p.state);
		setAttribute(rect, 'x', x(p.from).toFixed(1));
		setAttribute(rect, 'width', Math.max(2, x(p.to) - x(p.from)).toFixed(1));
	});
	const open = parts.filter((p) => p.state === 'open').reduce((ms, p) => ms + p.to - p.from, 0);
	const changes = own.filter((t) => t.at >= since).length;
	setAttribute(svg, 'aria-label', changes === 0 && open === 0 ? 'closed all the time' : `open for ${span(open / 1000)}, ${changes} changes`);
}

export function drawModels({ tick, place }) {
	if (place.kind === 'model' || place.kind === 'key') return;
	const per = Math.max(1, Math.min(60, (tick.now - tick.began) / 1000));
	const all = place.kind === 'all';
	const models = tick.scopes.filter((s) => (all ? s.kind === 'model' : s.kind === 'pair' && s.name === place.name))
		.sort((a, b) => b.total.cost - a.total.cost || b.total.requests - a.total.requests);
	setText(byId('models-since'), `tokens and cost since ${clock(tick.began)}`);
	rows(byId('models'), models, (s) => s.model ?? s.name, (s) => [
		link('model', s.model ?? s.name), rate(s.minute.requests / per),
		{ text: percent(s.minute.errors, s.minute.requests), class: s.minute.errors > 0 ? 'bad' : '' },
		seconds(s.minute.first_token[1]), count(s.total.input), count(s.total.output), s.total.cost ? dollars(s.total.cost) : nothing,
	]);
}

export function drawKeys({ tick, place }) {
	const per = Math.max(1, Math.min(60, (tick.now - tick.began) / 1000));
	const keys = tick.scopes.filter((s) => s.kind === 'key').sort((a, b) => b.total.cost - a.total.cost || b.total.requests - a.total.requests);
	byId('s-keys').hidden = keys.length === 0 || place.kind !== 'all';
	rows(byId('keys'), keys, (s) => s.name, (s) => [
		link('key', s.name), rate(s.minute.requests / per),
		{ text: percent(s.minute.errors, s.minute.requests), class: s.minute.errors > 0 ? 'bad' : '' },
		seconds(s.minute.whole[1]), count(s.total.input), count(s.total.output), s.total.cost ? dollars(s.total.cost) : nothing,
	]);
}

export function drawErrors({ errors, place }) {
	const shown = errors.filter((e) => place.kind === 'all' || e[place.kind] === place.name);
	let before = '';
	let same = 0;
	const keys = new Map(shown.map((e) => {
		same = String(e.at) === before ? same + 1 : 0;
		before = String(e.at);
		return [e, `${e.at} ${same}`];
	}));
	rows(byId('errors'), shown, (e) => keys.get(e), (e) => [
		clock(e.at), { text: e.status ? String(e.status) : nothing, class: e.status >= 400 && e.status < 500 && e.status !== 429 ? 'warn' : 'bad' },
		{ text: e.code || e.outcome, class: 'cut', title: e.code ? `${e.outcome}: ${e.code}` : e.outcome }, e.provider || nothing, { text: e.model || nothing, class: 'cut', title: e.model }, e.key || nothing, e.route, seconds(e.seconds), String(e.attempts),
	]);
}
