// The page: where it is (everything, or one provider or model), what it has been told, and when to draw.

import { byId, setText, setAttribute } from './dom.js';
import { announceChanges, say, toast } from './announce.js';
import { buildCharts, buildTiles, drawCharts, drawTiles } from './figures.js';
import { drawBreakers, drawErrors, drawKeys, drawModels, drawProviders } from './tables.js';
import { drawQueue } from './queue.js';
import { scopeOf } from './places.js';
import { span as longSpan, clock } from './format.js';

const spans = { '5m': 300e3, '1h': 3600e3, '24h': 86400e3 };

const state = {
	place: { kind: 'all', name: '' },
	span: '5m',
	points: [], // of the place, in the order of columns
	columns: [],
	tick: null,
	errors: [],
	transitions: [],
	jobs: { pending: [], failed: [] },
};

function readPlace() {
	const [kind, ...rest] = location.hash.replace(/^#\/?/, '').split('/');
	let name = '';
	try {
		name = decodeURIComponent(rest.join('/'));
	} catch { /* not a name: everything */ }
	return ['provider', 'model', 'key'].includes(kind) && name ? { kind, name } : { kind: 'all', name: '' };
}

function showPlace() {
	const { kind, name } = state.place;
	const all = kind === 'all';
	setText(byId('title'), all ? 'Overview' : name);
	document.title = all ? 'Runestone' : `${name} · Runestone`;
	byId('place').hidden = all;
	setText(byId('place-kind'), { provider: 'Provider', model: 'Model', key: 'API key' }[kind] ?? '');
	byId('s-providers').hidden = !all;
	const narrow = kind === 'model' || kind === 'key';
	byId('s-breakers').hidden = narrow;
	byId('s-queue').hidden = !all;
	byId('s-models').hidden = narrow;
}

// historyOf gets what was before the page was opened. Answers that come too late are for another place.
let asked = 0;
async function getHistory() {
	const mine = ++asked;
	const { kind, name } = state.place;
	const query = new URLSearchParams({ kind, name, span: state.span });
	try {
		const answer = await fetch(`data/history?${query}`);
		if (!answer.ok) throw new Error(await answer.text());
		const history = await answer.json();
		if (mine !== asked) return;
		state.columns = history.columns;
		state.points = history.points;
		draw();
	} catch {
		if (mine === asked) setTimeout(getHistory, 2000);
	}
}

// append adds the tick's second to the points that are shown.
function append() {
	const scope = scopeOf(state.tick, state.place.kind, state.place.name);
	if (!scope?.point) return;
	state.columns = state.tick.columns;
	if (state.span !== '5m') {
		const last = state.points.at(-1)?.[0] ?? 0;
		if (scope.point[0] - last > 90 && scope.point[0] % 30 === 0) getHistory();
		return;
	}
	if (scope.point[0] > (state.points.at(-1)?.[0] ?? 0)) state.points.push(scope.point);
	const oldest = state.tick.now / 1000 - 305;
	while (state.points.length > 0 && state.points[0][0] < oldest) state.points.shift();
}

function range() {
	const to = state.tick?.now ?? Date.now();
	// Of a process that has just begun there is less to show.
	const bySecond = state.span === '5m';
	const age = to - (state.tick?.began ?? 0);
	const long = Math.min(spans[state.span], Math.max(age, bySecond ? 60e3 : 900e3));
	return { from: to - long, to, step: bySecond ? 1000 : 60e3, long };
}

let frame = 0;
function draw() {
	if (frame || document.hidden) return;
	frame = requestAnimationFrame(() => {
		frame = 0;
		if (!state.tick) return;
		const shown = range();
		drawTiles(state, shown);
		drawCharts(state, shown);
		drawProviders(state);
		drawBreakers(state, shown);
		drawModels(state);
		drawKeys(state);
		drawQueue(state);
		drawErrors(state);
		const names = { pass: ['good', 'healthy'], warn: ['warn', 'degraded'], fail: ['bad', 'not ready'] };
		const [look, word] = names[state.tick.health] ?? ['unknown', 'no gateway'];
		byId('health').className = `pill ${look}`;
		setText(byId('health'), word);
		setText(byId('since'), `Counted in this process for ${longSpan((state.tick.now - state.tick.began) / 1000)}, since ${clock(state.tick.began)}. Kept in memory: five minutes by the second, a day by the minute.`);
	});
}

function connection(ok) {
	byId('live').classList.toggle('off', !ok);
	setText(byId('live-text'), ok ? 'Live' : 'Reconnecting…');
}

let events = null;
function connect() {
	events = new EventSource('data/events');
	let lost = false;
	events.addEventListener('open', () => {
		connection(true);
		if (lost) say('Connected again.');
		lost = false;
		getHistory();
	});
	events.addEventListener('error', () => {
		if (!lost) say('The connection to the gateway is lost.');
		lost = true;
		connection(false);
		// A browser gives up when it was answered with an error, as by a gateway that starts.
		if (events.readyState === EventSource.CLOSED) setTimeout(() => { if (!paused) connect(); }, 3000);
	});
	const on = (name, apply) => events.addEventListener(name, (event) => {
		apply(JSON.parse(event.data));
		draw();
	});
	on('tick', (tick) => {
		state.tick = tick;
		append();
		announceChanges(tick);
	});
	on('errors', (entries) => { state.errors = entries; });
	on('breakers', (entries) => { state.transitions = entries; });
	on('jobs', (jobs) => { state.jobs = jobs; });
}

// A page that nobody looks at lets go of its connection after a while, of which browsers have few.
const hiddenFor = 60e3;
let paused = false;
let pausing = 0;
function visibility() {
	clearTimeout(pausing);
	if (document.hidden) {
		pausing = setTimeout(() => {
			paused = true;
			events.close();
			connection(false);
		}, hiddenFor);
		return;
	}
	if (paused) {
		paused = false;
		connect();
	}
	draw();
}

function chooseTheme() {
	const names = { auto: ['◐', 'as the system says'], dark: ['☾', 'dark'], light: ['☀', 'light'] };
	const order = Object.keys(names);
	const button = byId('theme');
	const show = () => {
		const theme = document.documentElement.dataset.theme;
		const next = order[(order.indexOf(theme) + 1) % order.length];
		setText(button.firstElementChild, names[theme][0]);
		const label = `Theme: ${names[theme][1]}. Change to ${names[next][1]}.`;
		setAttribute(button, 'aria-label', label);
		setAttribute(button, 'title', label);
		return next;
	};
	button.addEventListener('click', () => {
		const next = show();
		document.documentElement.dataset.theme = next;
		try {
			localStorage.setItem('runestone-theme', next);
		} catch { /* it is not kept, then */ }
		show();
	});
	show();
}

function chooseSpan() {
	const buttons = [...document.querySelectorAll('[data-span]')];
	for (const button of buttons) {
		button.addEventListener('click', () => {
			state.span = button.dataset.span;
			for (const b of buttons) b.setAttribute('aria-pressed', String(b === button));
			state.points = [];
			getHistory();
			say(`Showing ${button.textContent}.`);
		});
	}
}

// Tables that are shown as lists on a phone stay tables to a screen reader.
function keepRoles() {
	for (const table of document.querySelectorAll('table.stack')) {
		table.setAttribute('role', 'table');
		for (const part of [table.tHead, ...table.tBodies]) part.setAttribute('role', 'rowgroup');
		for (const row of table.tHead.rows) {
			row.setAttribute('role', 'row');
			for (const cell of row.cells) cell.setAttribute('role', 'columnheader');
		}
	}
}

addEventListener('hashchange', () => {
	const place = readPlace();
	if (location.hash === '#main' || (place.kind === state.place.kind && place.name === state.place.name)) return;
	state.place = place;
	state.points = [];
	showPlace();
	getHistory();
	draw();
	scrollTo(0, 0);
	byId('title').focus();
});
document.addEventListener('visibilitychange', visibility);
document.addEventListener('announce', (event) => say(event.detail));
document.addEventListener('told', (event) => toast(event.detail));

keepRoles();
state.place = readPlace();
buildTiles(byId('tiles'));
buildCharts(byId('charts'));
showPlace();
chooseTheme();
chooseSpan();
connect();
