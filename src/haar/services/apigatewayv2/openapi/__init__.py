"""HTTP APIs as OpenAPI 3.0 definitions: reading and writing them. Pure."""
