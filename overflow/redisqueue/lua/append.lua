-- Append adds a chunk to what a run has put out, unless it is there already.
--
-- KEYS[1]  prefix
-- ARGV     id, lease, number of the chunk, chunk
-- Output   "ok", "missing", "lost", or "state" if there is none before it
--
-- A full server refuses it as a whole.

local id, number, chunk = ARGV[1], tonumber(ARGV[3]), ARGV[4]
local key, output = P .. 'j:' .. id, P .. 'o:' .. id
local v = call('HMGET', key, 'state', 'lease', 'lease_until')
if not v[1] then return 'missing' end
if v[1] ~= 'executing' or v[2] ~= ARGV[2] or (us(v[3]) or 0) <= NOW then return 'lost' end
local n = call('LLEN', output)
if number > n then return 'state' end
if number < n then return 'ok' end
call('RPUSH', output, chunk)
call('HINCRBY', key, 'output_size', #chunk)
tell(id, 'o')
return 'ok'
