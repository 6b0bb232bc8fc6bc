-- Find returns the job that holds a Unique.
--
-- KEYS[1]  prefix
-- ARGV     unique
-- Output   "ok", the job, its payload and its head; or "missing"

local id = holder(ARGV[1])
if not id then return { 'missing' } end
return full('ok', id)
