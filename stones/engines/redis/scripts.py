"""The scripts that run inside of the server, each at once and as a whole.

Their keys are those of `Places.keys`: the head, then for each space the order of the keys (a sorted
set, all scores 0) and the values (a hash), then the sums (a hash).
"""

from hashlib import sha1

from attrs import frozen


@frozen
class Script:
    """A script, and the name under which the server keeps it once it has run."""

    text: str
    digest: str


def _script(text: str) -> Script:
    return Script(text, sha1(text.encode(), usedforsecurity=False).hexdigest())


_READ_PAGE = """
-- The keys of a page, and their values if they are wanted; nil if a key has no value.
local function read_page(order, values, command, from, to, size, most, wanted)
    local keys = redis.call(command, order, from, to, 'LIMIT', 0, size)
    local found, bytes = {}, 0
    if wanted ~= 'v' then return keys, found end
    for i, key in ipairs(keys) do
        local value = redis.call('HGET', values, key)
        if not value then return nil end
        found[i] = value
        bytes = bytes + #value
        if bytes >= most and i < #keys then
            local kept = {}
            for j = 1, i do kept[j] = keys[j] end
            return kept, found
        end
    end
    return keys, found
end
"""

PAGE = _script(
    _READ_PAGE
    + """
-- ARGV: space, command, from, to, most entries, most bytes, 'v' for values.
-- The version of the space, the keys, and their values.
local order, values = KEYS[2 + 2 * ARGV[1]], KEYS[3 + 2 * ARGV[1]]
local version = redis.call('HGET', KEYS[1], 'version' .. ARGV[1]) or '0'
local keys, found = read_page(
    order, values, ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7])
if not keys then return redis.error_reply('DAMAGED a key of the order has no value') end
return {version, keys, found}
"""
)

COUNT = _script("""
-- ARGV: space. The version of the space, and the number of its keys.
local version = redis.call('HGET', KEYS[1], 'version' .. ARGV[1]) or '0'
return {version, redis.call('ZCARD', KEYS[2 + 2 * ARGV[1]])}
""")

KEEP = _script("""
-- KEYS: those of a copy. ARGV: seconds until it goes by itself. The number of keys that it has.
local found = 0
for _, key in ipairs(KEYS) do found = found + redis.call('EXPIRE', key, ARGV[1]) end
return found
""")

COMMIT = _script(
    _READ_PAGE
    + """
-- ARGV: the whole transaction; or nothing, and it is in the list KEYS[9], as long as ARGV[1] says.
-- First what was read is compared. Nothing is written unless all of it is as it was.
local batch, at = ARGV, 0
if KEYS[9] then
    if redis.call('LLEN', KEYS[9]) ~= tonumber(ARGV[1]) then return 'lost' end
    at = #batch
end
local function take()
    at = at + 1
    if at > #batch then batch, at = redis.call('LPOP', KEYS[9], 64), 1 end
    return batch[at]
end
local function refused(why)
    if KEYS[9] then redis.call('UNLINK', KEYS[9]) end
    return why
end
local function conflict() return refused('conflict') end
local function number() return tonumber(take()) end
if redis.call('HEXISTS', KEYS[1], 'layout') == 0 then return refused('gone') end
local touched, step = take(), take()
-- Where others have written since, the pages that were read must still be the same.
local differs = false
for _ = 1, number() do
    local space, version, is_all = take(), take(), take()
    local now = redis.call('HGET', KEYS[1], 'version' .. space) or '0'
    if now ~= version then
        if is_all == '1' then return conflict() end
        differs = true
    end
end
for _ = 1, number() do
    local space, command, from, to = take(), take(), take(), take()
    local size, most, wanted, digest = take(), number(), take(), take()
    if differs then
        local order, values = KEYS[2 + 2 * space], KEYS[3 + 2 * space]
        local keys, found = read_page(order, values, command, from, to, size, most, wanted)
        if not keys then return conflict() end
        local parts = {}
        for _, key in ipairs(keys) do parts[#parts + 1] = #key .. ':' .. key end
        for _, value in ipairs(found) do parts[#parts + 1] = #value .. ':' .. value end
        if redis.sha1hex(table.concat(parts)) ~= digest then return conflict() end
    end
end
local sums = take()
if sums ~= '' and redis.call('HLEN', KEYS[8]) ~= tonumber(sums) then return conflict() end
for _ = 1, number() do
    local values, key, wanted = KEYS[take() == 's' and 8 or 3 + 2 * batch[at]], take(), take()
    local found, kind = redis.call('HGET', values, key), wanted:sub(1, 1)
    local same
    if kind == '' then same = not found
    elseif kind == '=' then same = found == wanted:sub(2)
    else same = found and redis.sha1hex(found) == wanted:sub(2) end
    if not same then return conflict() end
end
-- A key of the wrong type is an error here, before anything is written.
redis.call('HLEN', KEYS[1])
for space in touched:gmatch('.') do
    if space == 's' then
        redis.call('HLEN', KEYS[8])
    else
        redis.call('ZCARD', KEYS[2 + 2 * space])
        redis.call('HLEN', KEYS[3 + 2 * space])
    end
end
for space in touched:gmatch('.') do
    if space == 's' then
        for _ = 1, number() do redis.call('HDEL', KEYS[8], take()) end
        for _ = 1, number() do
            local key = take()
            local total = redis.call('HINCRBY', KEYS[8], key, take())
            if total == 0 then redis.call('HDEL', KEYS[8], key) end
        end
    else
        local order, values = KEYS[2 + 2 * space], KEYS[3 + 2 * space]
        for _ = 1, number() do
            local key = take()
            if redis.call('HDEL', values, key) == 1 then redis.call('ZREM', order, key) end
        end
        for _ = 1, number() do
            local key = take()
            local new = redis.call('HSET', values, key, take())
            if new == 1 then redis.call('ZADD', order, 0, key) end
        end
        redis.call('HINCRBY', KEYS[1], 'version' .. space, step)
    end
end
return 'done'
"""
)

PROBE = _script("""
-- ARGV: the layout. Each command that writes, in a way that changes nothing: a user who may not run
-- one of them would otherwise leave a commit half done.
redis.call('HSET', KEYS[1], 'layout', ARGV[1])
redis.call('HINCRBY', KEYS[1], 'version0', 0)
for space = 0, 2 do
    redis.call('ZADD', KEYS[2 + 2 * space], 'XX', 0, '')
    redis.call('ZREM', KEYS[2 + 2 * space], '')
    redis.call('HDEL', KEYS[3 + 2 * space], '')
end
redis.call('HDEL', KEYS[8], '')
redis.call('LPOP', KEYS[9], 1)
redis.call('UNLINK', KEYS[9])
return 'done'
""")
