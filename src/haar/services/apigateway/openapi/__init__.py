"""OpenAPI 3.0 and Swagger 2 with API Gateway's extensions: read into an API, and written from one."""
