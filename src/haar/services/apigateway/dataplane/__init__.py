"""The data plane: deployed APIs answer HTTP requests."""
