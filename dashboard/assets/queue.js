// The queue, and what can be done with its jobs.

import { byId, keyed, make, rows, setAttribute, setText } from './dom.js';
import { count, nothing, span } from './format.js';

const looks = { available: 'good', executing: 'good', waiting: 'warn', scheduled: 'warn', discarded: 'bad', cancelled: 'unknown' };
const states = ['available', 'waiting', 'scheduled', 'executing', 'completed', 'discarded', 'cancelled'];
const readOnly = document.documentElement.dataset.readOnly === 'true';

export function drawQueue({ tick, jobs, place }) {
	if (place.kind !== 'all') return;
	const queue = tick.queue;
	const note = !queue ? 'Nothing has been queued: the queue is not open.' : queue.paused ? 'paused' : '';
	setText(byId('queue-note'), note);
	byId('job-lists').hidden = !queue;
	byId('queue').hidden = !queue;
	if (!queue) return;
	const of = (state) => (queue.jobs.request?.[state] ?? 0);
	const callbacks = states.slice(0, 4).reduce((n, s) => n + (queue.jobs.callback?.[s] ?? 0), 0);
	const oldest = queue.oldest_seconds?.request;
	const facts = [
		...states.map((state) => ({ name: state, value: count(of(state)), bad: state === 'discarded' && of(state) > 0 })),
		{ name: 'oldest open job', value: oldest ? span(oldest) : nothing },
		{ name: 'callbacks to make', value: count(callbacks) },
		{ name: 'workers', value: String(queue.workers) },
	];
	keyed(byId('queue'), facts, (f) => f.name, (f) => make('div', {}, make('dt', {}, f.name), make('dd')), (div, f) => {
		div.classList.toggle('bad', Boolean(f.bad));
		setText(div.lastElementChild, f.value);
	});
	const now = tick.now;
	const age = (job) => span((now - Date.parse(job.created_at)) / 1000);
	rows(byId('pending'), jobs?.pending ?? [], (j) => j.id, (j) => [
		name(j), pill(j), model(j), age(j), `${j.attempt} of ${j.max_attempts}`,
		buttons(j, [...(['waiting', 'scheduled'].includes(j.state) ? ['retry'] : []), 'cancel']),
	], jobs?.error || 'Nothing waits.');
	rows(byId('failed'), jobs?.failed ?? [], (j) => j.id, (j) => [
		name(j), pill(j), model(j), age(j), { text: why(j), class: 'cut', title: j.error || why(j) }, buttons(j, ['retry']),
	], jobs?.error || 'None.');
}

// The end of an ID tells jobs apart; its beginning is a time.
const name = (job) => ({ text: `…${job.id.slice(-10)}`, title: job.id });
const model = (job) => ({ text: job.kind === 'callback' ? `to ${job.model}` : job.model || nothing, class: 'cut', title: job.model });
const why = (job) => job.reason?.replaceAll('_', ' ') || (job.state === 'cancelled' ? 'asked for' : nothing);

function pill(job) {
	return (td) => {
		let element = td.firstElementChild;
		if (!element) td.append((element = make('span')));
		element.className = `pill ${looks[job.state] ?? 'unknown'}`;
		setText(element, job.cancel_asked && job.state === 'executing' ? 'cancelling' : job.state);
	};
}

function buttons(job, actions) {
	return (td) => {
		let box = td.firstElementChild;
		if (!box) td.append((box = make('div', { class: 'buttons' })));
		keyed(box, readOnly ? [] : actions, (a) => a, (action) => make('button', { type: 'button', class: 'small' }), (button, action) => {
			setAttribute(button, 'aria-label', `${label(action)} job ${job.id.slice(-10)}`);
			if (!button.textContent) {
				setText(button, label(action));
				button.addEventListener('click', () => press(button, job.id, action));
			}
		});
	};
}

const label = (action) => ({ retry: 'Retry', cancel: 'Cancel' })[action];

// press asks once more before a job is cancelled, which cannot be undone for who waits for it.
function press(button, id, action) {
	if (action === 'cancel' && !button.classList.contains('sure')) {
		button.classList.add('sure');
		setText(button, 'Really?');
		tell(`Press again to cancel job ${id.slice(-10)}.`);
		setTimeout(() => {
			button.classList.remove('sure');
			setText(button, label(action));
		}, 4000);
		return;
	}
	button.disabled = true;
	change(id, action).finally(() => { button.disabled = false; });
}

const tell = (text) => document.dispatchEvent(new CustomEvent('told', { detail: text }));

async function change(id, action) {
	try {
		const answer = await fetch(`data/jobs/${id}/${action}`, { method: 'POST', headers: { 'X-Runestone-Dashboard': '1' } });
		if (!answer.ok) throw new Error((await answer.text()).trim());
		tell(`Job ${id.slice(-10)} is ${action === 'retry' ? 'to be run again' : 'cancelled'}.`);
	} catch (error) {
		tell(error.message || 'The gateway does not answer.');
	}
}
