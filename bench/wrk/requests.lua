-- Requests of one operation for wrk, each by a random user:
--
--   wrk -s bench/wrk/requests.lua URL -- OPERATION TOKENS SEED POSTS CONTENT
--
-- OPERATION is read, list, vote, vote-one or create. TOKENS is a file with one token a line, of
-- different users. SEED starts the random numbers: with a new one each time, votes are new as well.
-- POSTS is the number of posts to draw from, CONTENT the text of a new post.

local tokens, operation, posts, content = {}, nil, 0, ""

local function head(line)
    return line .. " HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
        .. tokens[math.random(#tokens)] .. "\r\n"
end

local function with_body(line, body)
    return head(line) .. "Content-Type: application/json\r\nContent-Length: " .. #body
        .. "\r\n\r\n" .. body
end

local function vote(post)
    local dir = math.random(2) == 1 and 1 or -1
    return with_body("POST /vote", '{"post_id":' .. post .. ',"dir":' .. dir .. "}")
end

local operations = {
    ["read"] = function() return head("GET /posts/" .. math.random(posts)) .. "\r\n" end,
    ["list"] = function() return head("GET /posts?limit=10") .. "\r\n" end,
    ["vote"] = function() return vote(math.random(posts)) end,
    ["vote-one"] = function() return vote(1) end,
    ["create"] = function()
        return with_body("POST /posts", '{"title":"Post of a load","content":"' .. content .. '"}')
    end,
}

function init(arguments)
    operation = assert(operations[arguments[1]], "unknown operation")
    for token in io.lines(arguments[2]) do
        tokens[#tokens + 1] = token
    end
    math.randomseed(tonumber(arguments[3]))
    posts, content = tonumber(arguments[4]), arguments[5]
end

function request()
    return operation()
end
