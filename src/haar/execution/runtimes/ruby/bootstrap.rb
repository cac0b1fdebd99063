# The Ruby runtime of an execution environment: loads FILE.METHOD or FILE.CLASS.METHOD and serves invocations over the Runtime API.
require "json"
require "net/http"

$stdout.sync = true
$stderr.sync = true

module HaarRuntime
  PREFIX = "/2018-06-01/runtime"

  # What a handler is given besides the event (https://docs.aws.amazon.com/lambda/latest/dg/ruby-context.html).
  class LambdaContext
    attr_reader :aws_request_id, :invoked_function_arn, :log_group_name, :log_stream_name, :function_name, :memory_limit_in_mb,
                :function_version, :identity, :client_context, :deadline_ms

    def initialize(headers)
      @deadline_ms = headers["lambda-runtime-deadline-ms"].to_i
      @aws_request_id = headers["lambda-runtime-aws-request-id"]
      @invoked_function_arn = headers["lambda-runtime-invoked-function-arn"]
      @log_group_name = ENV["AWS_LAMBDA_LOG_GROUP_NAME"]
      @log_stream_name = ENV["AWS_LAMBDA_LOG_STREAM_NAME"]
      @function_name = ENV["AWS_LAMBDA_FUNCTION_NAME"]
      @memory_limit_in_mb = ENV["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
      @function_version = ENV["AWS_LAMBDA_FUNCTION_VERSION"]
      @identity = parsed(headers["lambda-runtime-cognito-identity"])
      @client_context = parsed(headers["lambda-runtime-client-context"])
    end

    def get_remaining_time_in_millis
      [@deadline_ms - (Time.now.to_f * 1000).to_i, 0].max
    end

    private

    def parsed(header)
      header && JSON.parse(header)
    end
  end

  module_function

  def described(error, prefix = "Function")
    { errorMessage: error.message, errorType: "#{prefix}<#{error.class.name}>", stackTrace: error.backtrace || [] }
  end

  def tell(error, described)
    $stderr.puts({ errorMessage: error.message, errorType: described[:errorType], stackTrace: described[:stackTrace] }.to_json)
  end

  def post(api, path, body, kind = nil)
    headers = { "Content-Type" => "application/json" }
    headers["Lambda-Runtime-Function-Error-Type"] = kind if kind
    api.post("#{PREFIX}/#{path}", body, headers)
  end

  # The callable that a handler's name stands for.
  def load_handler(name)
    parts = name.split(".")
    raise ArgumentError, "Invalid handler #{name}, must be of form FILENAME.METHOD or FILENAME.CLASS.METHOD" unless [2, 3].include?(parts.length)

    file, *owner, method = parts
    require File.expand_path(file, ENV["LAMBDA_TASK_ROOT"])
    if owner.empty?
      ->(**arguments) { Kernel.send(method, **arguments) }
    else
      target = Kernel.const_get(owner.first)
      ->(**arguments) { target.send(method, **arguments) }
    end
  end

  def serve(api, handler)
    event = api.get("#{PREFIX}/invocation/next")
    id = event["lambda-runtime-aws-request-id"]
    ENV["_X_AMZN_TRACE_ID"] = event["lambda-runtime-trace-id"]
    begin
      result = handler.call(event: JSON.parse(event.body, quirks_mode: true), context: LambdaContext.new(event))
      body = result.to_json
    rescue NoMemoryError, SystemExit
      raise
    rescue Exception => error # rubocop:disable Lint/RescueException - whatever a function raises is its answer
      failed = described(error)
      tell(error, failed)
      return post(api, "invocation/#{id}/error", failed.to_json, failed[:errorType])
    end
    post(api, "invocation/#{id}/response", body)
  end

  def run
    host, port = ENV["AWS_LAMBDA_RUNTIME_API"].split(":")
    api = Net::HTTP.new(host, port.to_i, nil)
    api.read_timeout = nil
    api.keep_alive_timeout = 3600
    api.start
    $LOAD_PATH.unshift(ENV["LAMBDA_TASK_ROOT"])
    begin
      handler = load_handler(ENV["_HANDLER"])
    rescue Exception => error # rubocop:disable Lint/RescueException - a function that does not load says why
      failed = described(error, "Init")
      tell(error, failed)
      post(api, "init/error", failed.to_json, failed[:errorType])
      exit 1
    end
    loop { serve(api, handler) }
  end
end

HaarRuntime.run
