"""The page, the API, the webhooks and the probes."""
