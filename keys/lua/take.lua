-- Take counts a request, unless one of its limits is reached.
--
-- KEYS    the windows, then the sorted sets
-- ARGV    the lease, how long it lives in microseconds, how many windows there are;
--         of each window its limit, what is taken, the length of its parts;
--         of each sorted set its limit
-- Output  1 if it was counted, else 0;
--         of each window what is used then, after how long the limit admits the request (0 if it
--         did, -1 never), after how long all of it counts no more, after how long less does
--         (0 if some is left), the part in which the request is counted;
--         of each sorted set how many there are then, and 0, or 1 if that is too many

local lease, ttl, windows = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local at, ok, list, out = 4, true, {}, {}

for i = 1, windows do
  local w = load(KEYS[i], tonumber(ARGV[at + 2]))
  w.limit, w.amount = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  w.wait = wait(w, math.max(w.amount, 1), w.limit)
  ok = ok and w.wait == 0
  list[i] = w
  at = at + 3
end
local counts = {}
for i = windows + 1, #KEYS do
  call('ZREMRANGEBYSCORE', KEYS[i], '-inf', int(NOW))
  local n = call('ZCARD', KEYS[i])
  counts[i] = n
  ok = ok and n < tonumber(ARGV[at + i - windows - 1])
end

out[1] = ok and 1 or 0
for i = 1, windows do
  local w = list[i]
  if ok then add(w, w.amount) end
  local all, less = reset(w), 0
  if w.total >= w.limit then less = math.max(wait(w, 1, w.total), 0) end
  for _, n in ipairs({ w.total, w.wait, all, less, w.head }) do out[#out + 1] = n end
end
for i = windows + 1, #KEYS do
  local full = counts[i] >= tonumber(ARGV[at + i - windows - 1])
  if ok then
    call('ZADD', KEYS[i], int(NOW + ttl), lease)
    call('PEXPIRE', KEYS[i], int(math.ceil(ttl / 1000)))
  end
  out[#out + 1] = counts[i] + out[1]
  out[#out + 1] = full and 1 or 0
end
return out
