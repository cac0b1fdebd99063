-- wrk: sends the ready-made requests of the file named by the first argument, in turn.
local requests, turn = {}, 0

function init(arguments)
  for _, request in ipairs(dofile(arguments[1])) do
    requests[#requests + 1] = wrk.format(request[1], request[2], request[3], request[4])
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end
