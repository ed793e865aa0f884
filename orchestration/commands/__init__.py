"""The commands of ``plumbline``, one module a group."""
