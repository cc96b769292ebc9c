"""The command line and the supervisor: clients of the services, never part of them."""
