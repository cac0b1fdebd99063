#!/usr/bin/env bash
# Takes away what deploy.sh made.
set -uo pipefail
export AWS_PAGER=
for API in $(aws apigateway get-rest-apis --query 'items[?name==`bookstore`].id' --output text); do
  aws apigateway delete-rest-api --rest-api-id "$API"
done
for handler in page list_books create_book get_book put_book delete_book; do
  aws lambda delete-function --function-name "bookstore-$handler"
done
aws iam detach-role-policy --role-name bookstore --policy-arn arn:aws:iam::aws:policy/AmazonDynamoDBFullAccess
aws iam detach-role-policy --role-name bookstore --policy-arn arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole
aws iam delete-role --role-name bookstore
aws dynamodb delete-table --table-name bookstore >/dev/null
