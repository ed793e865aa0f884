"""The applications as long-lived Flink jobs on the local stack: which, how parallel, how they stand."""
