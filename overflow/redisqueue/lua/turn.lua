-- Turn gives one caller in each period the turn. Periods are of the server's time, the same for all.
--
-- KEYS[1]  prefix
-- ARGV     task, period in microseconds, op
-- Output   1 for the one that has the turn, else 0
--
-- Sent twice, the second finds the op of the first.

local every = tonumber(ARGV[2])
local key = P .. 'turn:' .. ARGV[1] .. ':' .. score(math.floor(NOW / every))
local keep = score(math.max(60000, math.ceil(every / 1000) * 2))
if call('SET', key, ARGV[3], 'NX', 'PX', keep) then return 1 end
return call('GET', key) == ARGV[3] and 1 or 0
