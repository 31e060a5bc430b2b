-- A plain counter of gateways that share a store: adds, within 64 bits, and expires so long after the write that made it.
--
-- KEYS[1]  the counter
-- ARGV     what to add (0 only looks), milliseconds to live (0 = for ever)
-- Answer   the new value, as text: numbers of Lua have 53 bits

local key, delta, ttl = KEYS[1], ARGV[1], ARGV[2]
if delta == '0' then
  return redis.call('GET', key) or '0'
end
local new = redis.call('EXISTS', key) == 0
local done = redis.pcall('INCRBY', key, delta)
if type(done) == 'table' and done.err then
  if not string.find(done.err, 'overflow') then
    return done
  end
  local most = string.sub(delta, 1, 1) == '-' and '-9223372036854775808' or '9223372036854775807'
  redis.call('SET', key, most, 'KEEPTTL')
end
if new and ttl ~= '0' then
  redis.call('PEXPIRE', key, ttl)
end
return redis.call('GET', key)
