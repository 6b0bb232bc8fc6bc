-- Apply makes a change of a job, with what is recorded of it.
--
-- KEYS[1]  prefix
-- ARGV     id, lease, op, to, lane, after and keep in microseconds, refund ("1" or ""), deadline,
--          reason, error, head, how many chunks of output, the chunks,
--          and, if another job is to follow, its ID, its Unique, and as for enqueue.lua
-- Output   "ok" and the job; "missing"; "lost"; or "state"
--
-- op names this very change: sent twice, by a client that saw no answer, the second
-- finds it done. All checks come before all writes.

local id, lease, op, to = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local deadline, reason, err, head = ARGV[9], ARGV[10], ARGV[11], ARGV[12]
local chunks = tonumber(ARGV[13])

local j = load(id)
if not j then return { 'missing' } end
if j[OP] == op then return { 'ok', j } end
local from = j[STATE]

if lease ~= '' then
  if from ~= 'executing' or j[LEASE] ~= lease or (us(j[LEASE_UNTIL]) or 0) <= NOW then return { 'lost' } end
  if to == 'executing' then return { 'state' } end
elseif to == 'cancelled' and from == 'executing' then
  put(j, OP, op)
  put(j, CANCEL_ASKED, '1')
  save(j)
  tell(id, 's')
  return { 'ok', j }
else
  local waits = from == 'waiting' or from == 'scheduled'
  local ends = (to == 'cancelled' or to == 'discarded') and (waits or from == 'available')
  local starts = to == 'available' and (waits or from == 'discarded' or from == 'cancelled')
  if not ends and not starts then return { 'state' } end
end

leave(j)
put(j, OP, op)
if deadline ~= '' then put(j, DEADLINE, deadline) end

if lease ~= '' then
  put(j, ERROR, err)
  put(j, REASON, reason)
  if ARGV[8] == '1' then
    put(j, ATTEMPT, math.max(0, int(j[ATTEMPT]) - 1))
    if to == 'waiting' or to == 'scheduled' then put(j, SNOOZES, int(j[SNOOZES]) + 1) end
  else
    put(j, SNOOZES, false)
  end
else
  if err ~= '' then put(j, ERROR, err) end
  if reason ~= '' then put(j, REASON, reason) end
end

if FINAL[from] then -- it begins anew
  for _, field in ipairs({ ATTEMPT, CRASHES, SNOOZES, REASON, ERROR, CANCEL_ASKED, OUTPUT_SIZE }) do
    put(j, field, false)
  end
  call('UNLINK', P .. 'o:' .. id)
  call('HDEL', P .. 'j:' .. id, 'head')
  if j[UNIQUE] and not holder(j[UNIQUE]) then call('HSET', P .. 'uniques', j[UNIQUE], id) end
end

local more = {}
if to == 'completed' or to == 'discarded' then
  if head ~= '' then more = { 'head', head } end
  local size = int(j[OUTPUT_SIZE])
  for i = 14, 13 + chunks do
    call('RPUSH', P .. 'o:' .. id, ARGV[i])
    size = size + #ARGV[i]
  end
  put(j, OUTPUT_SIZE, size)
end

if FINAL[to] then
  finish(j, to, tonumber(ARGV[7]), unpack(more))
elseif to == 'scheduled' then
  arrive(j, to, NOW + tonumber(ARGV[6]))
elseif to == 'waiting' then
  arrive(j, to, ARGV[5])
else
  arrive(j, to, again)
end

local follow = 14 + chunks
local next = ARGV[follow]
if next and call('EXISTS', P .. 'j:' .. next) == 0 and not holder(ARGV[follow + 1]) then
  create(next, ARGV, follow + 2)
end
return { 'ok', j }
