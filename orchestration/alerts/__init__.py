"""Alerts: what somebody must know, kept in an outbox and delivered to Slack. Knows no orchestrator and no engine.

``rules`` say what is wrong, the ``outbox`` remembers what was said of it, ``delivery`` brings it to a channel, once.
"""
