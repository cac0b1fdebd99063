import { randomUUID } from "node:crypto";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { BatchWriteCommand, DynamoDBDocumentClient } from "@aws-sdk/lib-dynamodb";

const db = DynamoDBDocumentClient.from(new DynamoDBClient({}));
const people = [
  { userid: "marivera", name: "Martha Rivera" },
  { userid: "nikkwolf", name: "Nikki Wolf" },
  { userid: "pasantos", name: "Paulo Santos" },
];

export const handler = async () => {
  const table = process.env.TABLE;
  const puts = people.map((person) => ({
    PutRequest: { Item: { _id: randomUUID(), Userid: person.userid, FullName: person.name } },
  }));
  await db.send(new BatchWriteCommand({ RequestItems: { [table]: puts } }));
  for (const person of people) console.log(`> batch writing: ${person.userid}`);
  return { message: `Success. Added ${people.length} people to ${table}.` };
};
