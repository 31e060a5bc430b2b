-- The limiter of gateways that share a store: takes from several quotas all or nothing, or gives back, in one call.
-- The same algorithms to the cell as `host/src/store/limit.rs`, which explains them; a test compares the two.
--
-- KEYS     one per quota, all in one slot of a cluster
-- ARGV[1]  the time in microseconds since 1970; empty: that of this server, the only clock that counts. (Tests give one;
--          nothing expires then.)
-- ARGV[2]  `take` or `back`
-- ARGV     then for each key: algorithm (`b`ucket, `w`indow, `s`liding), limit, capacity, period in microseconds, cost
-- Answer   of `take`, for each key: 1 if allowed or 0, remaining, retry after ms (-1 = never), whole after ms
--
-- Numbers of Lua are doubles, exact up to 2^53. Cells are at most 10^15 and periods ten years, so only products can go
-- beyond; `muldiv` works them out exactly. What is taken is kept as whole cells and a fraction in microseconds of the period.

local EXACT, MOST = 9007199254740992, 9007199254740991
local fmod, ceil, min, max = math.fmod, math.ceil, math.min, math.max

-- floor(a * b / p), and the rest.
local function muldiv(a, b, p)
  local whole = a * b
  if whole < EXACT then
    local rest = fmod(whole, p)
    return (whole - rest) / p, rest
  end
  -- Schoolbook, by digits of base 4: no step leaves the exact range.
  local part = fmod(a, p)
  local digits, n, left = {}, 0, b
  while left > 0 do
    local digit = fmod(left, 4)
    n = n + 1
    digits[n] = digit
    left = (left - digit) / 4
  end
  local quotient, rest = 0, 0
  for i = n, 1, -1 do
    rest = rest * 4 + digits[i] * part
    local over = fmod(rest, p)
    quotient = quotient * 4 + (rest - over) / p
    rest = over
  end
  return (a - part) / p * b + quotient, rest
end

local now = tonumber(ARGV[1])
local expire = not now
if expire then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function load(key)
  local kept = redis.call('GET', key)
  if not kept then
    return { kind = '' }
  end
  local kind, a, b, c, d = string.match(kept, '^(%a) (%d+) (%d+) (%d+) (%d+)$')
  if kind == 'b' then
    return { kind = 'b', cells = tonumber(a), part = tonumber(b), period = tonumber(c), at = tonumber(d) }
  elseif kind == 'w' then
    return { kind = 'w', start = tonumber(a), used = tonumber(b) }
  elseif kind == 's' then
    return { kind = 's', start = tonumber(a), previous = tonumber(b), current = tonumber(c) }
  end
  return { kind = '' }
end

-- The state as it is now under this quota. A time before the state's own counts as the state's own.
local function advance(s, q)
  if q.kind == 'b' then
    if s.kind ~= 'b' then
      return { kind = 'b', cells = 0, part = 0, period = q.period, at = now }
    end
    local cells, part = s.cells, s.part
    if s.period ~= q.period then
      part = muldiv(part, q.period, s.period)
    end
    if cells >= q.capacity then
      cells, part = q.capacity, 0
    end
    local drained, rest = muldiv(max(0, now - s.at), q.limit, q.period)
    cells, part = cells - drained, part - rest
    if part < 0 then
      cells, part = cells - 1, part + q.period
    end
    if cells < 0 then
      cells, part = 0, 0
    end
    return { kind = 'b', cells = cells, part = part, period = q.period, at = max(s.at, now) }
  elseif q.kind == 'w' then
    if s.kind == 'w' and s.used > 0 and max(0, now - s.start) < q.period then
      return s
    end
    return { kind = 'w', start = now, used = 0 }
  end
  if s.kind == 's' and (s.previous > 0 or s.current > 0) then
    local elapsed = max(0, now - s.start)
    if elapsed < q.period then
      return s
    elseif elapsed < 2 * q.period and s.current > 0 then
      return { kind = 's', start = s.start + q.period, previous = s.current, current = 0 }
    end
  end
  return { kind = 's', start = now, previous = 0, current = 0 }
end

-- The least elapsed part of a window from which on the weighted `previous` leaves `room`.
local function fits_at(previous, room, period)
  if previous == 0 or room >= previous then
    return 0
  end
  return period - (muldiv(room, period, previous))
end

-- How long until `cost` fits, in microseconds; 0 = now, nil = never.
local function wait(s, q, cost)
  if cost > q.capacity then
    return nil
  end
  if s.kind == 'b' then
    local cells, part = s.cells + cost - q.capacity, s.part
    if cells < 0 or (cells == 0 and part == 0) then
      return 0
    end
    local limit = max(1, q.limit)
    local quotient, rest = muldiv(cells, q.period, limit)
    return quotient + ceil((rest + part) / limit) + max(0, s.at - now)
  end
  local rest = max(0, s.start + q.period - now)
  if s.kind == 'w' then
    return s.used + cost <= q.limit and 0 or rest
  end
  local room = q.limit - s.current - cost
  if room >= 0 then
    return max(0, fits_at(s.previous, room, q.period) - max(0, now - s.start))
  end
  return rest + fits_at(s.current, q.limit - cost, q.period)
end

-- When nothing is left of what was taken.
local function whole_at(s, q)
  if s.kind == 'b' then
    local limit = max(1, q.limit)
    local quotient, rest = muldiv(s.cells, q.period, limit)
    return s.at + quotient + ceil((rest + s.part) / limit)
  elseif s.kind == 'w' then
    return s.start + (s.used > 0 and q.period or 0)
  elseif s.current > 0 then
    return s.start + 2 * q.period
  end
  return s.start + (s.previous > 0 and q.period or 0)
end

local function remaining(s, q)
  local cells, part
  if s.kind == 'b' then
    cells, part = s.cells, s.part
  elseif s.kind == 'w' then
    cells, part = s.used, 0
  else
    cells, part = muldiv(s.previous, max(0, q.period - max(0, now - s.start)), q.period)
    cells = cells + s.current
  end
  return max(0, q.capacity - cells - (part > 0 and 1 or 0))
end

-- `cost` more cells, or fewer.
local function changed(s, cost)
  if s.kind == 'b' then
    local cells = s.cells + cost
    if cells < 0 then
      return { kind = 'b', cells = 0, part = 0, period = s.period, at = s.at }
    end
    return { kind = 'b', cells = cells, part = s.part, period = s.period, at = s.at }
  elseif s.kind == 'w' then
    return { kind = 'w', start = s.start, used = max(0, s.used + cost) }
  end
  return { kind = 's', start = s.start, previous = s.previous, current = max(0, s.current + cost) }
end

local function keep(key, s, q)
  local left = whole_at(s, q) - now
  if left <= 0 then
    redis.call('DEL', key)
    return
  end
  local text
  if s.kind == 'b' then
    text = string.format('b %.0f %.0f %.0f %.0f', s.cells, s.part, s.period, s.at)
  elseif s.kind == 'w' then
    text = string.format('w %.0f %.0f 0 0', s.start, s.used)
  else
    text = string.format('s %.0f %.0f %.0f 0', s.start, s.previous, s.current)
  end
  if expire then
    redis.call('SET', key, text, 'PX', string.format('%.0f', min(MOST / 1000, ceil(left / 1000))))
  else
    redis.call('SET', key, text)
  end
end

local quotas = {}
for i = 1, #KEYS do
  local at = 2 + (i - 1) * 5
  quotas[i] = {
    kind = ARGV[at + 1],
    limit = tonumber(ARGV[at + 2]),
    capacity = tonumber(ARGV[at + 3]),
    period = tonumber(ARGV[at + 4]),
    cost = tonumber(ARGV[at + 5]),
  }
end

if ARGV[2] == 'back' then
  for i, key in ipairs(KEYS) do
    local s = load(key)
    if s.kind ~= '' then
      keep(key, changed(advance(s, quotas[i]), -quotas[i].cost), quotas[i])
    end
  end
  return {}
end

local before, after, waits, all = {}, {}, {}, true
local answer = {}
local function tell(i, s)
  local q, wait = quotas[i], waits[i]
  local n = #answer
  answer[n + 1] = wait == 0 and 1 or 0
  answer[n + 2] = remaining(s, q)
  answer[n + 3] = wait and min(MOST, ceil(wait / 1000)) or -1
  answer[n + 4] = min(MOST, ceil(max(0, whole_at(s, q) - now) / 1000))
end
for i, key in ipairs(KEYS) do
  local q = quotas[i]
  before[key] = before[key] or load(key)
  local s = advance(after[key] or before[key], q)
  waits[i] = wait(s, q, max(1, q.cost)) or false
  if waits[i] ~= 0 then
    all = false
  elseif q.cost > 0 then
    s = changed(s, q.cost)
  end
  after[key] = s
  tell(i, s)
end
if all then
  for i, key in ipairs(KEYS) do
    if quotas[i].cost > 0 then
      keep(key, after[key], quotas[i])
    end
  end
else
  answer = {}
  for i, key in ipairs(KEYS) do
    tell(i, advance(before[key], quotas[i]))
  end
end
return answer
