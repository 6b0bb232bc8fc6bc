-- Enqueue stores a job, once.
--
-- KEYS[1]  prefix
-- ARGV     id, max, unique, then what create is given
-- Output   "new", its state and when it was created; "old", the job that is there instead, its payload and its head; or "full"
--
-- It writes nothing before every check has passed, and without the flag allow-oom
-- a full server refuses it as a whole.
-- Sent twice, by a client that saw no answer, the second finds the ID.

local id, max, unique = ARGV[1], tonumber(ARGV[2]), ARGV[3]
if call('EXISTS', P .. 'j:' .. id) == 1 then return full('old', id) end
local other = holder(unique)
if other then return full('old', other) end
if max > 0 then
  if not batch.live then
    batch.live = call('ZCARD', P .. 'leases:request')
    for _, state in ipairs({ 'available:0', 'available:1', 'available:2', 'available:3', 'waiting', 'scheduled' }) do
      batch.live = batch.live + call('ZCARD', P .. 'i:request:' .. state)
    end
  end
  if batch.live >= max then return { 'full' } end
end
if batch.live and ARGV[4] == 'request' then batch.live = batch.live + 1 end
return { 'new', create(id, ARGV, 4) }
