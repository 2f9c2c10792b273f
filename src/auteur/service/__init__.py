"""The service: what the command does, over HTTP, with models in processes of their own."""
