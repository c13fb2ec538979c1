"""Scripts: what Redis does in one piece. Keys lie below one name, the shop's; see `redis.py`.

NAME:ids             hash event_id -> seq
NAME:events          stream of every event, its id is SEQ-0: c customer, b body, a arrived
NAME:of:CUSTOMER     sorted set by time of her last events: 16 digits of seq, then the body
NAME:log:TOPIC       sorted set of changes by version: 16 digits of version, then the change
NAME:last:TOPIC      hash key -> her last change, as it stands in the log
NAME:upto:TOPIC      the topic's version
NAME:seq, NAME:version            counters
NAME:store, NAME:planned, NAME:exported   the store's own name; where the export is
"""

from __future__ import annotations

from serving.state.person import LAST

# ARGV: arrived, then event_id, customer or nothing, time, body of each event. 1 for each new one.
ADD = f"""
local p, new = KEYS[1], {{}}
for i = 2, #ARGV, 4 do
  local id, customer, time, body = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if redis.call('HEXISTS', p .. ':ids', id) == 1 then
    new[#new + 1] = 0
  else
    local seq = redis.call('INCR', p .. ':seq')
    redis.call('HSET', p .. ':ids', id, seq)
    redis.call('XADD', p .. ':events', string.format('%.0f-0', seq),
      'c', customer, 'b', body, 'a', ARGV[1])
    if customer ~= '' then
      local of = p .. ':of:' .. customer
      redis.call('ZADD', of, time, string.format('%016.0f', seq) .. body)
      redis.call('ZREMRANGEBYRANK', of, 0, -{LAST + 1})
    end
    new[#new + 1] = 1
  end
end
return new
"""

# ARGV: topic, 1 where only a key's last change stays, then key and change of each.
CHANGE = """
local p, topic = KEYS[1], ARGV[1]
local log, last, version = p .. ':log:' .. topic, p .. ':last:' .. topic, 0
for i = 3, #ARGV, 2 do
  version = redis.call('INCR', p .. ':version')
  local member = string.format('%016.0f', version) .. ARGV[i + 1]
  if ARGV[2] == '1' then
    local old = redis.call('HGET', last, ARGV[i])
    if old then redis.call('ZREM', log, old) end
  end
  redis.call('ZADD', log, version, member)
  redis.call('HSET', last, ARGV[i], member)
end
if version > 0 then redis.call('SET', p .. ':upto:' .. topic, version) end
return tonumber(redis.call('GET', p .. ':upto:' .. topic) or 0)
"""

# ARGV: most. The store's name, and after which event up to which the next file goes, or nothing.
PLAN = """
local p = KEYS[1]
local after = tonumber(redis.call('GET', p .. ':exported') or 0)
local upto = tonumber(redis.call('GET', p .. ':planned') or 0)
if upto <= after then
  upto = math.min(tonumber(redis.call('GET', p .. ':seq') or 0), after + tonumber(ARGV[1]))
  if upto <= after then return {} end
  redis.call('SET', p .. ':planned', string.format('%.0f', upto))
end
return {redis.call('GET', p .. ':store'), after, upto}
"""

# ARGV: arrived before, most. Removes exported events from the oldest on; how many.
PRUNE = """
local p, gone = KEYS[1], 0
local upto = redis.call('GET', p .. ':exported') or '0'
for _, entry in ipairs(redis.call('XRANGE', p .. ':events', '-', upto .. '-0', 'COUNT', ARGV[2])) do
  local said = entry[2]
  if tonumber(said[6]) >= tonumber(ARGV[1]) then break end
  local seq = tonumber(string.match(entry[1], '^%d+'))
  if said[2] ~= '' then
    redis.call('ZREM', p .. ':of:' .. said[2], string.format('%016.0f', seq) .. said[4])
  end
  redis.call('HDEL', p .. ':ids', cjson.decode(said[4]).event_id)
  redis.call('XDEL', p .. ':events', entry[1])
  gone = gone + 1
end
return gone
"""
