"""The way into OpenSearch and what becomes of the events there, for agent, API and commands alike.

Settings, the client and names of indices; the bulk writer and its dead letter; templates, and the
lifecycle of partitions: sealing, archive, holds, deletion, and the journal that tells of it.
"""
