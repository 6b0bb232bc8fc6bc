-- The end of each script: it runs the calls of a batch. ARGV is, for each call, how many
-- arguments it has, and these.
local out, at = {}, 1
while ARGV[at] do
  local n = tonumber(ARGV[at])
  local args = {}
  if n < 4000 then -- which fit on the stack
    args = { unpack(ARGV, at + 1, at + n) }
  else
    for i = 1, n do args[i] = ARGV[at + i] end
  end
  local ok, reply = pcall(run, args)
  if not ok then
    reply = { 'error', type(reply) == 'table' and reply.err or tostring(reply) }
  end
  out[#out + 1] = reply
  at = at + n + 1
end
return out
