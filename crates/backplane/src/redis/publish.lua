-- Numbers and publishes batches, each of one channel in one atomic step; docs/redis.md has the keys and fields.
-- Batches that waited at the same moment come in one call, which asks the server once for what all need. Each is a
-- world of its own: what is refused or fails in one leaves the others as they would be alone.
-- Everything of a batch that can be refused is refused before its first write. Numbers leave through %.0f, %d or struct
-- only: Lua's own way of writing them loses digits from 10^14 on. Redis's Lua hashes every byte of each new string (1.2
-- us per KiB), so a record that came with the right header goes out as it came; and what a batch like the one before
-- does not need (another producer, a new epoch, a full table of kinds) stands in branches of its own.
-- KEYS: for each batch meta, producers:0, producers:1, log. ARGV: how many arguments each batch has, then those of all;
-- script.rs has their order.

local ARGV, KEYS = ARGV, KEYS
local call, try, format, find, pack, take =
  redis.call, redis.pcall, string.format, string.find, struct.pack, struct.unpack
local MEMORY, PRODUCERS_MAX, KINDS_MAX, LOOK = @MEMORY@, @PRODUCERS_MAX@, @KINDS_MAX@, @LOOK@
local SEQ_END = 9007199254740992
-- Of a batch's arguments.
local PUBSUB, EPOCH, PRODUCER, KINDS_HASH, NUMBERS, STATE, STATE_AT, FIRST_RECORD = 1, 2, 3, 4, 5, 6, 7, 8
-- The field `head`: lengths of epoch and owner, the owner's heard, kinds with a place; seq, when the keys were last
-- looked after, replication id; the owner's number, from, to, when accepted, kinds' hash; then epoch and owner.
local HEAD, HEAD_LEN = '>BBc1BI8I8c40I8I8I8I8c16', 108

local lens = ARGV[1] or ''
local batches_n, args_n = #lens / 4, 1
for b = 1, batches_n do args_n = args_n + take('>I4', lens, 4 * b - 3) end
if batches_n < 1 or batches_n % 1 ~= 0 or args_n ~= #ARGV or #KEYS ~= 4 * batches_n then
  return redis.error_reply('TALLY the numbers of arguments and keys do not fit')
end
local _, repl_at, now, repl
local info = call('INFO', 'replication')
_, repl_at = find(info, 'master_replid:', 1, true)
repl = repl_at and string.sub(info, repl_at + 1, repl_at + 40) or ''
local time = call('TIME')
now = time[1] * 1000 + math.floor(time[2] / 1000)

-- What the batch at hand has written, for whoever hears that it failed.
local is_written

-- The batch whose keys stand behind `key`, and whose arguments behind `base` and up to `ends`.
local function publish(key, base, ends)
  local META = KEYS[key + 1]
  local producer, kinds_hash = ARGV[base + PRODUCER], ARGV[base + KINDS_HASH]
  if ends < base + FIRST_RECORD + 2 or #ARGV[base + NUMBERS] ~= 28 then return {'no', 'call', 'it is too short'} end
  local number, total, expiry, records_n = take('>I8I8I8I4', ARGV[base + NUMBERS])
  if not (total > 0 and total < SEQ_END and number < SEQ_END and expiry > 0 and expiry < SEQ_END) then
    return {'no', 'call', 'a number is out of range'}
  end
  if producer ~= '' and (#producer > 255 or #kinds_hash ~= 16) then
    return {'no', 'call', 'the producer is not valid'}
  end
  if #repl ~= 40 then return {'no', 'call', 'the server tells no replication id'} end

  -- The records as they came: checked, and their kinds gathered.
  local fields, place = {'head'}, {}
  local at, sum = base + FIRST_RECORD, 0
  for _ = 1, records_n do
    local row = ARGV[at]
    if not row or #row < 23 then return {'no', 'call', 'a record is too short'} end
    local flag, _, kinds, events = take('>BI4I2I8', row)
    if kinds > 256 or #row ~= 15 + 8 * kinds or (flag ~= 1 and (flag ~= 0 or events > 256)) then
      return {'no', 'call', 'a record is over its limits'}
    end
    local counted = 0
    for i = 1, kinds do
      local kind, n = ARGV[at + i], take('>I8', row, 8 + 8 * i)
      if n < 1 then return {'no', 'call', 'a count is not positive'} end
      if not kind or kind == '_other' then return {'no', 'call', 'a kind is not valid'} end
      if not place[kind] then
        fields[#fields + 1] = 'k:' .. kind
        place[kind] = #fields
      end
      counted = counted + n
    end
    if counted ~= events or events < 1 then return {'no', 'call', 'counts do not add up'} end
    at = at + 2 + kinds
    sum = sum + events
  end
  local state_in, state_row = 0, ARGV[base + STATE]
  if state_row ~= '' then state_in = #state_row > 20 and take('>I4', state_row) or records_n + 1 end
  if at ~= ends + 1 or sum ~= total or state_in > records_n then
    return {'no', 'call', 'records do not add up'}
  end

  -- The channel as it is; in slices, because Lua's stack holds no more than 8,000 values.
  local held = try('HMGET', META, unpack(fields, 1, math.min(#fields, 1000)))
  if held.err then
    if find(held.err, 'WRONGTYPE', 1, true) then return {'no', 'type', META} end
    return {'failed', 'n', held.err}
  end
  for from = 1001, #fields, 1000 do
    local to = math.min(from + 999, #fields)
    local more = call('HMGET', META, unpack(fields, from, to))
    for i = from, to do held[i] = more[i - from + 1] end
  end
  local head, epoch = held[1], nil
  local seq, kinds_n, looked, same, owner, heard = 0, 0, 0, false, '', 'n'
  local last, from, to, accepted, hash = 0, 0, 0, 0, '0000000000000000'
  if head then
    local epoch_len, owner_len = string.byte(head, 1, 2)
    if #head < HEAD_LEN or #head ~= HEAD_LEN + epoch_len + owner_len then return {'no', 'damaged', META} end
    local _, _, h, k, s, l, id, a, b, c, d, e = take(HEAD, head)
    heard, kinds_n, seq, looked, same, last, from, to, accepted, hash = h, k, s, l, id == repl, a, b, c, d, e
    epoch = string.sub(head, HEAD_LEN + 1, HEAD_LEN + epoch_len)
    owner = string.sub(head, HEAD_LEN + epoch_len + 1)
    if seq >= SEQ_END or kinds_n > KINDS_MAX or epoch_len < 1 or epoch_len > 32 then
      return {'no', 'damaged', META}
    end
  elseif call('HLEN', META) > 0 then
    return {'no', 'damaged', META}
  end
  for i = 2, #fields do
    local n = held[i]
    if n then
      n = tonumber(n)
      if not (n and n >= 1 and n <= seq and n % 1 == 0) then return {'no', 'damaged', META} end
      held[i] = n
    elseif #fields[i] > 66 or not find(fields[i], '^k:[%w%.:%-][%w%._:%-]*$') then
      return {'no', 'call', 'a kind is not valid'}
    end
  end

  -- The producer. Who published last, the owner, stands in `head`; the others in two hashes that alternate: each says
  -- in `#` when it began, and holds for two periods from there.
  local is_kept = owner ~= '' and now < accepted + MEMORY
  local is_moved, into, began, is_fresh, mine_in = false, nil, nil, nil, nil
  if producer ~= '' and producer == owner and is_kept then
    if number == last then
      if hash ~= kinds_hash then return {'no', 'changed'} end
      return format('ok %.0f %.0f %s 0 %s ', from, to, heard, epoch)
    end
    if number ~= last + 1 then return {'no', 'number', format('%.0f', last + 1), format('%.0f', last)} end
  elseif producer ~= '' or (is_kept and not same) then
    is_moved = is_kept
    local generations = {}
    for i = 1, 2 do
      local got = try('HMGET', KEYS[key + 1 + i], '#', producer)
      if got.err then
        if find(got.err, 'WRONGTYPE', 1, true) then return {'no', 'type', KEYS[key + 1 + i]} end
        return {'failed', 'n', got.err}
      end
      local since = tonumber(got[1] or 0) or 0
      generations[i] = {key = KEYS[key + 1 + i], began = since, holds = now < since + 2 * MEMORY, mine = got[2]}
    end
    local newer, older = generations[1], generations[2]
    if older.began > newer.began then newer, older = older, newer end
    if not newer.holds then
      into, began, is_fresh = older.key, now, true
    elseif now >= newer.began + MEMORY then
      into, began, is_fresh = older.key, newer.began + MEMORY, true
    else
      into = newer.key
    end
    if producer ~= '' then
      local mine
      if newer.holds and newer.mine then mine, mine_in = newer.mine, newer.key
      elseif older.holds and older.mine then mine, mine_in = older.mine, older.key end
      if mine then
        local n, kinds, first, final, was_heard, first_epoch =
          string.match(mine, '^(%d+) (%x+) (%d+) (%d+) (%a) (.+)$')
        if not n then return {'no', 'damaged', mine_in} end
        n = tonumber(n)
        if number == n then
          if kinds ~= kinds_hash then return {'no', 'changed'} end
          return 'ok ' .. first .. ' ' .. final .. ' ' .. was_heard .. ' 0 ' .. first_epoch .. ' '
        end
        if number ~= n + 1 then return {'no', 'number', format('%.0f', n + 1), format('%.0f', n)} end
      else
        if number ~= 1 then return {'no', 'number', '1', ''} end
        local remembered = is_kept and 1 or 0
        if newer.holds then remembered = remembered + math.max(call('HLEN', newer.key) - 1, 0) end
        if older.holds then remembered = remembered + math.max(call('HLEN', older.key) - 1, 0) end
        if remembered >= PRODUCERS_MAX then return {'no', 'producers'} end
      end
    end
  end

  if seq + total >= SEQ_END then return {'no', 'full'} end
  -- %d is three times as fast, and on some machines no wider than 32 bits.
  local digits, answer = '%.0f', 'ok %.0f %.0f %s %s %s '
  if seq + total < 2147483648 then digits, answer = '%d', 'ok %d %d %s %s %s ' end
  local first, sets, moved, moved_name = seq + 1, {'head', ''}, nil, owner
  if is_moved then moved = format('%.0f %s %.0f %.0f %s %s', last, hash, from, to, heard, epoch) end
  -- A server that may have lost part of the channel starts a new epoch.
  if not same then
    local drawn = ARGV[base + EPOCH]
    if #drawn < 1 or #drawn > 32 or find(drawn, '[%c%s"\\\128-\255]') then
      return {'no', 'call', 'the epoch is not valid'}
    end
    if epoch then sets[3] = 'prev'; sets[4] = format('%.0f %s', seq, epoch) end
    epoch = drawn
  end

  -- Numbering, folding, counting; the broker's part in front of each record that has not the right one already.
  local messages, other, was_folded, state = {}, nil, '0', nil
  at = base + FIRST_RECORD
  for r = 1, records_n do
    local row, folded, folded_n = ARGV[at], '', 0
    local flag, header_len, kinds, events = take('>BI4I2I8', row)
    for i = 1, kinds do
      local index, n = place[ARGV[at + i]], take('>I8', row, 8 + 8 * i)
      local count = held[index]
      if not count and kinds_n < KINDS_MAX then
        count, kinds_n = 0, kinds_n + 1
      end
      if count then
        held[index] = count + n
      else
        if not other then
          other = tonumber(call('HMGET', META, 'k:_other')[1] or 0)
          if not (other and other >= 0 and other <= seq and other % 1 == 0) then return {'no', 'damaged', META} end
        end
        other = other + n
        folded, folded_n, was_folded = folded .. pack('>I2', i - 1), folded_n + 1, '1'
      end
    end
    local message = ARGV[at + 1 + kinds]
    local header = pack('>BBBBI8I8Bc0I2', 245, 84, 1, flag, seq + 1, seq + events, #epoch, epoch, folded_n) .. folded
    if state_in == r then
      local _, offset, start, stop = take('>I4I8I4I4', state_row)
      local kind = string.sub(state_row, 21)
      local tallied = place[kind] and held[place[kind]] and (kind .. ' /') or ('_other ' .. kind)
      state = format('%.0f ', first + offset) .. tallied .. ' ' .. ARGV[base + STATE_AT] .. ' '
        .. string.sub(message, header_len + start, header_len + stop)
    end
    if header_len ~= #header or find(message, header, 1, true) ~= 1 then
      message = header .. string.sub(message, header_len + 1)
    end
    messages[r] = message
    seq = seq + events
    at = at + 2 + kinds
  end
  for i = 2, #fields do
    if held[i] then sets[#sets + 1] = fields[i]; sets[#sets + 1] = format(digits, held[i]) end
  end
  if other then sets[#sets + 1] = 'k:_other'; sets[#sets + 1] = format(digits, other) end
  if state then sets[#sets + 1] = 'state'; sets[#sets + 1] = state end

  -- Nothing is refused from here on.
  local is_looked_after = now < looked + LOOK and now >= looked
  if not is_looked_after then looked = now end
  if producer ~= '' then
    owner, last, from, to, accepted, hash = producer, number, first, seq, now, kinds_hash
    if heard == 'u' then heard = 'n' end
  elseif is_moved or not is_kept then
    owner = ''
  end
  head = pack(HEAD .. 'c0c0', #epoch, #owner, heard, kinds_n, seq, looked, repl,
    last, from, to, accepted, hash, epoch, owner)
  sets[2] = head
  call('HSET', META, unpack(sets))
  is_written = true
  if not is_looked_after then
    call('PEXPIRE', META, format('%.0f', expiry + LOOK))
    call('UNLINK', KEYS[key + 4])
  end
  if moved then
    if is_fresh then
      call('UNLINK', into)
      call('HSET', into, '#', format('%.0f', began))
      call('PEXPIRE', into, format('%.0f', began + 2 * MEMORY - now))
    end
    call('HSET', into, moved_name, moved)
  end
  if mine_in then call('HDEL', mine_in, producer) end

  local is_heard, problem = 'n', ''
  for r = 1, records_n do
    local receivers = try('PUBLISH', ARGV[base + PUBSUB], messages[r])
    if type(receivers) == 'table' then
      problem = receivers.err or 'PUBLISH failed'
    elseif receivers > 0 then
      is_heard = 'y'
    end
  end
  if problem ~= '' then is_heard = 'u' end
  -- Before this it says what the batch before was told, so that a channel whose listeners stay costs no second write.
  if producer ~= '' and is_heard ~= heard then
    call('HSET', META, 'head', string.sub(head, 1, 2) .. is_heard .. string.sub(head, 4))
  end
  return format(answer, first, seq, is_heard, was_folded, epoch) .. problem
end

local answers, key, base = {}, 0, 1
for b = 1, batches_n do
  local ends = base + take('>I4', lens, 4 * b - 3)
  is_written = false
  local is_done, answer = pcall(publish, key, base, ends)
  -- What was raised is a text, or a table with one.
  if not is_done then
    answer = {'failed', is_written and 'y' or 'n', type(answer) == 'table' and answer.err or answer}
  end
  answers[b], key, base = answer, key + 4, ends
end
return answers
