-- Numbers and publishes one batch of one channel in one atomic step; docs/redis.md has the keys and fields.
-- Everything that can be refused is refused before the first write. Numbers leave through %.0f or struct only: Lua's
-- own way of writing them loses digits from 10^14 on. Redis's Lua hashes every byte of each new string (1.2 us per
-- KiB), so a payload becomes one only twice: as it comes, and with the broker's part in front.
-- KEYS: meta, producers:0, producers:1, log. ARGV: see script.rs.

local META, LOG = KEYS[1], KEYS[4]
local MEMORY, PRODUCERS_MAX, KINDS_MAX = @MEMORY@, @PRODUCERS_MAX@, @KINDS_MAX@
local SEQ_END = 9007199254740992
local FIRST_RECORD = 15

local function whole(text, least)
  local n = tonumber(text)
  if n and n >= least and n < SEQ_END and n % 1 == 0 then return n end
end

local function digits(n) return string.format('%.0f', n) end

-- The reply of a read, or what to answer in its place.
local function read(key, ...)
  local got = redis.pcall('HMGET', key, ...)
  if not got.err then return got end
  if string.find(got.err, 'WRONGTYPE', 1, true) then return nil, {'no', 'type', key} end
  return nil, got
end

local channel, drawn, expiry, total = ARGV[1], ARGV[2], whole(ARGV[3], 1), whole(ARGV[7], 1)
local state_in, records_n = whole(ARGV[8], 0), whole(ARGV[14], 1)
if not (expiry and total and state_in and records_n) or state_in > records_n or string.find(ARGV[3], '%D') then
  return {'no', 'call', 'a number is out of range'}
end
if #drawn < 1 or #drawn > 32 or string.find(drawn, '[%c%s"\\\128-\255]') then
  return {'no', 'call', 'the epoch is not valid'}
end

-- The records as they came: checked, and their kinds gathered.
local fields, place = {'epoch', 'repl', 'seq', 'kinds', 'k:_other'}, {}
local at, sum = FIRST_RECORD, 0
for _ = 1, records_n do
  local flag, events, kinds = ARGV[at], whole(ARGV[at + 1], 1), whole(ARGV[at + 2], 1)
  if not (events and kinds) or kinds > 256 or (flag ~= '1' and (flag ~= '0' or events > 256)) then
    return {'no', 'call', 'a record is over its limits'}
  end
  local counted = 0
  for i = at + 3, at + 1 + 2 * kinds, 2 do
    local kind, n = ARGV[i], whole(ARGV[i + 1], 1)
    if not n then return {'no', 'call', 'a count is not positive'} end
    if not place[kind] then
      if not kind or #kind > 64 or not string.find(kind, '^[%w%.:%-][%w%._:%-]*$') then
        return {'no', 'call', 'a kind is not valid'}
      end
      fields[#fields + 1] = 'k:' .. kind
      place[kind] = #fields
    end
    counted = counted + n
  end
  if counted ~= events then return {'no', 'call', 'counts do not add up'} end
  at = at + 4 + 2 * kinds
  sum = sum + events
end
if at ~= #ARGV + 1 or sum ~= total then return {'no', 'call', 'records do not add up'} end

-- The channel as it is; in slices, because Lua's stack holds no more than 8,000 values.
local info = redis.call('INFO', 'replication')
local _, repl_at = string.find(info, 'master_replid:', 1, true)
if not repl_at then return {'no', 'call', 'the server tells no replication id'} end
local repl = string.sub(info, repl_at + 1, repl_at + 40)
local held = {}
for from = 1, #fields, 1000 do
  local to = math.min(from + 999, #fields)
  local got, answer = read(META, unpack(fields, from, to))
  if answer then return answer end
  for i = from, to do held[i] = got[i - from + 1] end
end
local epoch, seq, kinds_n, other = held[1], 0, 0, 0
if epoch then
  seq, kinds_n, other = whole(held[3], 0), whole(held[4], 0), whole(held[5] or 0, 0)
  if not (seq and kinds_n and other) or not held[2] or #epoch > 32 then return {'no', 'damaged', META} end
end
for i = 6, #fields do
  if held[i] then
    held[i] = whole(held[i], 1)
    if not held[i] then return {'no', 'damaged', META} end
  end
end

-- The producer: two hashes that alternate; each says in `#` when it began, and holds for two periods from there.
local producer, number, kinds_hash = ARGV[4], whole(ARGV[5], 0), ARGV[6]
local into, began, is_fresh, mine_in
if producer ~= '' then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local newer, answer = read(KEYS[2], '#', producer)
  if answer then return answer end
  local older
  older, answer = read(KEYS[3], '#', producer)
  if answer then return answer end
  newer.key, older.key = KEYS[2], KEYS[3]
  newer.began, older.began = tonumber(newer[1] or 0) or 0, tonumber(older[1] or 0) or 0
  if older.began > newer.began then newer, older = older, newer end
  newer.holds, older.holds = now < newer.began + 2 * MEMORY, now < older.began + 2 * MEMORY
  if not newer.holds then
    into, began, is_fresh = older.key, now, true
  elseif now >= newer.began + MEMORY then
    into, began, is_fresh = older.key, newer.began + MEMORY, true
  else
    into, began = newer.key, newer.began
  end
  local mine
  if newer.holds and newer[2] then mine, mine_in = newer[2], newer.key
  elseif older.holds and older[2] then mine, mine_in = older[2], older.key end
  if mine then
    local last, hash, from, to, heard, first = string.match(mine, '^(%d+) (%x+) (%d+) (%d+) (%a) (.+)$')
    if not last then return {'no', 'damaged', mine_in} end
    last = tonumber(last)
    if number == last then
      if hash ~= kinds_hash then return {'no', 'changed'} end
      return {'ok', first, from, to, heard, ''}
    end
    if number ~= last + 1 then return {'no', 'number', digits(last + 1), digits(last)} end
  else
    if number ~= 1 then return {'no', 'number', '1', ''} end
    local remembered = 0
    if newer.holds then remembered = redis.call('HLEN', newer.key) - 1 end
    if older.holds then remembered = remembered + redis.call('HLEN', older.key) - 1 end
    if remembered >= PRODUCERS_MAX then return {'no', 'producers'} end
  end
  if is_fresh then began = {began, began + 2 * MEMORY - now} end
end

if seq + total >= SEQ_END then return {'no', 'full'} end

-- Nothing is refused from here on. A server that may have lost part of the channel starts a new epoch.
local first, sets = seq + 1, {}
local function set(field, value) sets[#sets + 1] = field; sets[#sets + 1] = value end
if not epoch or held[2] ~= repl then
  if epoch then set('prev', digits(seq) .. ' ' .. epoch) end
  epoch = drawn
  set('epoch', epoch)
  set('repl', repl)
end

-- Numbering, folding, counting; the broker's part in front of each record.
local counts, changed, messages = {}, {}, {}
local other_before, kinds_before, state = other, kinds_n, nil
at = FIRST_RECORD
for r = 1, records_n do
  local flag, events, kinds = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local folded = {}
  for i = 1, kinds do
    local kind, n = ARGV[at + 1 + 2 * i], tonumber(ARGV[at + 2 + 2 * i])
    local count = counts[kind] or held[place[kind]]
    if not count and kinds_n < KINDS_MAX then
      count, kinds_n = 0, kinds_n + 1
    end
    if count then
      if not counts[kind] then changed[#changed + 1] = kind end
      counts[kind] = count + n
    else
      other = other + n
      folded[#folded + 1] = struct.pack('>I2', i - 1)
    end
  end
  local part = ARGV[at + 3 + 2 * kinds]
  messages[r] = '\245T\1' .. (flag == '1' and '\1' or '\0') .. struct.pack('>I8I8', seq + 1, seq + events)
    .. string.char(#epoch) .. epoch .. struct.pack('>I2', #folded) .. table.concat(folded) .. part
  seq = seq + events
  if r == state_in then
    local kind = ARGV[10]
    local tallied = counts[kind] and (kind .. ' /') or ('_other ' .. kind)
    state = digits(first + tonumber(ARGV[9])) .. ' ' .. tallied .. ' ' .. ARGV[11] .. ' '
      .. string.sub(part, tonumber(ARGV[12]), tonumber(ARGV[13]))
  end
  at = at + 4 + 2 * kinds
end

local from_text, to_text = digits(first), digits(seq)
set('seq', to_text)
if kinds_n ~= kinds_before or first == 1 then set('kinds', digits(kinds_n)) end
for _, kind in ipairs(changed) do set('k:' .. kind, digits(counts[kind])) end
if other ~= other_before then set('k:_other', digits(other)) end
if state then set('state', state) end
redis.call('HSET', META, unpack(sets))
redis.call('PEXPIRE', META, ARGV[3])
redis.call('UNLINK', LOG)

local function remember(heard)
  redis.call('HSET', into, producer,
    digits(number) .. ' ' .. kinds_hash .. ' ' .. from_text .. ' ' .. to_text .. ' ' .. heard .. ' ' .. epoch)
end
if into then
  if is_fresh then
    redis.call('UNLINK', into)
    redis.call('HSET', into, '#', digits(began[1]))
    redis.call('PEXPIRE', into, digits(began[2]))
  end
  if mine_in and mine_in ~= into then redis.call('HDEL', mine_in, producer) end
  remember('n')
end

local heard, problem = 'n', ''
for _, message in ipairs(messages) do
  local receivers = redis.pcall('PUBLISH', channel, message)
  if type(receivers) == 'table' then
    problem = receivers.err or 'PUBLISH failed'
  elseif receivers > 0 then
    heard = 'y'
  end
end
if problem ~= '' then heard = 'u' end
-- Before this it says that nobody heard, so that a channel without listeners costs no second write.
if into and heard ~= 'n' then remember(heard) end
return {'ok', epoch, from_text, to_text, heard, problem}
