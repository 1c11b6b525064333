"""Signing in to the web page: who sits in front of the browser.

A `Reader` comes to a session by one of three ways, which the settings open: a one-time link
(`link`), OpenID Connect (`oidc`), or a reverse proxy that has asked already (`proxy`). Every page
asks `session.require_reader()`. Nothing here concerns the API, which takes bearer tokens alone: no
cookie is ever read there.
"""
