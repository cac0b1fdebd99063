#!/usr/bin/env bash
# Makes the bookstore: a table, a role, six functions and an API; prints the API's URL.
set -euo pipefail
cd "$(dirname "$0")"
export AWS_PAGER=
ACCOUNT=$(aws sts get-caller-identity --query Account --output text)
REGION=${AWS_DEFAULT_REGION:-us-east-1}
ZIP=$(mktemp -d)/app.zip
python3 -m zipfile -c "$ZIP" app.py

aws dynamodb create-table --table-name bookstore --billing-mode PAY_PER_REQUEST \
  --attribute-definitions AttributeName=id,AttributeType=S --key-schema AttributeName=id,KeyType=HASH >/dev/null
aws dynamodb wait table-exists --table-name bookstore
aws iam create-role --role-name bookstore --assume-role-policy-document \
  '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}' >/dev/null
aws iam attach-role-policy --role-name bookstore --policy-arn arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess
aws iam attach-role-policy --role-name bookstore --policy-arn arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole

API=$(aws apigateway create-rest-api --name bookstore --query id --output text)
ROOT=$(aws apigateway get-resources --rest-api-id "$API" --query 'items[0].id' --output text)
BOOKS=$(aws apigateway create-resource --rest-api-id "$API" --parent-id "$ROOT" --path-part books --query id --output text)
BOOK=$(aws apigateway create-resource --rest-api-id "$API" --parent-id "$BOOKS" --path-part '{id}' --query id --output text)

while read -r resource method handler; do
  echo "$method -> $handler" >&2
  aws lambda create-function --function-name "bookstore-$handler" --runtime python3.12 --handler "app.$handler" --timeout 10 \
    --role "arn:aws:iam::$ACCOUNT:role/bookstore" --zip-file "fileb://$ZIP" --environment 'Variables={TABLE=bookstore}' >/dev/null
  aws apigateway put-method --rest-api-id "$API" --resource-id "$resource" --http-method "$method" --authorization-type NONE >/dev/null
  aws apigateway put-integration --rest-api-id "$API" --resource-id "$resource" --http-method "$method" --type AWS_PROXY \
    --integration-http-method POST \
    --uri "arn:aws:apigateway:$REGION:lambda:path/2015-03-31/functions/arn:aws:lambda:$REGION:$ACCOUNT:function:bookstore-$handler/invocations" >/dev/null
  aws lambda add-permission --function-name "bookstore-$handler" --statement-id api --action lambda:InvokeFunction \
    --principal apigateway.amazonaws.com --source-arn "arn:aws:execute-api:$REGION:$ACCOUNT:$API/*/*/*" >/dev/null
done <<ROUTES
$ROOT GET page
$BOOKS GET list_books
$BOOKS POST create_book
$BOOK GET get_book
$BOOK PUT put_book
$BOOK DELETE delete_book
ROUTES

aws apigateway create-deployment --rest-api-id "$API" --stage-name v1 >/dev/null
if [ -n "${AWS_ENDPOINT_URL:-}" ]; then
  echo "URL=http://$API.execute-api.$REGION.localhost:${AWS_ENDPOINT_URL##*:}/v1"
else
  echo "URL=https://$API.execute-api.$REGION.amazonaws.com/v1"
fi
