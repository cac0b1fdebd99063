import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DynamoDBDocumentClient, ScanCommand } from "@aws-sdk/lib-dynamodb";

const db = DynamoDBDocumentClient.from(new DynamoDBClient({}));

export const handler = async () => {
  const { Items } = await db.send(new ScanCommand({ TableName: process.env.TABLE }));
  return { statusCode: 200, headers: { "Content-Type": "application/json" }, body: JSON.stringify(Items) };
};
