-- Ahead counts the jobs that come before an available one: all of a better priority, and the older
-- ones of its own. Among those that have come back, the streams may have another order.
--
-- KEYS[1]  prefix
-- ARGV     id
-- Output   how many, 0 if the job is not available

local j = load(ARGV[1])
if not j or j[STATE] ~= 'available' then return 0 end
local key = P .. 'i:' .. j[KIND] .. ':available:'
local own = int(j[PRIORITY])
local n = call('ZLEXCOUNT', key .. own, '-', '(' .. j[ID])
for priority = 0, own - 1 do n = n + call('ZCARD', key .. priority) end
return n
