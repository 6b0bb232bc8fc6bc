-- List looks at a limited number of jobs, the newest first, and returns those that match.
-- Only of those that run it looks at all, since they are not kept by age.
--
-- KEYS[1]  prefix
-- ARGV     the ID before which to begin ("" for the newest), how many to look at, how many to
--          return, owner and model ("" for all), then the sets to look into, such as i:request:completed
-- Output   the ID before which to go on, "" at the end, and the jobs

local before, budget, limit, owner, model = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], ARGV[5]
local from = before == '' and '+' or '(' .. before
local all = {}
for i = 6, #ARGV do
  local key = P .. ARGV[i]
  if string.sub(ARGV[i], 1, 7) == 'leases:' then
    for _, id in ipairs(call('ZRANGE', key, 0, -1)) do
      if before == '' or id < before then all[#all + 1] = id end
    end
  else
    for _, id in ipairs(call('ZRANGE', key, from, '-', 'BYLEX', 'REV', 'LIMIT', 0, budget)) do
      all[#all + 1] = id
    end
  end
end
table.sort(all, function(a, b) return a > b end)
local out, last = {}, ''
for i = 1, math.min(#all, budget) do
  last = all[i]
  local j = load(last)
  if j and (owner == '' or j[OWNER] == owner) and (model == '' or j[MODEL] == model) then
    out[#out + 1] = j
    if #out == limit then return { last, out } end
  end
end
if #all < budget then last = '' end
return { last, out }
