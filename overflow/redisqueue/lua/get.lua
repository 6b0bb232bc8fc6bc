-- Get returns a job.
--
-- KEYS[1]  prefix
-- ARGV     id
-- Output   "ok", the job, its payload and its head; or "missing"

return full('ok', ARGV[1])
