"""DynamoDB's expression language: pure functions of text, names, values and items."""
