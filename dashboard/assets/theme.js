// Runs before the page is shown, so that it does not flash in the other theme.
(() => {
	const themes = ['auto', 'dark', 'light'];
	let theme = 'auto';
	try {
		theme = localStorage.getItem('runestone-theme') ?? 'auto';
	} catch { /* the browser keeps nothing: auto it is */ }
	if (!themes.includes(theme)) theme = 'auto';
	document.documentElement.dataset.theme = theme;
})();
