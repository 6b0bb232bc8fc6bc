-- Pause stops or resumes the claiming of requests.
--
-- KEYS[1]  prefix
-- ARGV     "1" to stop, "" to resume
-- Output   1

if ARGV[1] == '1' then
  call('SET', P .. 'paused', '1')
else
  call('DEL', P .. 'paused')
  ring('request')
end
return 1
