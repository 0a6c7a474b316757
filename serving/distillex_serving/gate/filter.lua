-- What the gate lets through to Triton (docs/how-to/security.md). Envoy runs this once for each request, after the buffer filter:
-- the whole body is there, and its size is bounded.
--
-- The body of a unary gRPC call is one message behind five bytes: a flag (1: compressed) and the length. The message is
-- walked field by field, as protobuf's wire format says, so that nothing can be hidden from the check by another way of
-- writing it: a number or a length that is not written in its shortest form, which no protobuf library writes, is refused.

-- Envoy passes a request on where a script ends with an error. So what passed the check is marked with a secret, and only
-- marked requests have a route.

local METHODS = { @METHODS@ }
local MODELS = { @MODELS@ }
local MODELS_IN_WORDS = "@MODELS_IN_WORDS@"
local LARGE_BYTES = @LARGE_BYTES@
local MARK, SMALL, LARGE = "@MARK@", "@SMALL@", "@LARGE@"
-- With tenants: the signed header, which the authorization sets; who knows the rates; calls that are anybody's.
local TENANT, AUTHORIZER, CHARGE, TEXTS = "@TENANT@", "@AUTHORIZER@", "@CHARGE@", "@TEXTS@"
local OPEN = { @OPEN@ }
local CHARGE_TIMEOUT_MS = 2000

local INFER = "/inference.GRPCInferenceService/ModelInfer"
-- Number of the field that names the model, by method; methods that are not here name none.
local MODEL_FIELD = {
  [INFER] = 1,
  ["/inference.GRPCInferenceService/ModelReady"] = 1,
  ["/inference.GRPCInferenceService/ModelMetadata"] = 1,
  ["/inference.GRPCInferenceService/ModelConfig"] = 1,
}
-- Fields of ModelInferRequest, InferInputTensor, InferTensorContents, InferRequestedOutputTensor, and of a map's entry.
local VERSION, ID, INPUTS, OUTPUTS, RAW_CONTENTS = 2, 3, 5, 6, 7
local INPUT_NAME, INPUT_TYPE, INPUT_SHAPE, INPUT_PARAMETERS, INPUT_CONTENTS = 1, 2, 3, 4, 5
local STRING_CONTENTS = 8
local OUTPUT_PARAMETERS = 2
local KEY = 1

local INVALID_ARGUMENT, NOT_FOUND, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 3, 5, 8, 12, 13
local UNAVAILABLE, UNAUTHENTICATED = 14, 16
local VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5
local WINDOW = 65536
local LONGEST_NAME = 128
-- A request of 64 texts, each with its words, a lexicon's name and a trust, has some 300 fields and strings. What a message costs here is bounded by
-- these, not by its size.
local MOST_FIELDS, MOST_STRINGS, MOST_TENSORS, MOST_DIMENSIONS = 2000, 2000, 16, 8
local LARGEST_TAG = 2 ^ 32 - 1 -- protobuf drops the bits above, and reads another field than this file would
local MALFORMED = "the request is not a well-formed protobuf message"

local floor, byte_of = math.floor, string.byte

-- The body that is looked at: read through a window, so that a large one is never copied whole. A request is looked at in
-- one go, so one set of these serves all.
local body, body_size, window, window_first, window_last, fields_seen

local function look_at(handle_body)
  body, body_size = handle_body, handle_body:length()
  window, window_first, window_last = "", 0, -1
  fields_seen = 0
end

local function at(position)
  if position > window_last or position < window_first then
    window_first, window_last = position, math.min(position + WINDOW, body_size) - 1
    window = body:getBytes(window_first, window_last - window_first + 1)
  end
  return byte_of(window, position - window_first + 1)
end

local function refuse(status, message)
  error({ status = status, message = message }, 0)
end

-- Reads a varint of at most `most` bytes; returns it and the position behind it.
local function varint(position, limit, most)
  local value, factor = 0, 1
  for count = 1, most do
    if position >= limit then refuse(INVALID_ARGUMENT, MALFORMED) end
    local byte = at(position)
    position = position + 1
    if byte < 128 then
      if byte == 0 and count > 1 then refuse(INVALID_ARGUMENT, MALFORMED) end
      return value + byte * factor, position
    end
    value = value + (byte - 128) * factor
    factor = factor * 128
  end
  refuse(INVALID_ARGUMENT, MALFORMED)
end

-- Calls visit(field, from, to) for each length-delimited field of the message in [position, limit). With `only_these`, a
-- field of another kind is refused.
local function each_field(position, limit, visit, only_these)
  while position < limit do
    local tag
    tag, position = varint(position, limit, 5)
    local field, wire_type = floor(tag / 8), tag % 8
    if field == 0 or tag > LARGEST_TAG then refuse(INVALID_ARGUMENT, MALFORMED) end
    fields_seen = fields_seen + 1
    if fields_seen > MOST_FIELDS then
      refuse(INVALID_ARGUMENT, "the request has more than " .. MOST_FIELDS .. " fields")
    end
    if wire_type == LENGTH_DELIMITED then
      local length
      length, position = varint(position, limit, 5)
      if length > limit - position then refuse(INVALID_ARGUMENT, MALFORMED) end
      visit(field, position, position + length)
      position = position + length
    elseif only_these then
      refuse(INVALID_ARGUMENT, MALFORMED)
    elseif wire_type == VARINT then
      -- A negative number takes ten bytes.
      local byte
      local count = 0
      repeat
        count = count + 1
        if position >= limit or count > 10 then refuse(INVALID_ARGUMENT, MALFORMED) end
        byte = at(position)
        position = position + 1
      until byte < 128
    elseif wire_type == FIXED_64 then
      position = position + 8
    elseif wire_type == FIXED_32 then
      position = position + 4
    else
      refuse(INVALID_ARGUMENT, MALFORMED)
    end
  end
  if position ~= limit then refuse(INVALID_ARGUMENT, MALFORMED) end
end

local function text_of(from, to)
  local length = math.min(to - from, LONGEST_NAME)
  return length == 0 and "" or (body:getBytes(from, length):gsub("[^\32-\126]", "?"))
end

-- Triton's refusals repeat names and ids, in a header of bounded size.
local function check_length(what, from, to)
  if to - from > LONGEST_NAME then
    refuse(INVALID_ARGUMENT, what .. " has " .. (to - from) .. " bytes; at most " .. LONGEST_NAME .. " are accepted")
  end
end

local function check_model(from, to)
  local name = text_of(from, to)
  if to - from > LONGEST_NAME or not MODELS[name] then
    refuse(NOT_FOUND, "unknown model '" .. name .. "': this server answers for " .. MODELS_IN_WORDS)
  end
end

local function check_outputs(from, to)
  each_field(from, to, function(field, field_from, field_to)
    if field ~= OUTPUT_PARAMETERS then return check_length("an output's name", field_from, field_to) end
    local name = ""
    each_field(field_from, field_to, function(entry_field, key_from, key_to)
      if entry_field == KEY then name = text_of(key_from, key_to) end
    end)
    refuse(INVALID_ARGUMENT, "an output was asked for with the parameter '" .. name
      .. "': outputs take no parameters here (no classification, no shared memory)")
  end)
end

-- Returns an input's name, the number of strings that its shape speaks of, and the number that it holds itself.
local function input_of(from, to)
  local name, elements, dimensions, strings = "?", 1, 0, 0
  each_field(from, to, function(field, field_from, field_to)
    if field == INPUT_NAME then
      check_length("an input's name", field_from, field_to)
      name = text_of(field_from, field_to)
    elseif field == INPUT_TYPE then
      local kind = text_of(field_from, field_to)
      if kind ~= "BYTES" then
        refuse(INVALID_ARGUMENT, "the input '" .. name .. "' is of type '" .. kind .. "'; BYTES is accepted")
      end
    elseif field == INPUT_SHAPE then
      local size
      while field_from < field_to do
        size, field_from = varint(field_from, field_to, 10)
        elements, dimensions = elements * size, dimensions + 1
        -- Triton's refusal repeats the shape, in a header of bounded size.
        if dimensions > MOST_DIMENSIONS then
          refuse(INVALID_ARGUMENT, "the input '" .. name .. "' has more than " .. MOST_DIMENSIONS .. " dimensions")
        end
      end
    elseif field == INPUT_PARAMETERS then
      refuse(INVALID_ARGUMENT, "the input '" .. name .. "' has a parameter: inputs take none here (no shared memory)")
    elseif field == INPUT_CONTENTS then
      each_field(field_from, field_to, function(content_field)
        if content_field ~= STRING_CONTENTS then refuse(INVALID_ARGUMENT, MALFORMED) end
        strings = strings + 1
      end, true)
    end
  end, true)
  return { name = name, elements = elements, strings = strings }
end

-- Counts the strings of raw contents, each behind the four bytes of its length.
local function count_strings(position, to)
  local count = 0
  while position < to do
    if position + 4 > to then return nil end
    local length = at(position) + 256 * (at(position + 1) + 256 * (at(position + 2) + 256 * at(position + 3)))
    position = position + 4 + length
    count = count + 1
    if count > MOST_STRINGS then
      refuse(INVALID_ARGUMENT, "an input holds more than " .. MOST_STRINGS .. " strings")
    end
  end
  return position == to and count or nil
end

-- Triton joins requests, and where the strings of one are not what its shape says, it fails its neighbours too.
local function check_strings(inputs, raw)
  if #raw > 0 and #raw ~= #inputs then
    refuse(INVALID_ARGUMENT, "the request has " .. #inputs .. " inputs and " .. #raw .. " raw contents")
  end
  for index, input in ipairs(inputs) do
    local strings = input.strings
    if #raw > 0 then strings = raw[index].strings end
    if not strings then
      refuse(INVALID_ARGUMENT, "the raw content of '" .. input.name .. "' is not strings, each behind its length in 4 bytes")
    end
    if strings ~= input.elements then
      refuse(INVALID_ARGUMENT, "the input '" .. input.name .. "' holds " .. strings .. " strings, and its shape says "
        .. string.format("%.0f", input.elements))
    end
  end
end

-- Returns the number of texts.
local function check_message(method, from, to)
  local named = false
  local inputs, raw = {}, {}
  each_field(from, to, function(field, field_from, field_to)
    if field == MODEL_FIELD[method] then
      named = true
      check_model(field_from, field_to)
    elseif method ~= INFER then
      return
    elseif field == VERSION or field == ID then
      check_length(field == ID and "the request's id" or "the model's version", field_from, field_to)
    elseif field == OUTPUTS then
      check_outputs(field_from, field_to)
    elseif field == INPUTS then
      inputs[#inputs + 1] = input_of(field_from, field_to)
    elseif field == RAW_CONTENTS then
      raw[#raw + 1] = { strings = count_strings(field_from, field_to) }
    end
  end)
  if #inputs > MOST_TENSORS or #raw > MOST_TENSORS then
    refuse(INVALID_ARGUMENT, "the request has more than " .. MOST_TENSORS .. " inputs")
  end
  if MODEL_FIELD[method] and not named then
    refuse(NOT_FOUND, "unknown model '': this server answers for " .. MODELS_IN_WORDS)
  end
  if method == INFER then check_strings(inputs, raw) end
  for _, input in ipairs(inputs) do
    if input.name == "TEXT" then return input.elements end
  end
  return 0
end

-- Returns the method that is called.
local function check_headers(headers)
  local method = headers:get(":path")
  if not METHODS[method] or headers:get(":method") ~= "POST" or headers:get("te") ~= "trailers" then
    refuse(UNIMPLEMENTED, "this method is not offered here")
  end
  local encoding = headers:get("grpc-encoding")
  if encoding and encoding ~= "identity" then
    refuse(UNIMPLEMENTED, "compressed requests are not accepted (grpc-encoding must be identity)")
  end
  -- Callers' own header was taken away: where it stands, the authorization was asked and said yes.
  if TENANT ~= "" and not OPEN[method] and not headers:get(TENANT) then
    refuse(UNAUTHENTICATED, "nobody said whose call this is")
  end
  return method
end

local function check_body(method, handle_body)
  if not handle_body then refuse(INVALID_ARGUMENT, MALFORMED) end
  look_at(handle_body)
  if body_size < 5 then refuse(INVALID_ARGUMENT, MALFORMED) end
  if at(0) ~= 0 then refuse(UNIMPLEMENTED, "compressed requests are not accepted") end
  local length = ((at(1) * 256 + at(2)) * 256 + at(3)) * 256 + at(4)
  if length ~= body_size - 5 then refuse(INVALID_ARGUMENT, "a call takes one message, whole and alone") end
  return check_message(method, 5, body_size)
end

-- The first text was paid for when the call began; before its body came, nobody knew of more.
local function charge(handle, texts)
  local headers, said = handle:httpCall(AUTHORIZER, {
    [":method"] = "POST",
    [":path"] = CHARGE,
    [":authority"] = AUTHORIZER,
    [TENANT] = handle:headers():get(TENANT),
    [TEXTS] = string.format("%d", texts),
  }, nil, CHARGE_TIMEOUT_MS)
  local status = headers[":status"]
  if status == "200" then return nil end
  if status == "429" then return { status = RESOURCE_EXHAUSTED, message = said or "" } end
  return { status = UNAVAILABLE, message = "the gate cannot tell whether the rate allows this call" }
end

local function answer(handle, refusal)
  if type(refusal) ~= "table" then
    handle:logErr("the gate's own check failed: " .. tostring(refusal))
    refusal = { status = INTERNAL, message = "the request could not be checked" }
  end
  handle:respond({
    [":status"] = "200",
    ["content-type"] = "application/grpc",
    ["grpc-status"] = tostring(refusal.status),
    ["grpc-message"] = refusal.message:gsub("%%", "%%25"),
  }, nil)
end

function envoy_on_request(handle)
  local accepted, result = pcall(check_headers, handle:headers())
  if not accepted then return answer(handle, result) end
  local handle_body = handle:body(true)
  accepted, result = pcall(check_body, result, handle_body)
  if not accepted then return answer(handle, result) end
  local mark = body_size > LARGE_BYTES and LARGE or SMALL
  if TENANT ~= "" and result > 1 then
    local refusal = charge(handle, result - 1)
    if refusal then return answer(handle, refusal) end
  end
  handle:headers():replace(MARK, mark)
  handle:clearRouteCache()
end
