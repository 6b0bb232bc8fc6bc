// The tiles and the charts.

import { make, setText, setAttribute } from './dom.js';
import { chart, sparkline } from './chart.js';
import { scopeOf } from './places.js';
import { count, dollars, nothing, percent, rate, seconds } from './format.js';

const empty = { requests: 0, errors: 0, refused: 0, input: 0, output: 0, cost: 0, calls: 0, failed: 0, first_token: [null, null, null], whole: [null, null, null] };

// A tile: what it is called, its colour, which column its line is of, and what it says.
const tiles = [
	{
		id: 'requests', name: 'Requests per second', colour: 'c-blue', column: (v) => v.requests,
		say: ({ minute, per, total }) => [rate(minute.requests / per), `${count(total.requests)} in all`],
	},
	{
		id: 'errors', name: 'Errors', colour: 'c-red', column: (v) => v.errors,
		say: ({ minute, total }) => [percent(minute.errors, minute.requests),
			minute.errors > 0 ? `${count(minute.errors)} in a minute, ${count(minute.refused)} refused` : `${count(total.errors)} in all`, minute.errors > minute.refused],
	},
	{
		id: 'first', name: 'First token, p95', colour: 'c-teal', column: (v) => v.first95,
		say: ({ minute }) => [seconds(minute.first_token[1]), `p50 ${seconds(minute.first_token[0])}`],
	},
	{
		id: 'whole', name: 'Whole answer, p95', colour: 'c-violet', column: (v) => v.whole95,
		say: ({ minute }) => [seconds(minute.whole[1]), `p50 ${seconds(minute.whole[0])}`],
	},
	{
		id: 'tokens', name: 'Tokens per second', colour: 'c-pink', column: (v) => v.input + v.output,
		say: ({ minute, per, total }) => [rate((minute.input + minute.output) / per), `${count(total.input + total.output)} in all`],
	},
	{
		id: 'cost', name: 'Cost per hour', colour: 'c-green', column: (v) => v.cost,
		say: ({ minute, per, total }) => [dollars((minute.cost / per) * 3600), `${dollars(total.cost)} in all`],
	},
];

export function buildTiles(parent) {
	for (const tile of tiles) {
		tile.value = make('dd', { class: 'value' }, nothing);
		tile.more = make('dd', { class: 'more' }, ' ');
		tile.spark = sparkline(tile.colour);
		parent.append(make('div', { class: 'tile panel', id: `tile-${tile.id}` }, make('dt', {}, tile.name), tile.value, tile.more,
			make('dd', { 'aria-hidden': 'true' }, tile.spark.element)));
	}
}

export function drawTiles(state, range) {
	const scope = scopeOf(state.tick, state.place.kind, state.place.name);
	const minute = scope?.minute ?? empty;
	const total = scope?.total ?? empty;
	// Of a process that has just begun the last minute is shorter.
	const per = Math.max(1, Math.min(60, (state.tick.now - state.tick.began) / 1000));
	const values = state.points.map((p) => named(state, p));
	for (const tile of tiles) {
		const [value, more, bad] = tile.say({ minute, per, total });
		setText(tile.value, value);
		setText(tile.more, more);
		setAttribute(tile.more, 'title', more);
		tile.more.classList.toggle('bad', Boolean(bad));
		tile.spark.update(values.map(tile.column), Math.max(2, range.long / range.step));
	}
}

// named returns the numbers of a point by their names.
function named(state, point) {
	return Object.fromEntries(state.columns.map((name, i) => [name, point[i]]));
}

const latencies = (name) => [
	{ name: 'p50', class: 'c-teal', of: (v) => v[`${name}50`] },
	{ name: 'p95', class: 'c-violet dashed', of: (v) => v[`${name}95`] },
	{ name: 'p99', class: 'c-pink dotted', of: (v) => v[`${name}99`] },
];

const charts = [
	{
		id: 'c-traffic', title: 'Requests', note: 'per second', format: rate,
		series: [
			{ name: 'all', class: 'c-blue', area: true, of: (v) => v.requests },
			{ name: 'errors', class: 'c-red dashed', of: (v) => v.errors },
			{ name: 'of these refused', class: 'c-amber dotted', of: (v) => v.refused },
		],
	},
	{ id: 'c-first', title: 'Time to first token', note: 'of streams', format: seconds, series: latencies('first') },
	{ id: 'c-whole', title: 'Time to whole answer', note: '', format: seconds, series: latencies('whole') },
	{
		id: 'c-tokens', title: 'Tokens', note: 'per second', format: rate,
		series: [
			{ name: 'output', class: 'c-violet', area: true, of: (v) => v.output },
			{ name: 'input', class: 'c-blue dashed', of: (v) => v.input },
		],
	},
	{
		id: 'c-cost', title: 'Cost', note: 'per hour at this rate', format: dollars,
		series: [{ name: 'US dollars', class: 'c-green', area: true, of: (v) => v.cost * 3600 }],
	},
	{
		id: 'c-waiting', title: 'Waiting', note: 'requests and jobs', format: count, only: 'all',
		series: [
			{ name: 'open', class: 'c-blue', area: true, of: (v) => v.open },
			{ name: 'in line', class: 'c-amber dashed', of: (v) => v.waiting },
			{ name: 'in the queue', class: 'c-violet dotted', of: (v) => v.queued },
		],
	},
	{
		id: 'c-calls', title: 'Calls to the provider', note: 'per second, retries included', format: rate, only: 'provider',
		series: [
			{ name: 'ended', class: 'c-blue', area: true, of: (v) => v.calls },
			{ name: 'failed', class: 'c-red dashed', of: (v) => v.failed },
		],
	},
];

export function buildCharts(parent) {
	for (const c of charts) {
		c.chart = chart(c);
		parent.append(c.chart.element);
	}
}

export function drawCharts(state, range) {
	const values = state.points.map((p) => named(state, p));
	for (const c of charts) {
		c.chart.element.hidden = c.only !== undefined && c.only !== state.place.kind;
		if (!c.chart.element.hidden) c.chart.update(values.map((v) => [v.at * 1000, ...c.series.map((s) => s.of(v) ?? null)]), range);
	}
}
