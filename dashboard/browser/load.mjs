// Calls the gateway as many clients would, until it is ended.

const base = process.env.GATEWAY_URL;
const plan = [
  // model, requests per second, share that is streamed
  ['gpt-4o', 14, 0.8],
  ['claude-sonnet', 9, 0.8],
  ['llama-70b', 16, 0.5],
  ['experimental', 2.5, 0.3],
];
const questions = ['Why is the sky blue?', 'Summarize the minutes of the meeting in three sentences, and say who does what by when.',
  'Translate this to German: the quick brown fox jumps over the lazy dog.', 'Write a haiku about circuit breakers.'];

const { KEY_SEARCH, KEY_SUPPORT, KEY_RESEARCH } = process.env;
const keys = [KEY_SEARCH, KEY_SUPPORT, KEY_SEARCH, KEY_RESEARCH, KEY_SEARCH, KEY_SUPPORT];
let asked = 0;
const ask = (model, prompt, stream, headers = {}) => fetch(`${base}/v1/chat/completions`, {
  method: 'POST',
  headers: { 'content-type': 'application/json', authorization: `Bearer ${keys[asked++ % keys.length]}`, ...headers },
  body: JSON.stringify({ model, stream, messages: [{ role: 'user', content: prompt }] }),
}).then((r) => r.arrayBuffer()).catch(() => {});

let n = 0;
const pick = () => questions[n++ % questions.length];
const started = Date.now();
// Traffic comes and goes in waves.
const wave = (i) => 1 + 0.35 * Math.sin((Date.now() - started) / 15000 + i) + 0.15 * Math.sin((Date.now() - started) / 3700 + 2 * i);

plan.forEach(([model, rate, streamed], i) => {
  const next = () => {
    ask(model, pick(), Math.random() < streamed);
    setTimeout(next, (-Math.log(1 - Math.random()) * 1000) / (rate * wave(i)));
  };
  next();
});
setInterval(() => ask('gpt-4o', 'mock:status=400 What is wrong with this one?', false), 4000);
// A name that a provider takes, whatever it looks like.
setInterval(() => ask('groq/<img src=x onerror=alert(1)>', 'hello', false), 5000);
setInterval(() => ask('no-such-model', 'hello', false), 7000);
// More than can be run: these wait in the queue.
for (let i = 0; i < 8; i++) ask('bottleneck', `mock:words=200 job ${i}`, false, { prefer: 'respond-async' });
for (let i = 0; i < 3; i++) ask('bottleneck', 'mock:words=200 slow', true);
setTimeout(() => ask('experimental', 'mock:status=500 give it up', false, { prefer: 'respond-async' }), 2000);
setInterval(() => ask('bottleneck', 'mock:words=40 job', false, { prefer: 'respond-async' }), 5000);
