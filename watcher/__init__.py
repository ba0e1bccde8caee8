"""deploy-watch: after a deploy, watch what users do and say; roll back the deploy that made it worse."""

__version__ = "0.1.0"
