"""The real stack on one machine: Kafka, Flink, the Beam job server and Python workers, supervised, without containers.

``control`` starts, stops and describes a stack from outside; ``supervisor`` is the process that keeps it running.
"""
