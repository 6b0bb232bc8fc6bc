// Small helpers for building and updating the page. Text is only ever set as text.

const svgNames = new Set(['svg', 'g', 'path', 'rect', 'line', 'text', 'title', 'circle']);

// make creates an element: make('td', {class: 'x', onclick: f}, 'text', child, ...).
export function make(name, attributes = {}, ...children) {
	const element = svgNames.has(name)
		? document.createElementNS('http://www.w3.org/2000/svg', name)
		: document.createElement(name);
	for (const [key, value] of Object.entries(attributes)) {
		if (value === undefined || value === null || value === false) continue;
		if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
		else element.setAttribute(key, value === true ? '' : value);
	}
	element.append(...children.filter((child) => child !== null && child !== undefined));
	return element;
}

export const byId = (id) => document.getElementById(id);

// setText changes what an element says, if it does not say that already.
export function setText(element, text) {
	if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
	if (value === null || value === undefined || value === false) element.removeAttribute(name);
	else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? '' : value);
}

// keyed makes the children of parent those of items, in their order. What stays is updated and not
// made anew, so that focus and selection stay as well.
export function keyed(parent, items, keyOf, create, update) {
	const old = new Map([...parent.children].map((child) => [child.dataset.key, child]));
	let at = parent.firstElementChild;
	for (const item of items) {
		const key = keyOf(item);
		let child = old.get(key);
		if (child) old.delete(key);
		else {
			child = create(item);
			child.dataset.key = key;
		}
		update(child, item);
		if (child === at) at = at.nextElementSibling;
		else parent.insertBefore(child, at);
	}
	for (const gone of old.values()) gone.remove();
}

// rows fills the body of a table. A cell is a text, or {text, class, title}, or a function
// that updates the cell itself.
export function rows(body, items, keyOf, cellsOf, empty) {
	const table = body.closest('table');
	const columns = table.tHead.rows[0].cells;
	keyed(body, items, keyOf, () => make('tr'), (row, item) => {
		cellsOf(item).forEach((cell, i) => {
			let td = row.cells[i];
			if (!td) {
				td = i === 0 ? make('th', { scope: 'row' }) : make('td');
				td.dataset.label = columns[i].textContent;
				if (columns[i].className) td.className = columns[i].className;
				row.append(td);
			}
			if (typeof cell === 'function') cell(td);
			else if (typeof cell === 'object') {
				setText(td, cell.text);
				setAttribute(td, 'title', cell.title);
				td.className = [columns[i].className, cell.class].filter(Boolean).join(' ');
			} else setText(td, cell);
		});
	});
	const none = table.closest('.scroll').nextElementSibling;
	if (none?.classList.contains('empty')) {
		none.hidden = items.length > 0;
		table.closest('.scroll').hidden = items.length === 0;
		if (empty) setText(none, empty);
	}
}
