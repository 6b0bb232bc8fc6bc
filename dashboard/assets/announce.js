// What a screen reader is told: what matters when it happens, and a summary now and then.

import { byId, setText } from './dom.js';
import { rate, percent } from './format.js';

export function say(text) {
	setText(byId('announcer'), text);
}

let hide = 0;
// toast shows and says what came of an action.
export function toast(text) {
	const element = byId('toast');
	setText(element, text);
	element.classList.add('shown');
	clearTimeout(hide);
	hide = setTimeout(() => element.classList.remove('shown'), 5000);
}

const summaryEvery = 60e3;
let summarized = 0;
let known = null; // states of breakers

export function announceChanges(tick) {
	const states = new Map(tick.targets.map((t) => [`${t.provider}/${t.model || '*'}`, t.breaker.state]));
	const changes = [];
	if (known) {
		for (const [name, state] of states) {
			if (known.has(name) && known.get(name) !== state) changes.push(`The breaker of ${name} is ${state.replace('_', '-')}.`);
		}
	}
	known = states;
	if (changes.length > 0) {
		say(changes.join(' '));
		return;
	}
	if (tick.now - summarized < summaryEvery) return;
	const all = tick.scopes.find((s) => s.kind === 'all');
	if (!all) return;
	const open = [...states.values()].filter((s) => s === 'open').length;
	say(`${rate(all.minute.requests / 60)} requests per second, ${percent(all.minute.errors, all.minute.requests)} errors, `
		+ `${open === 0 ? 'no breaker' : open === 1 ? 'one breaker' : `${open} breakers`} open.`);
	summarized = tick.now;
}
