-- Refresh has leases live on.
--
-- KEYS    a sorted set
-- ARGV    how long in microseconds, then the leases
-- Output  1

local ttl = tonumber(ARGV[1])
for i = 2, #ARGV do
  call('ZADD', KEYS[1], int(NOW + ttl), ARGV[i])
end
call('PEXPIRE', KEYS[1], int(math.ceil(ttl / 1000)))
return 1
