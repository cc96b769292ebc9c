"""The models: manifests, fetching, conversion and the runtimes that run them. No wire, no service."""
