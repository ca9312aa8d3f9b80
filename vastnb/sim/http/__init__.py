"""The HTTP face of the simulated service.

`app` takes a request through the gates that the real service has and hands it to a route; the
routes stand by subject in `account`, `instances`, `market` and `admin`.
"""
