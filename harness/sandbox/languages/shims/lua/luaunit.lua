-- What tests use of LuaUnit: comparing values by what they hold, and running every global function called test...
local M = { LuaUnit = {} }

local function equal(a, b)
    if type(a) ~= 'table' or type(b) ~= 'table' then return a == b end
    for key, value in pairs(a) do
        if not equal(value, b[key]) then return false end
    end
    for key in pairs(b) do
        if a[key] == nil then return false end
    end
    return true
end

local function shown(value)
    if type(value) ~= 'table' then return tostring(value) end
    local parts = {}
    for key, each in pairs(value) do parts[#parts + 1] = tostring(key) .. '=' .. shown(each) end
    return '{' .. table.concat(parts, ', ') .. '}'
end

function M.assertEquals(actual, expected)
    if not equal(actual, expected) then
        error('expected: ' .. shown(expected) .. ', actual: ' .. shown(actual), 2)
    end
end

function M.assertNotEquals(actual, expected)
    if equal(actual, expected) then error('expected: another than ' .. shown(expected), 2) end
end

function M.LuaUnit.run()
    local failed = 0
    local names = {}
    for name, value in pairs(_G) do
        if type(value) == 'function' and name:lower():sub(1, 4) == 'test' then names[#names + 1] = name end
    end
    table.sort(names)
    for _, name in ipairs(names) do
        local fine, message = xpcall(_G[name], debug.traceback)
        if not fine then
            failed = failed + 1
            io.stderr:write(name, ': ', tostring(message), '\n')
        end
    end
    return failed
end

return M
