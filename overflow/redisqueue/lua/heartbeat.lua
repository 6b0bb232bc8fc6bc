-- Heartbeat extends leases.
--
-- KEYS[1]  prefix
-- ARGV     lease in microseconds, consumer, then of each job its ID and its lease
-- Output   of each job 0 (extended), 1 (extended, and somebody wants it cancelled) or 2 (lost)
--
-- XCLAIM would take an entry from whoever has it; it comes after the lease was found
-- to be the caller's, in the same script, and so takes nothing from anybody. It
-- makes the entry's idle time the time since the last sign of life.

local lease, consumer = tonumber(ARGV[1]), ARGV[2]
local out = {}
local till = score(NOW + lease)
for i = 3, #ARGV, 2 do
  local j = load(ARGV[i])
  if not j or j[STATE] ~= 'executing' or j[LEASE] ~= ARGV[i + 1] or (us(j[LEASE_UNTIL]) or 0) <= NOW then
    out[#out + 1] = 2
  else
    if j[ENTRY] then redis.pcall('XCLAIM', new(j), GROUP, consumer, 0, j[ENTRY], 'JUSTID') end
    call('ZADD', index(j), till, j[ID])
    put(j, LEASE_UNTIL, till .. '000')
    save(j)
    out[#out + 1] = j[CANCEL_ASKED] and 1 or 0
  end
end
return out
