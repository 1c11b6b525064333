"""The agent: follows files of events and ships each line once.

`agent.start.run` runs it; `agent.settings` is light, the rest brings watchdog and the OpenSearch
client. What it promises, and to which failures, is told by the modules that keep it: `identity`,
`checkpoint`, `tail`, `follow`, `chain`, `pipeline`.
"""
