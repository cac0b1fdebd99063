import json

import boto3


def operations(table_name):
    table = boto3.resource("dynamodb").Table(table_name)
    return {
        "create": table.put_item,
        "read": table.get_item,
        "update": table.update_item,
        "delete": table.delete_item,
        "list": table.scan,
    }


def manage(request):
    operation, payload = request["operation"], request.get("payload")
    if operation == "echo":
        return payload
    if operation == "ping":
        return "pong"
    act = operations(request["tableName"]).get(operation)
    if act is None:
        raise ValueError(f'Unrecognized operation "{operation}"')
    answer = act(**(payload or {}))
    answer.pop("ResponseMetadata", None)
    return answer


def handler(event, context):
    """Invoked directly with the request itself, or through API Gateway with the request as its body."""
    if "httpMethod" not in event:
        return manage(event)
    try:
        return {"statusCode": 200, "body": json.dumps(manage(json.loads(event["body"])), default=str)}
    except (KeyError, ValueError) as error:
        return {"statusCode": 400, "body": json.dumps({"error": str(error)})}
