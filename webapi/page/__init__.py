"""The Audit Log page: Settings → Access Control → Audit Log.

Rendered here, whole, from the same questions as the API's; what stands in `static/` makes it more
convenient and is never needed. The URL is the state: its parameters are those of the API.
"""
