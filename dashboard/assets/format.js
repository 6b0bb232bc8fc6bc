// Numbers, durations and times as people read them.

const number = (digits) => new Intl.NumberFormat('en', { maximumFractionDigits: digits, minimumFractionDigits: digits });
const [whole, one, two] = [0, 1, 2].map(number);
const compact = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });
export const nothing = '–';

export const count = (n) => (n >= 1e5 ? compact : whole).format(n);

export function rate(n) {
	if (n === 0) return '0';
	if (n < 0.01) return '<0.01';
	return n < 10 ? two.format(n) : n < 100 ? one.format(n) : count(n);
}

export function seconds(s) {
	if (s === null || s === undefined) return nothing;
	if (s === 0) return '0';
	if (s < 0.001) return '<1 ms';
	if (s < 0.9995) return `${(s * 1000).toPrecision(3).replace(/\.0*$|(\.\d*?)0+$/, '$1')} ms`;
	if (s < 9.995) return `${two.format(s)} s`;
	if (s < 99.95) return `${one.format(s)} s`;
	return span(s);
}

// span is a longer time, in its two largest units.
export function span(s) {
	const units = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
	let left = Math.max(0, Math.round(s));
	const parts = [];
	for (const [size, name] of units) {
		if (left >= size || (size === 1 && parts.length === 0)) parts.push(`${Math.floor(left / size)} ${name}`);
		left %= size;
	}
	return parts.slice(0, 2).join(' ');
}

export function dollars(usd) {
	if (usd === 0) return '$0';
	if (usd < 0.0001) return '<$0.0001';
	if (usd < 0.1) return `$${usd.toFixed(4)}`;
	if (usd < 1) return `$${usd.toFixed(3)}`;
	if (usd >= 100 && usd < 1e5) return `$${whole.format(usd)}`;
	return usd < 10000 ? `$${two.format(usd)}` : `$${compact.format(usd)}`;
}

export function percent(part, all) {
	if (!all) return '0 %';
	const p = (part / all) * 100;
	if (p === 0) return '0 %';
	return p < 0.1 ? '<0.1 %' : `${(p < 10 ? one : whole).format(p)} %`;
}

const clockTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const hourTime = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
export const clock = (ms) => clockTime.format(ms);
export const hour = (ms) => hourTime.format(ms);
