// Line charts in SVG, which take their colours from the style sheet. Each has a table that says the same.

import { make, setText, keyed, setAttribute } from './dom.js';
import { clock, hour, nothing } from './format.js';

const margin = { top: 10, right: 10, bottom: 22, left: 50 };
const height = 190;

// niceTop returns a round number not below the highest value, that divides well by four.
function niceTop(highest) {
	if (!(highest > 0)) return 1;
	const power = 10 ** Math.floor(Math.log10(highest));
	for (const step of [1, 2, 4, 6, 8, 10]) if (step * power >= highest) return step * power;
	return 10 * power;
}

// pathOf draws through the points that are known, and leaves gaps where they are not.
function pathOf(points, x, y, longest) {
	let path = '';
	let last = null;
	for (const [at, value] of points) {
		if (value === null) {
			last = null;
			continue;
		}
		path += `${last === null || at - last > longest ? 'M' : 'L'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`;
		last = at;
	}
	return path;
}

// chart makes a chart. options: title, series [{name, class, area}], format(value), unit for those who hear it.
// It returns {element, update(points, {from, to, step})}, where points are [[ms, value, ...], ...].
export function chart({ id, title, note, series, format }) {
	const svg = make('svg', { class: 'plot', role: 'img', 'aria-labelledby': `${id}-title`, 'aria-describedby': `${id}-summary`, tabindex: '0' });
	const grid = make('g', { class: 'grid' });
	const lines = make('g');
	const cursor = make('line', { class: 'cursor', visibility: 'hidden' });
	const dots = make('g', { class: 'dots', visibility: 'hidden' });
	svg.append(grid, lines, cursor, dots);
	const paths = series.map((s) => {
		const area = s.area ? make('path', { class: `area ${s.class}` }) : null;
		const line = make('path', { class: `line ${s.class}` });
		lines.append(...[area, line].filter(Boolean));
		dots.append(make('circle', { class: s.class, r: 3 }));
		return { area, line };
	});
	const values = series.map(() => make('b', {}, nothing));
	const legend = make('ul', { class: 'legend' }, ...series.map((s, i) =>
		make('li', {}, make('span', { class: `key ${s.class}`, 'aria-hidden': 'true' }), make('span', {}, s.name), values[i])));
	const when = make('span', { class: 'when' });
	const summary = make('p', { id: `${id}-summary`, class: 'hidden' });
	const body = make('tbody');
	const table = make('div', { class: 'scroll data', hidden: true, tabindex: '0', role: 'group', 'aria-label': `${title}, as a table` },
		make('table', {}, make('caption', { class: 'hidden' }, title),
			make('thead', {}, make('tr', {}, make('th', { scope: 'col' }, 'Time'), ...series.map((s) => make('th', { scope: 'col', class: 'n' }, s.name)))), body));
	const button = make('button', { type: 'button', class: 'small', 'aria-pressed': 'false', 'aria-label': `${title} as a table`, onclick: () => {
		table.hidden = !table.hidden;
		svg.toggleAttribute('hidden', !table.hidden);
		button.setAttribute('aria-pressed', String(!table.hidden));
		draw();
	} }, 'Table');
	const element = make('figure', { class: 'panel chart', id }, make('figcaption', {},
		make('h3', { id: `${id}-title` }, title), make('span', { class: 'note' }, note ?? ''), when, button), legend, svg, table, summary);

	let points = [];
	let range = { from: 0, to: 1, step: 1000 };
	let width = 0;
	let hover = null; // index of the point that is pointed at
	let x = () => 0;
	let y = () => 0;

	function draw() {
		width = element.clientWidth - 2;
		if (width < 50) return;
		if (!table.hidden) drawTable();
		const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
		let highest = 0;
		for (const point of points) for (let i = 1; i < point.length; i++) highest = Math.max(highest, point[i] ?? 0);
		const top = niceTop(highest);
		x = (at) => margin.left + ((at - range.from) / (range.to - range.from)) * inner.width;
		y = (value) => margin.top + (1 - value / top) * inner.height;
		svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
		drawGrid(top);
		series.forEach((s, i) => {
			const own = points.map((p) => [p[0], p[i + 1]]);
			const d = pathOf(own, x, y, range.step * 4);
			setAttribute(paths[i].line, 'd', d);
			if (paths[i].area) setAttribute(paths[i].area, 'd', areaOf(own));
		});
		point(hover);
	}

	function areaOf(own) {
		const known = own.filter((p) => p[1] !== null);
		if (known.length < 2) return '';
		const line = known.map((p) => `L${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}`).join('');
		return `M${x(known[0][0]).toFixed(1)} ${y(0)}${line}L${x(known.at(-1)[0]).toFixed(1)} ${y(0)}Z`;
	}

	function drawGrid(top) {
		const marks = [];
		for (let i = 0; i <= 4; i += 2) marks.push({ key: `y${i}`, value: (top * i) / 4 });
		const long = range.to - range.from;
		const every = [60e3, 300e3, 900e3, 3600e3, 4 * 3600e3].find((step) => long / step <= Math.max(2, width / 90)) ?? 6 * 3600e3;
		for (let at = Math.ceil(range.from / every) * every; at <= range.to; at += every) marks.push({ key: `x${at}`, at });
		keyed(grid, marks, (m) => m.key, () => make('g', {}, make('line'), make('text')), (g, mark) => {
			const [line, text] = g.children;
			if (mark.at === undefined) {
				const at = y(mark.value);
				for (const [name, value] of [['x1', margin.left], ['x2', width - margin.right], ['y1', at], ['y2', at]]) setAttribute(line, name, value);
				setAttribute(text, 'x', margin.left - 8);
				setAttribute(text, 'y', at + 3.5);
				setAttribute(text, 'text-anchor', 'end');
				setText(text, format(mark.value));
				return;
			}
			setAttribute(line, 'visibility', 'hidden');
			setAttribute(text, 'x', x(mark.at));
			setAttribute(text, 'y', height - 6);
			setAttribute(text, 'text-anchor', x(mark.at) > width - 30 ? 'end' : 'middle');
			setText(text, hour(mark.at));
		});
	}

	// point shows the values of one moment, or of the latest.
	function point(index) {
		const at = index === null ? points.length - 1 : Math.min(index, points.length - 1);
		const shown = points[at];
		series.forEach((s, i) => setText(values[i], shown && shown[i + 1] !== null ? format(shown[i + 1]) : nothing));
		const visible = index !== null && shown ? 'visible' : 'hidden';
		setAttribute(cursor, 'visibility', visible);
		setAttribute(dots, 'visibility', visible);
		setText(when, visible === 'visible' ? clock(shown[0]) : '');
		if (visible === 'hidden') return;
		const left = x(shown[0]);
		for (const [name, value] of [['x1', left], ['x2', left], ['y1', margin.top], ['y2', height - margin.bottom]]) setAttribute(cursor, name, value);
		series.forEach((s, i) => {
			const dot = dots.children[i];
			setAttribute(dot, 'cx', left);
			setAttribute(dot, 'cy', y(shown[i + 1] ?? 0));
			dot.toggleAttribute('hidden', shown[i + 1] === null);
		});
	}

	function drawTable() {
		const every = Math.max(1, Math.floor(points.length / 20));
		const some = points.filter((_, i) => (points.length - 1 - i) % every === 0).reverse();
		keyed(body, some, (p) => String(p[0]), (p) => make('tr', {}, make('th', { scope: 'row' }, clock(p[0])),
			...p.slice(1).map((v) => make('td', { class: 'n' }, v === null ? nothing : format(v)))), () => {});
	}

	function summarize() {
		const parts = series.map((s, i) => {
			const known = points.map((p) => p[i + 1]).filter((v) => v !== null);
			if (known.length === 0) return `${s.name}: nothing yet`;
			return `${s.name}: ${format(known.at(-1))} now, at most ${format(Math.max(...known))}`;
		});
		setText(summary, `${parts.join('. ')}. Arrow keys read single moments.`);
	}

	svg.addEventListener('pointermove', (event) => {
		if (points.length === 0) return;
		const box = svg.getBoundingClientRect();
		const at = range.from + ((event.clientX - box.left - margin.left) / (width - margin.left - margin.right)) * (range.to - range.from);
		hover = points.reduce((best, p, i) => (Math.abs(p[0] - at) < Math.abs(points[best][0] - at) ? i : best), 0);
		point(hover);
	});
	svg.addEventListener('pointerleave', () => point((hover = null)));
	svg.addEventListener('blur', () => point((hover = null)));
	svg.addEventListener('keydown', (event) => {
		const step = { ArrowLeft: -1, ArrowRight: 1, Home: -points.length, End: points.length }[event.key];
		if (step === undefined || points.length === 0) return;
		event.preventDefault();
		hover = Math.max(0, Math.min(points.length - 1, (hover ?? points.length - 1) + step));
		point(hover);
		const shown = points[hover];
		svg.dispatchEvent(new CustomEvent('announce', { bubbles: true, detail:
			`${clock(shown[0])}: ${series.map((s, i) => `${s.name} ${shown[i + 1] === null ? 'none' : format(shown[i + 1])}`).join(', ')}` }));
	});
	new ResizeObserver(draw).observe(element);

	return {
		element,
		update(next, nextRange) {
			if (hover !== null && points[hover]) {
				const was = points[hover][0];
				hover = Math.max(0, next.findIndex((p) => p[0] >= was));
			}
			points = next;
			range = nextRange;
			draw();
			summarize();
		},
	};
}

// sparkline returns a small line without axes, for figures that say the same in words.
export function sparkline(className) {
	const line = make('path', { class: `line ${className}` });
	const area = make('path', { class: `area ${className}` });
	const element = make('svg', { class: 'spark', viewBox: '0 0 120 32', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, area, line);
	return {
		element,
		update(values, slots) {
			const top = Math.max(...values.map((v) => v ?? 0), 1e-9) * 1.1;
			const known = values.map((v, i) => [120 - ((values.length - 1 - i) / (slots - 1)) * 120, v]).filter((p) => p[1] !== null);
			const through = known.map((p) => `${p[0].toFixed(1)} ${(31 - (p[1] / top) * 30).toFixed(1)}`);
			setAttribute(line, 'd', known.length > 1 ? `M${through.join('L')}` : '');
			setAttribute(area, 'd', known.length > 1 ? `M${known[0][0].toFixed(1)} 32L${through.join('L')}L${known.at(-1)[0].toFixed(1)} 32Z` : '');
		},
	};
}
