-- Wake makes jobs available that wait in a lane, in their order.
--
-- KEYS[1]  prefix
-- ARGV     kind, lane, how many at most
-- Output   how many there were, and how many of them were made available

local key = P .. 'lane:' .. ARGV[1] .. ':' .. ARGV[2]
local ids = call('ZRANGE', key, 0, tonumber(ARGV[3]) - 1)
local n = 0
for _, id in ipairs(ids) do
  local j = load(id)
  if j and j[STATE] == 'waiting' and (j[LANE] or '') == ARGV[2] then
    leave(j)
    arrive(j, 'available', again)
    n = n + 1
  else
    call('ZREM', key, id)
  end
end
return { #ids, n }
