import json
import os
import uuid

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def reply(status, body):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body, default=str)}


def list_books(event, context):
    return reply(200, table.scan()["Items"])


def create_book(event, context):
    book = json.loads(event["body"]) | {"id": str(uuid.uuid4())}
    table.put_item(Item=book)
    return reply(201, book)


def get_book(event, context):
    book = table.get_item(Key={"id": event["pathParameters"]["id"]}).get("Item")
    return reply(200, book) if book else reply(404, {"message": "no such book"})


def put_book(event, context):
    book = json.loads(event["body"]) | {"id": event["pathParameters"]["id"]}
    table.put_item(Item=book)
    return reply(200, book)


def delete_book(event, context):
    table.delete_item(Key={"id": event["pathParameters"]["id"]})
    return {"statusCode": 204}


def page(event, context):
    rows = "".join(f"<li>{book.get('title', '?')}</li>" for book in table.scan()["Items"])
    return {"statusCode": 200, "headers": {"Content-Type": "text/html"}, "body": f"<h1>Books</h1><ul>{rows}</ul>"}
