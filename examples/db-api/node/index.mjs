import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { DeleteCommand, DynamoDBDocumentClient, PutCommand, ScanCommand, UpdateCommand } from "@aws-sdk/lib-dynamodb";

const db = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const commands = { DELETE: DeleteCommand, POST: PutCommand, PUT: UpdateCommand };
const reply = (statusCode, body) => ({ statusCode, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const handler = async (event) => {
  try {
    if (event.httpMethod === "GET") {
      return reply(200, await db.send(new ScanCommand({ TableName: event.queryStringParameters.TableName })));
    }
    const Command = commands[event.httpMethod];
    if (!Command) return reply(405, { message: `${event.httpMethod} is not supported` });
    return reply(200, await db.send(new Command(JSON.parse(event.body))));
  } catch (error) {
    return reply(400, { message: error.message });
  }
};
