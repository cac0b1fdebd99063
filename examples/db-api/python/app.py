import json

import boto3

db = boto3.resource("dynamodb")


def reply(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body, default=str)}


def handler(event, context):
    method = event["httpMethod"]
    try:
        if method == "GET":
            return reply(200, db.Table(event["queryStringParameters"]["TableName"]).scan())
        body = json.loads(event["body"])
        table = db.Table(body.pop("TableName"))
        act = {"POST": table.put_item, "PUT": table.update_item, "DELETE": table.delete_item}.get(method)
        return reply(200, act(**body)) if act else reply(405, {"message": f"{method} is not supported"})
    except Exception as error:
        return reply(400, {"message": str(error)})
