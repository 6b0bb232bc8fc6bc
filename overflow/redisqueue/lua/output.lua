-- Output returns chunks of what a run has put out: as many as fit, but one at least.
--
-- KEYS[1]  prefix
-- ARGV     id, run, number of the first chunk, how many bytes at most
-- Output   "ok" and the chunks, or "missing"

local id, limit = ARGV[1], tonumber(ARGV[4])
local v = call('HMGET', P .. 'j:' .. id, 'state', 'run')
if not v[1] or int(v[2]) ~= tonumber(ARGV[2]) then return { 'missing' } end
local out, size, at = {}, 0, tonumber(ARGV[3])
while true do
  local chunks = call('LRANGE', P .. 'o:' .. id, at, at + 31)
  for _, chunk in ipairs(chunks) do
    size = size + #chunk
    if #out > 0 and size > limit then return { 'ok', out } end
    out[#out + 1] = chunk
  end
  if #chunks < 32 then return { 'ok', out } end
  at = at + 32
end
