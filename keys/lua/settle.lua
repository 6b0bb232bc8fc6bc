-- Settle ends a request and corrects what it has used.
--
-- KEYS    the windows, then the sorted sets
-- ARGV    the lease, how many windows there are;
--         of each window the length of its parts, the part in which the request is counted, by
--         how much to correct it: more is counted now, less where the request was
-- Output  1

local lease, windows = ARGV[1], tonumber(ARGV[2])
local at = 3
for i = 1, windows do
  local w = load(KEYS[i], tonumber(ARGV[at]))
  local part, by = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if by > 0 then
    add(w, by)
  elseif by < 0 and not w.fresh and part <= w.head and part >= w.head - PARTS then
    local field = int(part % (PARTS + 1))
    local n = tonumber(call('HGET', w.key, field) or 0)
    by = math.max(by, -n)
    if n + by > 0 then
      call('HSET', w.key, field, int(n + by))
    else
      call('HDEL', w.key, field)
    end
    call('HSET', w.key, 't', int(w.total + by))
  end
  at = at + 3
end
for i = windows + 1, #KEYS do
  call('ZREM', KEYS[i], lease)
end
return 1
