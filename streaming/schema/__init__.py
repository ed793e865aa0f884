"""Every topic and table: columns, types, units, keys, versions. Result topics and sealed tables are a public contract.

``model`` says what a column, table and topic are; ``raw`` holds the events that come in, ``results`` what the
applications exchange, ``sealed`` the tables of a cut.
"""

from streaming.schema.model import Column, Table, Topic

__all__ = ["Column", "Table", "Topic"]
