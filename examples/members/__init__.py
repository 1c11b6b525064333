"""Members: who belongs to an organisation, what they may do, and the apps they publish.

A small Flask application with an audit log, to read and to copy from:

    python -m examples.members --audit-log events/members.log     serve it
    python -m examples.members.traffic                            plausible people use it

`application.py` shows the idiom: what a request has in common (who, from where, with what) is bound
once, each view says what it changed, and the event is written before the change is committed, so
that nothing is ever done without a line that tells of it.
"""
