"""WebSocket APIs: connections, the routes of their messages, and what is behind those."""
