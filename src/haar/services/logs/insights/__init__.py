"""CloudWatch Logs Insights: a query language over log events, and the operations that run it."""
