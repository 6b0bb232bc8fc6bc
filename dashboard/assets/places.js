// Parts of the gateway that the page can be about.

// scopeOf returns what the latest tick says of one.
export function scopeOf(tick, kind, name = '', model) {
	return tick.scopes.find((s) => s.kind === kind && s.name === name && s.model === model);
}

// linkTo leads to the page about one.
export const linkTo = (kind, name) => `#${kind}/${encodeURIComponent(name)}`;
