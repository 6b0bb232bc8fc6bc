// What the suite calls: every method of five resources of the official Node SDK,
// each with no more than it needs and with every parameter that OpenAI's
// description has for it. A call is [name, function of the client].

const say = [{ role: 'user', content: 'Say this is a test.' }];

const weather = {
  name: 'get_weather',
  description: 'The weather in a place',
  parameters: { type: 'object', properties: { place: { type: 'string' } }, required: ['place'], additionalProperties: false },
  strict: true,
};

const turns = [
  { role: 'developer', content: 'Be brief.', name: 'house' },
  { role: 'system', content: [{ type: 'text', text: 'Be kind.' }] },
  {
    role: 'user',
    name: 'ann',
    content: [
      { type: 'text', text: 'What is this? é 漢 🌍' },
      { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'low' } },
      { type: 'input_audio', input_audio: { data: 'UklGRg==', format: 'wav' } },
      { type: 'file', file: { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERi0=' } },
    ],
  },
  { role: 'assistant', content: null, refusal: null, tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'get_weather', arguments: '{"place":"Oslo"}' } }] },
  { role: 'tool', tool_call_id: 'call_1', content: '{"celsius":-7}' },
  { role: 'assistant', content: 'Cold.', name: 'bot' },
  { role: 'user', content: 'And tomorrow?' },
];

const chatParameters = {
  audio: { format: 'wav', voice: 'alloy' },
  frequency_penalty: -1.5,
  function_call: 'auto',
  functions: [{ name: 'old', description: 'an old one', parameters: { type: 'object' } }],
  logit_bias: { 50256: -100, 11: 2 },
  logprobs: true,
  max_completion_tokens: 64,
  max_tokens: 64,
  metadata: { team: 'a', model: 'decoy' },
  modalities: ['text', 'audio'],
  n: 2,
  parallel_tool_calls: false,
  prediction: { type: 'content', content: [{ type: 'text', text: 'foreseen' }] },
  presence_penalty: 0.25,
  prompt_cache_key: 'cache-1',
  prompt_cache_retention: 'in_memory',
  reasoning_effort: 'low',
  response_format: { type: 'json_schema', json_schema: { name: 'answer', description: 'd', strict: true, schema: { type: 'object' } } },
  safety_identifier: 'user-1',
  seed: -9007199254740991,
  service_tier: 'auto',
  stop: ['\n', 'END'],
  store: true,
  stream: false,
  stream_options: { include_obfuscation: false, include_usage: true },
  temperature: 0.7,
  tool_choice: { type: 'function', function: { name: 'get_weather' } },
  tools: [
    { type: 'function', function: weather },
    { type: 'custom', custom: { name: 'free', description: 'any text', format: { type: 'text' } } },
  ],
  top_logprobs: 3,
  top_p: 0.9,
  user: 'user-1',
  verbosity: 'low',
  web_search_options: {
    search_context_size: 'low',
    user_location: { type: 'approximate', approximate: { city: 'Oslo', country: 'NO', region: 'Oslo', timezone: 'Europe/Oslo' } },
  },
};

const chat = [
  ['create', (c) => c.chat.completions.create({ model: 'gpt-5.4', messages: say })],
  ['create of a conversation', (c) => c.chat.completions.create({ model: 'gpt-5.4', messages: turns })],
  ['create with every parameter', (c) => c.chat.completions.create({ model: 'gpt-5.4', messages: turns, ...chatParameters })],
  ['create by the provider and the model', (c, model) => c.chat.completions.create({ model: model('gpt-5.4'), messages: say })],
  ...Object.entries(chatParameters).map(([name, value]) => [
    `create with ${name}`,
    (c) => c.chat.completions.create({ model: 'gpt-5.4', messages: say, [name]: value }),
  ]),
  ['create with json_object', (c) => c.chat.completions.create({ model: 'gpt-5.4', messages: say, response_format: { type: 'json_object' } })],
  ['create with null for what may be null', (c) => c.chat.completions.create({ model: 'gpt-5.4', messages: say, temperature: null, top_p: null, n: null, stop: null, store: null, metadata: null })],
  ['retrieve', (c) => c.chat.completions.retrieve('chatcmpl-1')],
  ['update', (c) => c.chat.completions.update('chatcmpl-1', { metadata: { team: 'b' } })],
  ['list', (c) => c.chat.completions.list()],
  ['list with every parameter', (c) => c.chat.completions.list({ after: 'chatcmpl-0', limit: 2, metadata: { team: 'a' }, model: 'gpt-5.4', order: 'asc' })],
  ['delete', (c) => c.chat.completions.delete('chatcmpl-1')],
  ['messages list', (c) => c.chat.completions.messages.list('chatcmpl-1')],
  ['messages list with every parameter', (c) => c.chat.completions.messages.list('chatcmpl-1', { after: 'm', limit: 2, order: 'desc' })],
];

const completionParameters = {
  best_of: 2,
  echo: true,
  frequency_penalty: -2,
  logit_bias: { 50256: -100 },
  logprobs: 2,
  max_tokens: 16,
  n: 1,
  presence_penalty: 2,
  seed: 7,
  stop: ['\n'],
  stream: false,
  stream_options: { include_usage: true },
  suffix: ' the end.',
  temperature: 1,
  top_p: 1,
  user: 'user-1',
};

const completions = [
  ['create', (c) => c.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: 'Say this is a test.' })],
  ['create from several prompts', (c) => c.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: ['a', 'b'] })],
  ['create from tokens', (c) => c.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: [1212, 318, 257] })],
  ['create with every parameter', (c) => c.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: 'x', ...completionParameters })],
];

const embeddings = [
  ['create', (c) => c.embeddings.create({ model: 'text-embedding-3-small', input: 'The food was delicious' })],
  ['create from several inputs', (c) => c.embeddings.create({ model: 'text-embedding-3-small', input: ['a', 'b'] })],
  ['create from tokens', (c) => c.embeddings.create({ model: 'text-embedding-3-small', input: [[1, 2], [3]] })],
  ['create with every parameter', (c) => c.embeddings.create({ model: 'text-embedding-3-small', input: 'x', dimensions: 256, encoding_format: 'float', user: 'user-1' })],
];

const responseTools = [
  { type: 'function', ...weather },
  { type: 'web_search' },
  { type: 'file_search', vector_store_ids: ['vs_1'], max_num_results: 3 },
  { type: 'custom', name: 'free', description: 'any text' },
  { type: 'mcp', server_label: 'm', server_url: 'https://mcp.example.com', require_approval: 'never' },
];

const responseParameters = {
  background: false,
  conversation: 'conv_1',
  include: ['file_search_call.results', 'message.output_text.logprobs'],
  input: [
    { role: 'user', content: [{ type: 'input_text', text: 'é 漢 🌍' }, { type: 'input_image', image_url: 'data:image/png;base64,iVBORw0KGgo=', detail: 'auto' }] },
    { type: 'function_call', call_id: 'call_1', name: 'get_weather', arguments: '{"place":"Oslo"}' },
    { type: 'function_call_output', call_id: 'call_1', output: '{"celsius":-7}' },
  ],
  instructions: 'Be brief.',
  max_output_tokens: 64,
  max_tool_calls: 2,
  metadata: { team: 'a', model: 'decoy' },
  parallel_tool_calls: true,
  previous_response_id: 'resp_0',
  prompt: { id: 'pmpt_1', variables: { name: 'Ann' }, version: '2' },
  prompt_cache_key: 'cache-1',
  prompt_cache_retention: 'in_memory',
  reasoning: { effort: 'low', summary: 'auto' },
  safety_identifier: 'user-1',
  service_tier: 'auto',
  store: true,
  stream: false,
  stream_options: { include_obfuscation: true },
  temperature: 1,
  text: { format: { type: 'json_schema', name: 'answer', schema: { type: 'object' }, strict: true }, verbosity: 'low' },
  tool_choice: 'auto',
  tools: responseTools,
  top_logprobs: 1,
  top_p: 1,
  truncation: 'auto',
  user: 'user-1',
};

const responses = [
  ['create', (c) => c.responses.create({ model: 'gpt-5.4', input: 'Say this is a test.' })],
  ['create without a model, as a stored prompt allows', (c) => c.responses.create({ prompt: { id: 'pmpt_1' } })],
  ['create with every parameter', (c) => c.responses.create({ model: 'gpt-5.4', ...responseParameters })],
  ...Object.entries(responseParameters).map(([name, value]) => [
    `create with ${name}`,
    (c) => c.responses.create({ model: 'gpt-5.4', input: 'x', [name]: value }),
  ]),
  ['retrieve', (c) => c.responses.retrieve('resp_1')],
  ['retrieve with every parameter', (c) => c.responses.retrieve('resp_1', { include: ['file_search_call.results'], include_obfuscation: true, starting_after: 0, stream: false })],
  ['delete', (c) => c.responses.delete('resp_1')],
  ['cancel', (c) => c.responses.cancel('resp_1')],
  ['compact', (c) => c.responses.compact({ model: 'gpt-5.4' })],
  ['compact with every parameter', (c) => c.responses.compact({ model: 'gpt-5.4', input: 'x', instructions: 'y', previous_response_id: 'resp_1', prompt_cache_key: 'cache-1' })],
  ['inputItems list', (c) => c.responses.inputItems.list('resp_1')],
  ['inputItems list with every parameter', (c) => c.responses.inputItems.list('resp_1', { after: 'item_1', include: ['file_search_call.results'], limit: 2, order: 'asc' })],
  ['inputTokens count', (c) => c.responses.inputTokens.count()],
  ['inputTokens count with every parameter', (c) => c.responses.inputTokens.count({ model: 'gpt-5.4', conversation: 'conv_1', input: 'x', instructions: 'y', parallel_tool_calls: true, previous_response_id: 'resp_1', reasoning: { effort: 'low' }, text: { verbosity: 'low' }, tool_choice: 'auto', tools: responseTools.slice(0, 1), truncation: 'auto' })],
];

// What the mock has to refuse, and the gateway to hand on as it is refused.
const refusals = [
  ['messages that are no array', (c) => c.chat.completions.create({ model: 'gpt-5.4', messages: 'hi' })],
  ['a temperature that is a string', (c) => c.chat.completions.create({ model: 'gpt-5.4', messages: say, temperature: 'hot' })],
  ['an embedding of nothing', (c) => c.embeddings.create({ model: 'text-embedding-3-small' })],
  ['a path that is not in the description', (c) => c.get('/no/such/path')],
];

// These three the gateway answers by itself, from its configuration.
const models = [
  ['list', (c) => c.models.list()],
  ['retrieve', (c) => c.models.retrieve('smart')],
];

const relayedModels = [['delete', (c) => c.models.delete('ft:gpt-4o-mini:acme:1')]];

export const relayed = { 'chat.completions': chat, completions, embeddings, models: relayedModels, responses };
export { models, refusals };
