// The dashboard in a headless Chromium, over a gateway under load: what it shows is true, it
// can be used with the keyboard alone, and nothing on it is somebody else's.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import test, { after, before } from 'node:test';
import { chromium } from 'playwright-core';

const { DASHBOARD_URL, GATEWAY_URL, SHOTS, CHROMIUM, KEY_SEARCH } = process.env;
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync'];

let browser;
before(async () => { browser = await chromium.launch({ executablePath: CHROMIUM, args: flags }); });
after(() => browser.close());

// open shows the page, and fails the test if anything on it does.
async function open(t, { hash = '', scheme = 'dark', width = 1440, height = 900, touch = false } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, hasTouch: touch, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const troubles = [];
  page.on('pageerror', (error) => troubles.push(error.message));
  page.on('console', (message) => { if (message.type() === 'error') troubles.push(message.text()); });
  page.on('request', (request) => { if (!request.url().startsWith(DASHBOARD_URL)) troubles.push(`it asks for ${request.url()}`); });
  page.on('dialog', (dialog) => troubles.push(`a dialog: ${dialog.message()}`));
  await page.goto(`${DASHBOARD_URL}/${hash}`);
  await page.getByText('Live', { exact: true }).waitFor();
  await page.locator('#since').getByText('Counted').waitFor();
  t.after(async () => {
    await context.close();
    assert.deepEqual(troubles, []);
  });
  return page;
}

const shot = (page, name, fullPage = true) => page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage });
const numberIn = (text) => Number(text.replaceAll(',', '').match(/[\d.]+/)?.[0]);

test('it shows what happens, and goes on doing so', async (t) => {
  const page = await open(t);
  const total = page.locator('#tile-requests .more');
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector('#tile-requests .value').textContent));
  const was = await total.textContent();
  await page.waitForFunction((text) => document.querySelector('#tile-requests .more').textContent !== text, was);
  for (const name of ['openai', 'anthropic', 'groq', 'flaky', 'narrow']) await page.locator('#providers').getByRole('link', { name, exact: true }).waitFor();
  await page.locator('#models').getByRole('link', { name: 'claude-sonnet' }).waitFor();
  await page.locator('#keys').getByRole('link', { name: 'search', exact: true }).waitFor();
  assert.match(await page.locator('#tile-first .value').textContent(), /\d (ms|s)$/);
  assert.match(await page.locator('#tile-cost .value').textContent(), /^\$\d/);
  assert.match(await page.locator('#c-traffic .line.c-blue').getAttribute('d'), /^M[\d.]+ [\d.]+L/);
});

// The figures are those of the gateway, to the last request.
test('what it counts is what there was', async (t) => {
  const page = await open(t, { hash: '#model/counted' });
  const ask = () => fetch(`${GATEWAY_URL}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${KEY_SEARCH}` },
    body: JSON.stringify({ model: 'counted', messages: [{ role: 'user', content: 'mock:words=7 one two three' }] }),
  }).then((r) => r.json());
  const answers = await Promise.all(Array.from({ length: 23 }, ask));
  const tokens = answers.reduce((n, a) => n + a.usage.total_tokens, 0);
  await page.waitForFunction(() => document.querySelector('#tile-requests .more').textContent === '23 in all');
  assert.equal(await page.locator('#tile-tokens .more').textContent(), `${tokens.toLocaleString('en')} in all`);
});

test('it leads from all to one provider and back', async (t) => {
  const page = await open(t);
  await page.locator('#providers').getByRole('link', { name: 'openai', exact: true }).click();
  assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'openai');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'title');
  await page.locator('#c-calls').waitFor();
  assert.equal(await page.locator('#s-queue').isVisible(), false);
  await page.waitForFunction(() => [...document.querySelectorAll('#targets th')].every((th) => th.textContent.startsWith('openai/')));
  await page.waitForFunction(() => document.querySelectorAll('#errors tr').length > 0
    && [...document.querySelectorAll('#errors tr')].every((tr) => tr.cells[3].textContent === 'openai'));
  await shot(page, 'provider');
  await page.locator('#place').getByRole('link', { name: 'Overview' }).click();
  assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'Overview');
  await page.goBack();
  assert.equal(await page.getByRole('heading', { level: 1 }).textContent(), 'openai');
});

test('a breaker that opens is seen to', async (t) => {
  const page = await open(t);
  const row = page.locator('#targets tr', { hasText: 'flaky/mixtral-8x22b' });
  await row.locator('.pill.bad').waitFor({ timeout: 30_000 });
  assert.match(await row.locator('.strip').getAttribute('aria-label'), /open for .*, \d+ changes/);
  await page.getByText('Changes of state').click();
  await page.locator('#transitions tr').first().waitFor();
});

test('a job is cancelled, and one is retried', async (t) => {
  const page = await open(t);
  const row = page.locator('#pending tr', { hasText: 'waiting' }).last();
  const id = await row.getAttribute('data-key');
  const button = page.locator(`#pending tr[data-key="${id}"]`).getByRole('button', { name: /^Cancel/ });
  await button.click();
  assert.equal(await button.textContent(), 'Really?');
  await button.click();
  await page.getByText(/is cancelled\./).waitFor();
  const cancelled = page.locator(`#failed tr[data-key="${id}"]`);
  await cancelled.getByText('cancelled').waitFor();
  await cancelled.getByRole('button', { name: /^Retry/ }).click();
  await page.getByText(/is to be run again\./).waitFor();
  await cancelled.waitFor({ state: 'detached' });
});

test('the theme follows the system until somebody chooses', async (t) => {
  const page = await open(t, { scheme: 'light' });
  const background = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const light = await background();
  const button = page.getByRole('button', { name: /^Theme/ });
  await button.click(); // dark
  const dark = await background();
  assert.notEqual(dark, light);
  await page.reload();
  assert.equal(await background(), dark, 'the choice is forgotten');
  await button.click(); // light
  assert.equal(await background(), light);
});

test('charts can be read with the keyboard, and as tables', async (t) => {
  const page = await open(t);
  const chart = page.locator('#c-traffic');
  await page.waitForTimeout(1500);
  await chart.locator('svg').focus();
  await page.keyboard.press('ArrowLeft');
  await page.waitForFunction(() => /^\d\d:\d\d:\d\d: all \d/.test(document.getElementById('announcer').textContent));
  await chart.getByRole('button', { name: 'Requests as a table' }).press('Enter');
  const cells = await chart.locator('tbody tr').first().locator('td').allTextContents();
  assert.ok(cells.length === 3 && cells.every((c) => c !== ''), `the table says ${cells}`);
  assert.equal(await chart.locator('svg').isVisible(), false);
});

test('it can be used without a mouse', async (t) => {
  const page = await open(t);
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.className), 'skip');
  const seen = new Set();
  for (let i = 0; i < 60; i++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      const style = getComputedStyle(e.matches('.card a') ? e : e, e.matches('.card a') ? '::after' : undefined);
      return { what: e.id || e.getAttribute('aria-label') || e.textContent.trim().slice(0, 20), outline: style.outlineStyle };
    });
    if (at.what) assert.notEqual(at.outline, 'none', `the focus on ${at.what} cannot be seen`);
    seen.add(at.what);
  }
  for (const name of ['1 h', 'openai', 'theme']) assert.ok([...seen].includes(name), `Tab does not come to ${name}: ${[...seen].join(', ')}`);
});

test('names that clients make up stay text', async (t) => {
  const page = await open(t);
  await page.locator('#models, #errors').getByText('<img src=x onerror=').first().waitFor({ timeout: 20_000 });
  assert.equal(await page.locator('main img').count(), 0);
});

for (const [name, options] of [
  ['dark', { scheme: 'dark' }], ['light', { scheme: 'light' }], ['phone', { width: 390, height: 844, touch: true }],
  ['phone-light', { width: 390, height: 844, scheme: 'light' }],
]) {
  test(`nothing keeps anybody out, ${name}`, async (t) => {
    const page = await open(t, options);
    await page.waitForTimeout(1500);
    await shot(page, name);
    const wider = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(wider, 0, 'the page is wider than the screen');
    const context = await page.context().newCDPSession(page);
    // The page's own policy lets no script of ours in, so it comes by the debugger.
    await context.send('Runtime.evaluate', { expression: axe });
    const found = await page.evaluate(() => globalThis.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] }));
    assert.deepEqual(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).slice(0, 3).join(' ')} ${v.nodes[0].failureSummary}`), []);
  });
}

test('a page of another site reaches nothing', async () => {
  const job = 'data/jobs/job_0123456789abcdef0123456789abcdef/cancel';
  for (const [headers, want] of [
    [{ 'sec-fetch-site': 'cross-site', 'x-runestone-dashboard': '1' }, 403],
    [{ origin: 'http://evil.example', 'x-runestone-dashboard': '1' }, 403],
    [{ 'sec-fetch-site': 'same-origin' }, 403],
    [{ 'sec-fetch-site': 'same-origin', 'x-runestone-dashboard': '1' }, 404],
  ]) {
    const answer = await fetch(`${DASHBOARD_URL}/${job}`, { method: 'POST', headers });
    assert.equal(answer.status, want, JSON.stringify(headers));
  }
});
