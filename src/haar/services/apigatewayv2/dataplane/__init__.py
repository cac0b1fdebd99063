"""The data plane: deployed HTTP APIs answer requests."""
